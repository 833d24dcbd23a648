from __future__ import annotations

import pytest

from gopub.spec.models import RolloutSpec


@pytest.mark.parametrize(
    ("rollout", "hours"),
    [
        ({}, 1 + 4 / 60),
        ({"steps": [{"bake": "2h"}, {"bake": "3h"}]}, 6),
        ({"steps": [{"approve": "ann", "bake": "1h"}, {"bake": "1h"}]}, 3),
        ({"steps": [{"bake": "1h"}, {"approve": "ann", "bake": "1h"}]}, 26),
        ({"steps": [{"bake": "1h"}, {"between": "02:00-06:00 Asia/Shanghai", "bake": "1h"}]}, 26),
        ({"deadline": "90m", "steps": [{"bake": "1h"}, {"approve": "ann", "bake": "1m"}]}, 1.5),
    ],
    ids=str,
)
def test_a_rollout_ends_an_hour_after_its_bakes_unless_people_or_windows_are_waited_for(rollout, hours):
    assert RolloutSpec.model_validate(rollout).ends_within == pytest.approx(hours * 3600)
