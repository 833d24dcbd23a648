"""Where a test that draws takes its chance from.

A red run should say something about the change, so each test draws the same in each run, whatever runs beside it;
``GOPUB_SEED=new`` draws anew (``make soak`` does), and a number repeats what was printed.
"""

from __future__ import annotations

import os
import secrets
import zlib


def seed() -> int:
    """The seed of the file whose test runs: in [0, 2^32), printed."""
    said = os.environ.get("GOPUB_SEED", "")
    if said == "new":
        drawn = secrets.randbits(32)
    elif said:
        drawn = int(said)
    else:
        drawn = zlib.crc32(os.environ["PYTEST_CURRENT_TEST"].partition("::")[0].encode())
    print(f"GOPUB_SEED={drawn}")
    return drawn
