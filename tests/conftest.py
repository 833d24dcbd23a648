"""Settings that every test shares."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.append(str(Path(__file__).parent / "support" / "site"))

# A deadline for an example would be an assertion about absolute time, and so is the health check for slow data: both
# measure the machine. Examples are the same in every run, as is all chance in the tests (see tests/support/chance.py);
# GOPUB_SEED=new draws others, and a failure prints what repeats it.
settings.register_profile(
    "gopub",
    deadline=None,
    derandomize=os.environ.get("GOPUB_SEED") != "new",
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("gopub")
