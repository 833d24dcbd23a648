"""Windows on the wall clock: days, midnight, and the days when clocks change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopub.errors import SpecError
from gopub.spec.windows import Window, parse_window

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ZONES = ("UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
# Days around a change of the clocks in one of the zones: the property must hold there, too.
CHANGES = ("2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01")

minutes = st.integers(0, 24 * 60 - 1)
moments = st.one_of(
    st.integers(1_700_000_000, 1_900_000_000),
    st.builds(
        lambda day, offset: int(datetime.fromisoformat(f"{day}T00:00+00:00").timestamp()) + offset,
        st.sampled_from(CHANGES),
        st.integers(-86_400, 2 * 86_400),
    ),
)


def unix(text: str, zone: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


@st.composite
def windows(draw: st.DrawFn) -> Window:
    start = draw(minutes)
    end = draw(st.integers(0, 24 * 60).filter(lambda minute: minute != start))
    days = draw(st.lists(st.sampled_from(DAYS), unique=True))
    text = f"{','.join(days)} {clock(start)}-{clock(end)} {draw(st.sampled_from(ZONES))}"
    return parse_window(text.strip())


def by_definition(window: Window, at: float) -> bool:
    """Whether ``at`` is in the window, by walking the wall clock of each day on which it can have begun."""
    wall = datetime.fromtimestamp(at, window.zone).replace(tzinfo=None)
    for begun in (wall.date(), wall.date() - timedelta(days=1)):
        if begun.weekday() not in window.days:
            continue
        midnight = datetime.combine(begun, datetime.min.time())
        length = window.end - window.start if window.end > window.start else window.end + 1440 - window.start
        opens = midnight + timedelta(minutes=window.start)
        if opens <= wall < opens + timedelta(minutes=length):
            return True
    return False


@given(windows(), moments)
def test_a_window_is_open_as_the_wall_clock_says(window: Window, at: int) -> None:
    assert window.contains(at) == by_definition(window, at)


@given(windows(), moments)
def test_a_window_and_the_hours_outside_it_never_overlap(window: Window, at: int) -> None:
    """Every day and the other way round: exactly one of the two is open."""
    daily = Window(window.text, frozenset(range(7)), window.start, window.end, window.zone)
    outside = Window(window.text, frozenset(range(7)), window.end % 1440, window.start, window.zone)
    if window.end != 1440 and window.start:
        assert daily.contains(at) != outside.contains(at)


@given(windows(), moments)
def test_the_next_opening_is_open_and_nothing_before_it_is(window: Window, at: int) -> None:
    found = window.next_open(at)
    assert found is not None
    assert window.contains(found)
    assert found >= at
    if found > at:
        assert not window.contains(found - 1)
        assert not any(window.contains(moment) for moment in steps(at, found))


def steps(start: float, end: float) -> Iterator[float]:
    """Some moments between, on odd minutes."""
    return (start + (end - start) * part / 17 for part in range(17))


@pytest.mark.parametrize(
    ("text", "at", "zone", "wanted"),
    [
        ("mon-thu 10:00-17:30 Asia/Shanghai", "2026-11-23T10:00:00", "Asia/Shanghai", True),
        ("mon-thu 10:00-17:30 Asia/Shanghai", "2026-11-23T09:59:59", "Asia/Shanghai", False),
        ("mon-thu 10:00-17:30 Asia/Shanghai", "2026-11-23T17:29:59", "Asia/Shanghai", True),
        ("mon-thu 10:00-17:30 Asia/Shanghai", "2026-11-23T17:30:00", "Asia/Shanghai", False),
        ("mon-thu 10:00-17:30 Asia/Shanghai", "2026-11-27T12:00:00", "Asia/Shanghai", False),
        ("mon-thu 10:00-17:30 Asia/Shanghai", "2026-11-23T02:00:00", "UTC", True),
        ("fri-mon 10:00-11:00 UTC", "2026-11-22T10:30:00", "UTC", True),
        ("fri-mon 10:00-11:00 UTC", "2026-11-24T10:30:00", "UTC", False),
        ("SAT,Sun 00:00-24:00 UTC", "2026-11-22T23:59:59", "UTC", True),
        ("SAT,Sun 00:00-24:00 UTC", "2026-11-23T00:00:00", "UTC", False),
        ("fri 22:00-04:00 UTC", "2026-11-28T03:59:00", "UTC", True),
        ("fri 22:00-04:00 UTC", "2026-11-27T03:59:00", "UTC", False),
        ("fri 22:00-04:00 UTC", "2026-11-28T04:00:00", "UTC", False),
        ("fri 22:00-04:00 UTC", "2026-11-27T22:00:00", "UTC", True),
        ("02:00-06:00 Asia/Shanghai", "2026-11-26T05:59:59", "Asia/Shanghai", True),
    ],
)
def test_a_window_at_one_moment(text: str, at: str, zone: str, wanted: bool) -> None:
    assert parse_window(text).contains(unix(at, zone)) is wanted


def open_minutes(text: str, day: str) -> int:
    """How many minutes of two days around a change of the clocks a window is open."""
    window, start = parse_window(text), unix(f"{day}T00:00:00", "Europe/Berlin")
    return sum(window.contains(start + 60 * minute) for minute in range(24 * 60))


def test_the_hour_that_is_left_out_is_in_no_window_and_the_doubled_one_twice() -> None:
    assert open_minutes("02:00-03:00 Europe/Berlin", "2026-03-29") == 0
    assert open_minutes("02:00-03:00 Europe/Berlin", "2026-10-25") == 120
    assert open_minutes("02:00-03:00 Europe/Berlin", "2026-06-01") == 60


def test_a_window_that_never_comes_has_no_next_opening() -> None:
    never = Window("never", frozenset(), 0, 60, ZoneInfo("UTC"))
    assert never.next_open(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) is None


@given(st.text())
def test_any_text_is_a_window_or_a_typed_error(text: str) -> None:
    assert refusal(text) in {"", "GP131 with a hint"}


def refusal(text: str) -> str:
    try:
        parse_window(text)
    except SpecError as error:
        return f"{error.code} with {'a' if error.hint else 'no'} hint"
    return ""


@given(windows(), moments, st.integers(1, 5 * 86_400))
def test_spans_are_when_it_is_open(window: Window, begin: int, length: int) -> None:
    spans = window.spans(begin, begin + length)
    assert all(one < two for pair in spans for one, two in [pair])
    assert all(first[1] < second[0] for first, second in pairwise(spans)), "in order, and none touches the next"
    edges = {moment + off for pair in spans for moment in pair for off in (-60, -1, 0, 1, 60)}
    for moment in sorted({*range(begin, begin + length, 1801), *edges}):
        if begin <= moment < begin + length:
            assert any(one <= moment < two for one, two in spans) == by_definition(window, moment), moment


@pytest.mark.parametrize(
    ("text", "day", "hours"),
    [
        ("01:00-04:00 Europe/Berlin", "2026-03-29", 2),  # the hour from 2 is missing
        ("01:00-04:00 Europe/Berlin", "2026-10-25", 4),  # it is there twice
        ("02:15-02:45 Europe/Berlin", "2026-03-29", 0),
        ("02:15-02:45 Europe/Berlin", "2026-10-25", 1),
        ("22:00-04:00 America/New_York", "2026-03-08", 5),  # over midnight, and the clocks go forward within it
    ],
)
def test_spans_follow_the_clocks_change(text: str, day: str, hours: float) -> None:
    window = parse_window(text)
    begin = int(unix(f"{day}T00:00", str(window.zone)))
    if window.start > window.end:
        begin -= 3 * 3600
    spans = window.spans(begin, begin + 20 * 3600)
    assert sum(two - one for one, two in spans) == hours * 3600
