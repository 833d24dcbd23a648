"""A Prometheus that tells absurd counts must not keep a plan for ever."""

from __future__ import annotations

import pytest

from gopub.health.config import SloTarget
from gopub.health.usual import Usual
from gopub.plan.sight import Wanted, sees


@pytest.mark.parametrize("requests", [1e3, 1e40, 1e100])
def test_what_a_step_sees_is_told_of_any_traffic(requests: float) -> None:
    told = sees(0.1, 300.0, Usual(requests, 0.001, 1.5, 1.0), Wanted(SloTarget(None, 0.01), 0.01))
    assert "finds errors that rise from 0.1%" in told
