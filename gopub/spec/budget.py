"""What speeds a rollout up and what slows it down besides its steps: two mappings of ``judge``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gopub.spec.base import Model
from gopub.spec.fields import Chance, Fraction, PositiveSeconds, Word


class PromoteSpec(Model):
    """What ends the bake of a good canary."""

    by: Literal["bake", "evidence"] = "bake"
    """Its time alone, or counts before that: that the canary is worse than stable by less than the margin."""
    margin: Fraction = Field(0.5, gt=0)
    """How much worse a canary may be and still go on early: this share of what the SLO allows."""
    beta: Chance = Field(0.05, gt=0, le=0.2)
    """The chance that a canary which is worse by the margin goes on early, per rollout."""
    observed: PositiveSeconds = 60.0
    """So much of each bake is observed at the least."""


class BudgetSpec(Model):
    """When the error budget, or how fast it burns, stops the growth of a rollout; going back is never hindered."""

    freeze_below: Fraction | None = None
    """Less of the budget left than this share: no growth; none means that it is not asked for."""
    burn: Literal["ignore", "multiwindow", "article"] = "ignore"
    """Which rule says that the budget burns too fast to grow: several windows, the article's own, or none."""
    window: PositiveSeconds = 30 * 86400.0
    """Over which time the budget counts."""
    query: Word | None = None
    """PromQL that gives the share left, one number; {app} and {env} are filled in. None: from the edges' counters."""
