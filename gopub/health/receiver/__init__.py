"""Logs that services send: what one request holds, what is kept of it in files, and how it is answered."""
