"""The observer with metrics of the team's own: from answers of a source to verdicts, records and kept looks."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jsonschema
import pytest

from gopub.canon import canonical
from gopub.errors import UsageError
from gopub.health.backends.checked import CheckedSource
from gopub.health.backends.edges import EdgesThemselves
from gopub.health.backends.several import Several
from gopub.health.config import OwnTarget
from gopub.health.dispersion import Tally
from gopub.health.observation import Observation
from gopub.health.observe import Observer
from gopub.health.own import OwnLook, OwnState, OwnWindow
from gopub.health.ownread import Counters, OwnAnswer, OwnSeries
from gopub.health.ownwatch import LONGEST, OwnWatch, tracks_of
from gopub.health.samples import (
    Histogram,
    HostCounts,
    NoData,
    ProcessHealth,
    ResolvedQuery,
    TrackWindow,
    Window,
)
from gopub.health.wire import to_json
from gopub.judge.backtest import backtest, under
from gopub.judge.between import Between, looks_from_json, unfolded
from gopub.judge.replay import judge, record_from_json, record_to_json, replay
from gopub.judge.verdict import Cause, History, Kind, Policy
from gopub.schemas import schema
from gopub.spec.models import Judge
from tests.unit.test_health_observer import CANARY, CONFIG, STABLE, T0, World

RATIO = OwnTarget("lost", "ratio", "failed", "all")
PLAIN = OwnTarget("lost", "counter", "failed")
QUEUE = OwnTarget("queue", "gauge", "queue")
Answer = Mapping[str, float] | str


@dataclass
class Own(World):
    """A world whose service has counters of its own; satisfies OwnSource."""

    own_counts: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    """(query, release) → host → value; a host of no letters is all of the track."""
    says: Callable[[str, str, Answer], OwnAnswer | NoData | None] = lambda query, release, found: None
    hosts: dict[str, Sequence[str]] = field(default_factory=dict)
    questions: int = 0

    async def own(
        self, query: str, app: str, env: str, release: str, hosts: Sequence[str], at: float
    ) -> OwnAnswer | NoData:
        self.questions += 1
        self.hosts[release] = tuple(hosts)
        found = self.own_counts.get((query, release), {})
        if (told := self.says(query, release, found)) is not None:
            return told
        series = tuple(OwnSeries(host, host, value) for host, value in found.items() if host in ("", *hosts))
        return OwnAnswer(series, (ResolvedQuery(f"{query} {release}", at, len(series), "d" * 12),))

    def add(self, query: str, release: str, host: str, value: float) -> None:
        row = self.own_counts.setdefault((query, release), {})
        row[host] = row.get(host, 0.0) + value


async def watched(
    *targets: OwnTarget, bad: int = 0, looks: int = 40, world: Own | None = None, each: Any = None, config: Any = CONFIG
) -> tuple[Own, list[Any]]:
    """Looks every 2 s; in each 20 requests on the canary, of which ``bad`` are lost, and 60 on each of two stables."""
    world = world or Own()
    config = replace(config, own=targets)
    observer, between, kept = Observer(world, None, config), Between(), []
    for host in ("s1", "s2"):
        world.serve(STABLE, host, 0)
    await observer.start(T0)
    for number in range(1, looks + 1):
        for release, host, count, lost in (
            (CANARY, "h1", 20, bad),
            (STABLE, "s1", 60, number % 2),
            (STABLE, "s2", 60, 0),
        ):
            world.serve(release, host, count)
            world.add("all", release, host, count)
            world.add("failed", release, host, lost)
        if each:
            each(number, world)
        at = T0 + 2.0 * number
        seen = await observer.look(at, (ProcessHealth("h1"),), 0)
        between.add(seen)
        history = History(at, T0, 60.0, T0 + 4000, observed=2.0 * number)
        record = judge(seen, Policy.of(config), history)
        kept.append((record, looks_from_json(between.taken(seen)) if number % 13 == 1 else None))
    return world, kept


def last(found: tuple[Own, list[Any]]) -> Any:
    return found[1][-1][0]


async def test_a_good_canary_is_promoted_with_its_own_counts_in_the_reason() -> None:
    world, kept = await watched(RATIO)
    record = kept[-1][0]
    assert record.verdict.kind is Kind.PROMOTE
    assert "lost 0/" in record.verdict.reason
    asked = {query.text for one, _ in kept for query in one.observation.queries}
    assert {f"failed {CANARY}", f"all {CANARY}", f"failed {STABLE}", f"all {STABLE}"} <= asked
    assert world.hosts == {CANARY: ("h1",), STABLE: ("s1", "s2")}
    assert world.questions <= 4 * (1 + 80 / 5), "every five seconds, not at every look"


@pytest.mark.parametrize("target", [RATIO, PLAIN])
async def test_a_canary_that_loses_requests_is_taken_back_where_the_edges_see_nothing(target: OwnTarget) -> None:
    record = last(await watched(target, bad=8, looks=60))
    assert (record.verdict.kind, record.verdict.rule) == (Kind.ROLLBACK, 3)
    assert record.verdict.reason.startswith("the canary is worse than stable by the team's own metric lost: E = ")
    assert last(await watched(bad=8, looks=60)).verdict.kind is Kind.PROMOTE, "control: nobody else sees it"


async def test_all_of_a_track_in_one_series_is_the_same_evidence_but_for_the_hosts() -> None:
    def whole(_: int, world: Own) -> None:
        for key, row in world.own_counts.items():
            world.own_counts[key] = {"": sum(row.values())}

    record = last(await watched(RATIO, bad=8, looks=60, each=whole))
    assert (record.verdict.kind, record.verdict.rule) == (Kind.ROLLBACK, 3)


async def test_each_record_is_replayed_to_the_digit_and_a_changed_count_shows() -> None:
    _, kept = await watched(RATIO, QUEUE, bad=8)
    for record, _ in kept:
        text = json.dumps(record_to_json(record))
        again = record_from_json(json.loads(text))
        assert replay(again).same, replay(again).differences
        jsonschema.Draft202012Validator(schema("verdict")).validate(json.loads(text))
    data: Any = record_to_json(next(one for one, _ in kept[5:] if one.observation.own.windows))
    data["observation"]["own"]["windows"][0]["canary"]["h1"]["bad"] += 1
    found = replay(record_from_json(data)).differences
    assert any(text.startswith("evidence") for text in found)
    assert any(text.startswith("digest") for text in found)


async def test_kept_looks_give_the_same_evidence_again() -> None:
    _, kept = await watched(RATIO, bad=3)
    whole = [record for record, _ in kept]
    written = [(record, looks) for record, looks in kept if looks is not None or record is whole[0]]
    again = list(unfolded(written))
    assert len(again) > len(written)
    by_time = {one.observation.at: one.observation for one in whole}
    for one in again:
        assert one.observation.own.before == by_time[one.observation.at].own.before
    moved = {
        one.observation.own.before.metrics["lost"].canary.bad for one in again if one.observation.own.before.metrics
    }
    assert len(moved) > 3, "it moves"


async def test_a_backtest_counts_what_both_know() -> None:
    _, kept = await watched(RATIO, bad=8, looks=60)
    records = [record for record, _ in kept]
    plain = Judge.model_validate({})
    assert backtest(records, plain, 1).what == "PROMOTE", "a policy without the metric does not see it"
    same = {"metrics": [{"name": "lost", "kind": "ratio", "query": "x", "per": "y"}]}
    assert backtest(records, Judge.model_validate(same), 1).what == "ROLLBACK"
    other = {"metrics": [{"name": "other", "kind": "gauge", "query": "x"}]}
    assert backtest(records, Judge.model_validate(other), 1).what == "PROMOTE", "what was not asked then holds nobody"
    assert [one.name for one in under(CONFIG, Judge.model_validate(same)).own] == ["lost"]


async def test_the_state_survives_the_driver_and_the_next_one_begins_with_a_starting_point() -> None:
    world = Own()
    observer = Observer(world, None, replace(CONFIG, own=(RATIO,)))
    await observer.start(T0)
    await grow(world, observer, range(1, 20))
    state = observer.state()
    before = json.loads(json.dumps(state))["own"]["metrics"]["lost"]["canary"]
    assert before["bad"] > 0
    for host, release in (("h1", CANARY), ("s1", STABLE)):
        world.add("failed", release, host, 500)
        world.add("all", release, host, 9000)
    heir = Observer(world, None, replace(CONFIG, own=(RATIO,)), state)
    await heir.start(T0 + 100)
    await grow(world, heir, range(60, 62))
    after = json.loads(json.dumps(heir.state()))["own"]["metrics"]["lost"]["canary"]
    assert after == before, "what happened without a driver is nobody's"
    await grow(world, heir, range(62, 70))
    assert json.loads(json.dumps(heir.state()))["own"]["metrics"]["lost"]["canary"]["bad"] > before["bad"]


async def grow(world: Own, observer: Observer, numbers: range) -> None:
    for number in numbers:
        for release, host, lost in ((CANARY, "h1", 2), (STABLE, "s1", 1)):
            world.serve(release, host, 50)
            world.add("all", release, host, 50)
            world.add("failed", release, host, lost)
        await observer.look(T0 + 2.0 * number, (ProcessHealth("h1"),), 0)


@pytest.mark.parametrize(
    ("series", "why"),
    [
        ({"h1": math.nan}, "lost: it gives nan on h1, which is no value"),
        ({"h1": -3.0}, "lost: it gives -3 on h1, which is no count"),
        ({}, "lost: it gives no series"),
        ({"h9": 3.0}, "lost: it gives no series of h1"),
        ({"h1": 3.0, "": 4.0}, "lost: some of its series have the label host and some have not"),
    ],
)
async def test_an_answer_that_is_no_figure_holds(series: dict[str, float], why: str) -> None:
    answer = OwnAnswer(tuple(OwnSeries(host, host, value) for host, value in series.items()))
    world = Own(says=lambda query, release, _: answer if (query, release) == ("failed", CANARY) else None)
    record = last(await watched(RATIO, world=world))
    assert (record.verdict.kind, record.verdict.cause) == (Kind.HOLD, Cause.UNREAD)
    assert record.verdict.reason == f"no figures of the team's own metrics: {why}"


async def test_stables_side_is_needed_as_well() -> None:
    refused = NoData("it says 'parse error'")
    world = Own(says=lambda query, release, _: refused if (query, release) == ("all", STABLE) else None)
    record = last(await watched(RATIO, world=world))
    assert record.verdict.reason.endswith("lost: `per`: it says 'parse error' (asked for stable)")


async def test_a_counter_that_begins_anew_blames_nobody() -> None:
    def restarts(number: int, world: Own) -> None:
        if number % 6 == 0:
            for release, host in ((CANARY, "h1"), (STABLE, "s1")):
                world.own_counts["failed", release][host] = 0.0
                world.own_counts["all", release][host] = 3.0

    record = last(await watched(RATIO, each=restarts, looks=60))
    assert record.verdict.kind is Kind.PROMOTE


@pytest.mark.parametrize("target", [RATIO, PLAIN, QUEUE], ids=lambda one: one.kind)
async def test_another_env_that_runs_the_same_release_is_none_of_the_canary(target: OwnTarget) -> None:
    """Its query names the release alone, so it gives what staging loses there as well."""

    def staging(query: str, release: str, found: Answer) -> OwnAnswer | None:
        rows = dict(found) if isinstance(found, Mapping) else {}
        return OwnAnswer(tuple(OwnSeries(host, host, value) for host, value in rows.items()))

    def loses(number: int, world: Own) -> None:
        for query, value in (("failed", 20.0), ("all", 20.0)):
            world.add(query, CANARY, "staging", value)
        for release, host in ((CANARY, "h1"), (STABLE, "s1"), (STABLE, "s2")):
            world.own_counts["queue", release] = world.own_counts.get(("queue", release), {}) | {host: 5.0}
        world.own_counts["queue", CANARY]["staging"] = 900.0

    record = last(await watched(target, each=loses, world=Own(says=staging)))
    assert record.verdict.kind is Kind.PROMOTE
    assert "series of hosts that are not of their track (1) are left out: write host=~" in record.verdict.reason


async def test_one_host_without_series_holds_until_it_has_them() -> None:
    def silent(number: int, world: Own) -> None:
        if number < 25:
            world.own_counts["failed", CANARY].pop("h1", None)

    _, kept = await watched(RATIO, each=silent)
    early, late = kept[20][0], kept[-1][0]
    assert "lost: it gives no series" in early.verdict.reason
    assert [one.observation.own.told[0].settles for one, _ in (kept[4], kept[20])] == [True, False], "not scraped yet"
    assert late.verdict.kind is Kind.PROMOTE


async def test_a_metric_of_which_nothing_happens_is_not_known_to_be_good() -> None:
    def idle(_: int, world: Own) -> None:
        for release, host in ((CANARY, "h1"), (STABLE, "s1"), (STABLE, "s2")):
            world.own_counts["all", release][host] = world.own_counts["failed", release][host] = 7.0

    record = last(await watched(RATIO, each=idle))
    assert record.verdict.reason.endswith("lost: it has counted nothing on the canary so far")


async def test_a_source_that_answers_no_queries_says_so() -> None:
    observer = Observer(world := World(), None, replace(CONFIG, own=(RATIO,)))
    await observer.start(T0)
    for release, host in ((CANARY, "h1"), (STABLE, "s1")):
        world.serve(release, host, 10)
    seen = await observer.look(T0 + 2, (ProcessHealth("h1"),), 0)
    assert seen.own.told[0].unread == "these metrics answer no queries"


async def test_a_gauge_that_is_worse_holds() -> None:
    def queue(_: int, world: Own) -> None:
        for release, host, value in ((CANARY, "h1", 40.0), (STABLE, "s1", 9.0), (STABLE, "s2", 11.0)):
            world.own_counts.setdefault(("queue", release), {})[host] = value

    record = last(await watched(QUEUE, each=queue))
    assert (record.verdict.kind, record.verdict.cause) == (Kind.HOLD, Cause.OWN)
    assert record.verdict.reason.startswith("queue is 40 on the canary, 10 on stable")


async def test_a_slow_answer_keeps_no_look_waiting_and_is_told_when_it_is_old() -> None:
    came = asyncio.Event()

    class Slow:
        async def own(self, *_: Any) -> OwnAnswer:
            await came.wait()
            return OwnAnswer((OwnSeries("h1", "h1", 3.0),))

    config = replace(CONFIG, own=(RATIO,))
    watch = OwnWatch(Slow(), config, patience=0.0)
    who = tracks_of(config, (ProcessHealth("h1"),), frozenset(), frozenset())
    first, asked = await watch.read(T0, 0, who, OwnState(), 5.0)
    assert (first.told[0].unread, asked) == ("its first reading is still under way", ())
    came.set()
    for _ in range(100):
        await asyncio.sleep(0)
    read, _ = await watch.read(T0 + 5, 0, who, OwnState(), 5.0)
    assert read.told[0].unread == "it has counted nothing on the canary so far"
    came.clear()
    await watch.read(T0 + 5.1, 0, who, OwnState(), 5.0)
    old, _ = await watch.read(T0 + LONGEST + 1, 0, who, OwnState(), 5.0)
    assert old.told[0].unread == "no answer for 31s"
    came.set()


async def test_a_source_that_raises_ends_no_look() -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("secret")

    record = last(await watched(RATIO, world=Own(says=fails)))
    assert record.verdict.reason.endswith("lost: its source failed: RuntimeError")


async def test_requests_of_a_change_of_traffic_are_left_out() -> None:
    """Where edges count the requests, the first 15 s of each step are a starting point."""
    world = Own()
    observer = Observer(world, None, replace(CONFIG, own=(PLAIN,)))
    await observer.start(T0)
    starts = []
    for number in range(1, 40):
        for release, host in ((CANARY, "h1"), (STABLE, "s1")):
            world.serve(release, host, 50)
            world.add("failed", release, host, 1)
        seen = await observer.look(T0 + 2.0 * number, (ProcessHealth("h1"),), int(number >= 20))
        starts += [(one.step, one.start - T0, one.canary["h1"]) for one in seen.own.windows]
    assert min(start for step, start, _ in starts if step == 0) >= 15
    assert min(start for step, start, _ in starts if step == 1) >= 40 + 15
    assert all(tally.bad * 50 == tally.exposed for _, _, tally in starts), "each event with the requests of its time"


def test_a_config_is_kept_with_its_queries() -> None:
    kept: Any = to_json(replace(CONFIG, own=(RATIO,)))
    assert kept["own"] == [
        {"name": "lost", "kind": "ratio", "query": "failed", "per": "all", "direction": "lower", "margin": 0.25,
         "required": True}
    ]  # fmt: skip


def test_a_kept_reading_is_bounded_however_large_the_fleet() -> None:
    fleet = {f"{n:063d}": Tally(10**9, 10**12) for n in range(500)}
    window = OwnWindow("m" * 40, 0, T0, T0 + 5, fleet, fleet)
    look = OwnLook(windows=(window,))
    between = Between()
    counted = Window(T0, T0 + 5, TrackWindow(CANARY, (HostCounts("h1", 1, 0),), Histogram((1.0,), (1, 0))), None)
    seen = Observation(CONFIG, 0, T0, windows=(counted,), own=look)
    between.add(seen)
    bare = Between()
    bare.add(replace(seen, own=None))
    following = replace(seen, at=T0 + 5)
    more = len(canonical(between.taken(following))) - len(canonical(bare.taken(following)))
    assert 0 < more <= 4096


async def test_two_servers_of_one_service_are_never_subtracted_from_each_other() -> None:
    """Their scrapes are of other moments: where one falls silent the other one's counters are a starting point."""

    class Server(World):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.value: float | None = value

        async def own(self, *_: Any) -> OwnAnswer | NoData:
            if self.value is None:
                return NoData("it is down")
            return OwnAnswer((OwnSeries("h1", "h1", self.value),))

    a, b = Server(100.0), Server(98.0)
    pair, counters = Several({"a": a, "b": b}, patience=0.1), Counters()

    async def gained() -> Mapping[str, float]:
        found = await pair.own("q", "o", "p", "c1", ["h1"], 1.0)
        assert isinstance(found, OwnAnswer)
        return counters.gained(found)

    assert await gained() == {}
    a.value = None
    assert await gained() == {}, "98 is no 100 that fell, and no start of 98 events"
    b.value = 101.0
    assert await gained() == {"h1": 3.0}
    a.value, b.value = 102.0, 102.0
    assert await gained() == {"h1": 1.0}, "whoever answered last goes on: no reading is lost for a better one"
    b.value = None
    assert await gained() == {}, "a was 100, and the other one counted all that came since: nothing is counted twice"
    a.value = 104.0
    assert await gained() == {"h1": 2.0}
    a.value = None
    found = await pair.own("q", "o", "p", "c1", ["h1"], 1.0)
    assert found == NoData("it is down; it is down")


async def test_what_compares_edges_with_prometheus_asks_prometheus_or_says_that_there_is_none() -> None:
    world = Own()
    world.add("q", "c1", "h1", 7.0)
    found = await CheckedSource(EdgesThemselves().open(), world, directly=True).own("q", "o", "p", "c1", ["h1"], 1.0)
    assert isinstance(found, OwnAnswer)
    assert [one.value for one in found.series] == [7.0]
    none = await CheckedSource(EdgesThemselves().open(), World(), directly=True).own("q", "o", "p", "c1", ["h1"], 1.0)
    assert none == NoData("these metrics answer no queries")


async def test_a_record_whose_margin_leaves_nothing_is_refused_and_not_computed() -> None:
    _, kept = await watched(RATIO, looks=8)
    whole: Any = record_to_json(kept[-1][0])
    assert record_from_json(whole)
    for change, why in (
        ({"direction": "higher", "margin": 1.0}, "leaves nothing"),
        ({"margin": -1.0}, "is below 0"),
        ({"kind": "summary"}, "is none of counter, gauge, ratio"),
    ):
        data = json.loads(json.dumps(whole))
        data["observation"]["config"]["own"][0] |= change
        with pytest.raises(UsageError, match=why):
            record_from_json(data)
    whole["observation"]["config"]["own"] *= 11
    with pytest.raises(UsageError, match="has 11, and 10 are the most"):
        record_from_json(whole)
