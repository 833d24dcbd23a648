"""What is measured or left is told in one way everywhere: whole seconds."""

from __future__ import annotations

import pytest

from gopub.units import say_about


@pytest.mark.parametrize(
    ("value", "said"),
    [(16.699, "17s"), (0.3, "1s"), (0.0, "0s"), (-2.5, "0s"), (59.7, "1m"), (60.5, "1m"), (5025.2, "1h23m45s")],
)
def test_a_measured_duration_is_whole_seconds_and_never_nothing(value: float, said: str) -> None:
    assert say_about(value) == said
