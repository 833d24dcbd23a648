"""The error budget as a brake on a rollout: one mapping of ``judge``."""

from __future__ import annotations

from typing import Literal

from gopub.spec.base import Model
from gopub.spec.fields import Fraction, PositiveSeconds, Word


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
