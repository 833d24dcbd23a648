"""What of many spans of time a person is told."""

from __future__ import annotations

import pytest

from gopub.traffic.conditions import All, Not, Path, Within, said
from gopub.traffic.spans import said_spans

NINE = 1_800_003_600  # 2027-01-15 09:00 UTC
HOUR = 3600
DAY = 24 * HOUR
DAYS = tuple((NINE + n * DAY, NINE + n * DAY + 9 * HOUR) for n in range(9))


@pytest.mark.parametrize(
    ("spans", "at", "says"),
    [
        (DAYS, NINE - 1, "2027-01-15 09:00 to 18:00 UTC, the next of 9 spans"),
        (DAYS, NINE, "2027-01-15 09:00 to 18:00 UTC, now, one of 9 spans"),
        (DAYS, NINE + 9 * HOUR - 0.5, "2027-01-15 09:00 to 18:00 UTC, now, one of 9 spans"),
        (DAYS, NINE + 9 * HOUR, "2027-01-16 09:00 to 18:00 UTC, the next of 9 spans"),
        (DAYS, NINE + 90 * DAY, "2027-01-23 09:00 to 18:00 UTC, the last of 9 spans"),
        (((NINE, NINE + DAY + 61),), 0.0, "2027-01-15 09:00 to 2027-01-16 09:01:01 UTC"),
        (((0, 1),), NINE, "no time that is near"),
        (((0, 10), (NINE, 2**53)), NINE, "the seconds 1800003600 to 9007199254740992, now, one of 2 spans"),
    ],
)
def test_the_span_that_counts_is_named(spans: tuple[tuple[int, int], ...], at: float, says: str):
    assert said_spans(spans, at) == says


def test_a_hundred_thousand_spans_are_one_short_line():
    spans = tuple((DAY + n * 10, DAY + n * 10 + 5) for n in range(100_000))
    for at in (0.0, DAY + 500_003.0, 1e12):
        assert len(said_spans(spans, at)) < 100


def test_it_stands_among_the_other_conditions():
    assert (
        said(All((Path("/a"), Not(Within(DAYS[:1])))), NINE) == "path /a and not within 2027-01-15 09:00 to 18:00 UTC"
    )
