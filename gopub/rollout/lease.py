"""How long rights last without their driver: its lease on the env, and the canary's term on the edges."""

from __future__ import annotations

LEASE = 30.0
"""Seconds that a driver's lease lives without being renewed."""
TERM = 30.0
"""Seconds that edges keep sending the canary traffic without hearing from a driver."""
RENEW = 5.0
"""Seconds between two renewals of lease and term."""
QUICK = 4.0
"""Seconds that a renewal of the term waits for the edges; the next one is not far."""
