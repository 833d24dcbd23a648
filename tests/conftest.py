"""Settings that every test shares."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A deadline for an example would be an assertion about absolute time, and so is the health check for slow data: both
# measure the machine. Examples are drawn anew in every run; a failure prints what repeats it.
settings.register_profile(
    "gopub", deadline=None, derandomize=False, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("gopub")
