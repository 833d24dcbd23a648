"""What is done after the last step: the promoted release is watched for a while."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gopub.spec.base import Model
from gopub.spec.fields import PositiveSeconds

SHORTEST, LONGEST = 1.0, 86400.0
"""Seconds; a watch of days keeps the env from nothing, but its run as well as its driver would have to live so long."""


class WatchSpec(Model):
    """For how long it is watched, and what a breach does."""

    for_: PositiveSeconds = Field(alias="for", examples=["30m"])
    """How long."""
    then: Literal["rollback", "alarm"] = "rollback"
    """A breach brings the release before back, or is told alone."""
