"""For the tests of this folder, which need no server."""

from __future__ import annotations

import os

os.environ["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "false"
"""A client that is asked for with no server named fails at once, and does not start one that nobody ends."""
