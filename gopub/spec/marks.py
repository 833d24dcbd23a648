"""The marks that the judge goes by, and those of a policy that only rides along: mappings of ``judge``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gopub.spec.base import Model
from gopub.spec.budget import BudgetSpec, PromoteSpec
from gopub.spec.fields import Chance, Fraction, Number, PositiveSeconds, Seconds, Whole


class Slo(Model):
    """What users may expect."""

    latency_p95: PositiveSeconds | None = None
    """The 95th percentile of answers; none means not judged absolutely."""
    error_rate: Fraction | None = 0.01
    """The share of attempts that may fail."""


class ScoreSpec(Model):
    """The score from 0 to 100: weights of its dimensions and the mark to pass."""

    pass_: Number = Field(80.0, alias="pass", ge=0, le=100)
    """The least score that is promoted."""
    latency: Number = Field(40.0, ge=0)
    """Weight of the latency."""
    errors: Number = Field(30.0, ge=0)
    """Weight of the errors."""
    gc_pause: Number = Field(15.0, ge=0)
    """Weight of the garbage collector's pauses."""
    memory_growth: Number = Field(15.0, ge=0)
    """Weight of the growth of the live heap."""
    profile: Literal["default", "article"] = "default"
    """default compares with SLO and stable; article is the literal formula."""


class RollbackSpec(Model):
    """When an SLO break that is not yet certain rolls back."""

    log_score: Number = Field(0.85, gt=0, le=1)
    """From this log score on at once."""
    watch: Seconds = 120.0
    """Below it, after this time unless recovered."""


class ShadowSpec(Model):
    """A policy that rides along and acts on nothing: what it says is kept beside the verdicts.

    Each key that it has stands in the place of that key of `judge`, whole; the others are as there.
    """

    scalar_is_first = False

    slo: Slo | None = None
    """Another service level."""
    score: ScoreSpec | None = None
    """Another score."""
    rollback: RollbackSpec | None = None
    """Another way of watching before going back."""
    min_requests: Annotated[Whole, Field(ge=1)] | None = None
    """Another least number of requests."""
    alpha: Annotated[Chance, Field(gt=0, le=0.2)] | None = None
    """Another chance of a false alarm."""
    promote: PromoteSpec | None = None
    """Another end of a bake."""
    budget: BudgetSpec | None = None
    """Another brake by the error budget."""
