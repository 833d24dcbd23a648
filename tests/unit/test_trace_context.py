"""What a traceparent says, and that the work at hand keeps its place in a trace."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopub.tracing.context import TraceContext, begin, current, header, of_trace, parse, within

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAID = f"00-{TRACE}-{SPAN}-01"


def test_a_traceparent_is_read_and_written_as_it_was() -> None:
    place = parse(SAID)
    assert place == TraceContext(TRACE, SPAN, sampled=True)
    assert place.header() == SAID
    unsampled = parse(f"00-{TRACE}-{SPAN}-00")
    assert unsampled is not None and unsampled.header() == f"00-{TRACE}-{SPAN}-00"


@pytest.mark.parametrize(
    "said", [f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-comes-later", f"00-{TRACE}-{SPAN}-ff"]
)
def test_of_a_later_version_the_parts_that_are_known_count(said: str) -> None:
    assert parse(said) == TraceContext(TRACE, SPAN)


NONE = {
    "nothing": "",
    "a trace of zeros": f"00-{'0' * 32}-{SPAN}-01",
    "a span of zeros": f"00-{TRACE}-{'0' * 16}-01",
    "upper case": f"00-{TRACE.upper()}-{SPAN}-01",
    "the version that is none": f"ff-{TRACE}-{SPAN}-01",
    "more behind version 00": f"00-{TRACE}-{SPAN}-01-more",
    "a short trace": f"00-{TRACE[1:]}-{SPAN}-01",
    "no flags": f"00-{TRACE}-{SPAN}",
    "a line end": f"{SAID}\n",
    "another line": f"{SAID}\nX-Evil: 1",
    "another script's digits": f"00-{'٣' * 32}-{SPAN}-01",
    "a megabyte": f"01-{TRACE}-{SPAN}-01-" + "a" * 1_000_000,
}


@pytest.mark.parametrize("said", NONE.values(), ids=[name.replace(" ", "-") for name in NONE])
def test_what_is_no_traceparent_is_none(said: str) -> None:
    assert parse(said) is None


@given(st.text(max_size=80))
def test_whatever_is_said_is_a_place_or_none(said: str) -> None:
    place = parse(said)
    assert place is None or parse(place.header()) == place


def test_two_traces_that_begin_are_two() -> None:
    one, two = begin(), begin()
    assert one.trace != two.trace
    assert parse(one.header()) == one


def test_the_work_at_hand_is_where_it_was_put_and_nowhere_after() -> None:
    place = begin()
    with within(place):
        assert (current(), header()) == (place, place.header())
        with within(place.child()) as below:
            assert below is not None and below.trace == place.trace and below.span != place.span
            assert current() == below
        with within(None):
            assert current() == place, "none is no other place"
        assert current() == place
    assert (current(), header()) == (None, "")


async def test_two_that_work_beside_each_other_are_each_in_their_own() -> None:
    async def work(place: TraceContext) -> str:
        with within(place):
            await asyncio.sleep(0)
            return header() + await asyncio.to_thread(header)

    places = [begin() for _ in range(3)]
    assert await asyncio.gather(*map(work, places)) == [place.header() * 2 for place in places]


@pytest.mark.parametrize("trace", ["", "1", "x" * 32, "0" * 32, TRACE.upper()])
def test_what_is_no_trace_has_no_place(trace: str) -> None:
    assert of_trace(trace) is None


@pytest.mark.parametrize("trace", [TRACE, "0" * 16 + "1" * 16])
def test_who_knows_the_trace_alone_has_a_place_in_it(trace: str) -> None:
    place = of_trace(trace)
    assert place is not None and place.trace == trace
    assert parse(place.header()) == place
