"""How many connections this process may hold: one a host is kept for a whole rollout.

A stock Linux gives a process 1,024 files, for the sake of old programs that cannot count further, and lets it take far
more: so a driver of a thousand hosts would stop at the last ones with `Too many open files`.
"""

from __future__ import annotations

import resource
from contextlib import suppress

ENOUGH = 65_536
"""Files; a limit above is nobody's wish, and some machines have none at all."""


def allow_many_files() -> None:
    """Take what this process may take, up to :data:`ENOUGH`; never less than it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):  # where it is forbidden all the same, small fleets still work
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
