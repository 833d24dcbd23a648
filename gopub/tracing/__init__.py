"""The trace of a release: carried from whoever asked for it to the process that serves. W3C Trace Context, level 1."""
