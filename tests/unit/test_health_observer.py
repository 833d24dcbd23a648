"""The observer over sources that do what they are told: a public double of the metric and log protocols."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import jsonschema
import pytest

from gopub.health.config import JudgeConfig, ScoreWeights, SloTarget
from gopub.health.observe import Observer
from gopub.health.samples import (
    CounterSnapshot,
    LogCounts,
    NoData,
    ProcessHealth,
    RawSeries,
    ResolvedQuery,
    RuntimeSample,
    RuntimeSnapshot,
)
from gopub.health.sources import LogTarget
from gopub.health.wire import from_json, to_json
from gopub.judge.replay import judge, record_from_json, record_to_json, replay, schemas
from gopub.judge.verdict import History, Kind, Policy
from gopub.schemas import schema

STABLE, CANARY = "5" * 12, "c" * 12
BOUNDS = (0.05, 0.2, 1.0)
T0 = 1_700_000_000.0
CONFIG = JudgeConfig("hello", "prod", "r-1", CANARY, STABLE, SloTarget(0.2, 0.01))
WELL = (ProcessHealth("h1"),)


@dataclass
class World:
    """Counters that grow when they are told to; satisfies MetricSource."""

    counts: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """(release, host) → [good, bad, quick, middling, slow]."""
    down: str = ""
    past: tuple[CounterSnapshot, ...] = ()
    heaps: dict[str, float] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def serve(self, release: str, host: str, good: int, bad: int = 0, slow: int = 0) -> None:
        row = self.counts.setdefault((release, host), [0, 0, 0, 0, 0])
        for index, more in enumerate((good, bad, good + bad - slow, 0, slow)):
            row[index] += more

    def snapshot(self, at: float) -> CounterSnapshot:
        found = []
        for (release, host), (good, bad, quick, middling, slow) in self.counts.items():
            buckets = (quick, quick + middling, quick + middling + slow)
            cumulative = dict(zip((*BOUNDS, math.inf), (*buckets, buckets[-1]), strict=True))
            classes = {"2xx": float(good), "5xx": float(bad), "cut": 0.0}
            found.append(RawSeries("e1", release, host, classes, {le: float(n) for le, n in cumulative.items()}))
        query = (ResolvedQuery("counters", at, len(found), "abc"),)
        return CounterSnapshot(at, tuple(found), {"e1": at}, 1.0, queries=query)

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        self.asked.append(f"counters {app} {env} {' '.join(releases)}")
        return NoData(self.down) if self.down else self.snapshot(at)

    async def history(self, app: str, env: str, releases: Sequence[str], at: float):
        self.asked.append(f"history {app} {env} {' '.join(releases)} {at:g}")
        return NoData(self.down) if self.down else self.past

    async def runtime(self, app: str, env: str, hosts: Sequence[str], at: float) -> RuntimeSnapshot | NoData:
        self.asked.append(f"runtime {app} {env}")
        samples = (RuntimeSample(host, at, self.heaps[host]) for host in hosts if host in self.heaps)
        return NoData(self.down) if self.down else RuntimeSnapshot(at, tuple(samples))


@dataclass
class Logs:
    """Satisfies LogSource: what each host says at the next reading."""

    says: dict[str, dict[str, int]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    readings: int = 0
    before: dict[str, dict[str, int]] = field(default_factory=dict)

    async def read(self, target: LogTarget, since: float) -> LogCounts | NoData:
        if since < T0:
            assert (since, target.release) == (T0 - 600, f"{STABLE} before")
            return LogCounts(target.host, target.release, self.before.get(target.host, {}), 1, "")
        assert since == T0
        self.readings += 1
        if target.host in self.silent:
            return NoData(f"journald on {target.host} unreachable")
        return LogCounts(target.host, target.release, self.says.get(target.host, {}), 1, "")


def targets(*hosts):
    return tuple(LogTarget(host, CANARY if host == "h1" else STABLE, "hello.service", None) for host in hosts)


async def rollout(world, observer, looks, *, bad=0, slow=0, start=0, n=40, **more):
    """Looks every 2 s with one canary host and two stable ones."""
    seen = []
    for index in range(start, start + looks):
        world.serve(CANARY, "h1", n - bad, bad, slow)
        world.serve(STABLE, "h2", n, 0, 0)
        world.serve(STABLE, "h3", n, 0, 0)
        seen.append(await observer.look(T0 + 2 + 2 * index, WELL, 0, **more))
    return seen


async def started(world=None, logs=None, config=CONFIG, **more):
    world = world or World()
    observer = Observer(world, logs, config, **more)
    for host in ("h2", "h3"):
        world.serve(STABLE, host, 0)
    await observer.start(T0)
    return world, observer


async def test_good_looks_give_a_good_observation():
    world, observer = await started()
    seen = await rollout(world, observer, 10)
    last = seen[-1]
    assert last.no_data is None
    assert (last.step_totals.canary_requests, last.step_totals.stable_requests) == (400, 800)
    assert last.score.value > 95
    assert last.evidence.log_e < 0.1
    assert (last.slo_canary.broken, last.slo_stable.broken) == ((), ())
    assert last.evidence.slow_above == 0.2


async def test_a_look_asks_little():
    world, observer = await started()
    world.asked.clear()
    await rollout(world, observer, 1)
    assert world.asked == [f"counters hello prod {STABLE} {CANARY}", "runtime hello prod"]


async def test_a_canary_that_fails_is_overwhelming_within_four_looks():
    world, observer = await started()
    seen = await rollout(world, observer, 6, bad=8)
    first = next(i for i, look in enumerate(seen, 1) if look.evidence.log_e >= math.log(10_000))
    assert first <= 4
    assert seen[3].slo_canary.broken == ("error_rate",)


async def test_no_series_of_the_canary_is_no_data():
    world, observer = await started()
    world.serve(STABLE, "h2", 40)
    seen = await observer.look(T0 + 2, WELL, 0)
    assert seen.no_data == f"the edges have counted no answer of the canary release {CANARY} so far"
    assert (seen.score.value, seen.unseen) == (None, 1.0), "sources answer, and an edge is scraped each second"
    world.serve(CANARY, "h1", 40)
    assert (await observer.look(T0 + 4, WELL, 0)).unseen is None


async def test_a_source_that_is_down_is_no_data_and_evidence_stays():
    world, observer = await started()
    before = (await rollout(world, observer, 3, bad=8))[-1]
    world.down = "Prometheus is down"
    seen = await observer.look(T0 + 10, WELL, 0)
    assert (seen.no_data, seen.windows) == ("Prometheus is down", ())
    assert seen.evidence.log_e == before.evidence.log_e
    assert seen.step_totals == before.step_totals
    world.down = ""
    back = (await rollout(world, observer, 1, start=9, bad=8))[-1]
    assert back.windows[0].start == before.at, "what happened in the dark is counted when the light is back"


async def test_a_source_that_is_down_at_the_start():
    world = World(down="Prometheus is down")
    observer = Observer(world, None, CONFIG)
    await observer.start(T0)
    assert (await observer.look(T0 + 2, WELL, 0)).no_data == "Prometheus is down"
    world.down = ""
    world.serve(CANARY, "h1", 10_000, 9_000)
    first = await observer.look(T0 + 4, WELL, 0)
    assert (first.no_data, first.windows, first.step_totals.canary_requests) == (None, (), 0)
    world.serve(CANARY, "h1", 10)
    assert (await observer.look(T0 + 6, WELL, 0)).step_totals.canary_requests == 10


async def test_a_canary_without_requests_is_idle():
    world, observer = await started()
    assert (await rollout(world, observer, 3))[-1].idle == 0
    seen = await observer.look(T0 + 106, WELL, 0)
    assert seen.idle == 100
    assert seen.step_totals.canary_requests == 120


async def test_totals_of_a_step_begin_anew_and_evidence_does_not():
    world, observer = await started()
    last = (await rollout(world, observer, 3, bad=8))[-1]
    world.serve(CANARY, "h1", 5)
    seen = await observer.look(T0 + 20, WELL, 1)
    assert seen.step_totals.canary_requests == 5
    assert seen.rollout_totals.canary_requests == 125
    assert seen.evidence.log_e == pytest.approx(last.evidence.log_e)


async def test_recover_keeps_evidence_and_totals_and_begins_windows_anew():
    world, observer = await started()
    last = (await rollout(world, observer, 3, bad=8))[-1]
    kept = json.loads(json.dumps(observer.state()))
    world.serve(CANARY, "h1", 0, 1000)  # while nobody looked
    after = Observer(world, None, CONFIG, kept)
    world.asked.clear()
    await after.start(T0 + 60)
    assert not any(text.startswith("history") for text in world.asked)
    seen = await after.look(T0 + 62, WELL, 0)
    assert seen.evidence.log_e == pytest.approx(last.evidence.log_e)
    assert seen.step_totals == last.step_totals
    assert seen.recent.canary.attempts == 0


async def test_the_last_step_is_held_against_what_stable_was():
    """No stable traffic any more, no SLO: the score still has a measure."""
    config = replace(CONFIG, slo=SloTarget())
    world, observer = await started(config=config)
    await rollout(world, observer, 5)
    for index in range(5):
        world.serve(CANARY, "h1", 40, 0, 40)
        seen = await observer.look(T0 + 100 + 2 * index, WELL, 1)
    assert seen.scored.stable.attempts >= 50
    assert seen.score.value <= 80
    assert seen.evidence.basis == "none"


async def test_without_an_slo_slow_is_learnt_from_stable_once():
    world, observer = await started(config=replace(CONFIG, slo=SloTarget()))
    seen = await rollout(world, observer, 5)
    assert seen[0].evidence.slow_above is None
    assert seen[-1].evidence.slow_above == pytest.approx(0.0475, abs=1e-3)
    late = await rollout(world, observer, 5, slow=40, start=5)
    assert late[-1].evidence.slow_above == seen[-1].evidence.slow_above
    assert late[-1].evidence.log_e > math.log(10_000)


async def test_history_teaches_the_spread_and_what_is_slow():
    past = World()
    snapshots = []
    for minute in range(30):
        for host in ("h1", "h2", "h3"):
            past.serve(STABLE, host, 1000, 30 if minute % 3 == int(host[1]) - 1 else 0, 20)
        snapshots.append(past.snapshot(T0 - 1800 + 60 * minute))
    world = World(past=tuple(snapshots))
    _, observer = await started(world, config=replace(CONFIG, slo=SloTarget()))
    seen = (await rollout(world, observer, 1))[-1]
    assert seen.evidence.phi > 5
    assert seen.evidence.slow_above == pytest.approx(0.0485, abs=1e-3)


async def test_a_leak_lowers_the_score_and_a_short_bake_leaves_it_out():
    world, observer = await started()
    values = []
    for second in range(0, 300, 10):
        world.heaps["h1"] = (50 + 20 * second / 60) * 2**20
        world.serve(CANARY, "h1", 40)
        world.serve(STABLE, "h2", 40)
        seen = await observer.look(T0 + second, WELL, 0)
        values.append(seen.score.value)
    assert values[1] > 95
    assert values[18] <= 40, "20 MiB a minute is seen within three minutes"


async def test_declared_but_missing_is_inconclusive():
    config = replace(CONFIG, score=ScoreWeights(declared=("memory_growth",)))
    world, observer = await started(config=config)
    assert (await rollout(world, observer, 3))[-1].score.notes == ("memory_growth: not exposed",)


# --- logs


async def test_logs_are_read_rarely_while_all_is_well_and_at_each_look_when_not():
    logs = Logs()
    world, observer = await started(logs=logs)
    await rollout(world, observer, 6, logs=targets("h1", "h2", "h3"))
    assert logs.readings == 3 * 3, "at the first look, four and eight seconds later"
    await rollout(world, observer, 3, start=6, bad=8, logs=targets("h1", "h2", "h3"))
    assert logs.readings == 6 * 3


async def test_error_lines_of_the_canary_raise_the_log_score():
    logs = Logs({"h1": {"level:error": 8, "error:connection refused": 8}})
    world, observer = await started(logs=logs)
    seen = await rollout(world, observer, 6, bad=8, logs=targets("h1", "h2", "h3"))
    assert seen[-1].log_score.value > 0.85
    assert seen[-1].log_note == ""


async def test_unreachable_logs_are_no_score_and_said():
    logs = Logs(silent={"h1"})
    world, observer = await started(logs=logs, config=replace(CONFIG, log_every=10.0))
    seen = (await rollout(world, observer, 1, logs=targets("h1", "h2")))[-1]
    assert (seen.log_score, seen.log_note) == (None, "journald on h1 unreachable")
    logs.silent = {"h3"}
    soon = await rollout(world, observer, 3, start=1, bad=8, logs=targets("h1", "h2", "h3"))
    assert logs.readings == 2, "a host that hangs is not asked again at once, however urgent it is"
    assert {(look.log_score, look.log_note) for look in soon} == {(None, "journald on h1 unreachable")}
    seen = (await rollout(world, observer, 1, start=5, logs=targets("h1", "h2", "h3")))[-1]
    assert seen.log_score is not None
    assert seen.log_note == "journald on h3 unreachable"


@pytest.mark.parametrize(
    ("logs", "where", "compare", "note"),
    [
        (None, ("h1", "h2"), True, "no log source"),
        (Logs(), (), True, "no hosts on both tracks to compare the logs of"),
        (Logs(), ("h1", "h2"), False, "not compared: the canary's users chose themselves in this step"),
    ],
)
async def test_why_there_is_no_log_score(logs, where, compare, note):
    world, observer = await started(logs=logs)
    seen = (await rollout(world, observer, 1, logs=targets(*where), compare=compare))[-1]
    assert (seen.log_score, seen.log_note) == (None, note)


# --- records


async def _records():
    logs = Logs({"h1": {"level:error": 8}})
    world, observer = await started(logs=logs)
    seen = await rollout(world, observer, 4, logs=targets("h1", "h2", "h3"))
    seen += await rollout(world, observer, 6, start=4, bad=4, slow=9, logs=targets("h1", "h2", "h3"))
    world.down = "down"
    seen.append(await observer.look(T0 + 99, WELL, 1))
    past = History(T0, T0, 10.0, T0 + 3600)
    out = []
    for look in seen:
        past = replace(past, now=look.at)
        out.append(judge(look, Policy.of(CONFIG), past))
        past = past.after(out[-1].verdict)
    return out


async def test_a_real_record_validates_survives_json_and_replays_to_the_same_verdict():
    records = await _records()
    assert {record.verdict.kind for record in records} >= {Kind.HOLD, Kind.ROLLBACK}
    for record in records:
        wire = json.loads(json.dumps(record_to_json(record), allow_nan=False))
        jsonschema.validate(wire, schema("verdict"))
        jsonschema.validate(wire["observation"], schema("observation"))
        again = record_from_json(wire)
        assert again == record
        assert replay(again).same, replay(again).differences


async def test_replay_finds_a_forged_input():
    """Control: other counts, other evidence."""
    record = (await _records())[7]
    canary = record.observation.windows[0].canary
    forged = replace(canary, hosts=(replace(canary.hosts[0], errors=0),))
    windows = (replace(record.observation.windows[0], canary=forged),)
    changed = replace(record, observation=replace(record.observation, windows=windows))
    assert any(text.startswith("evidence:") for text in replay(changed).differences)


async def test_the_schema_refuses_what_is_not_a_record():
    wire = record_to_json((await _records())[0])
    for change in ({"verdict": {}}, {"more": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**wire, **change}, schema("verdict"))


@pytest.mark.parametrize("name", ["observation", "verdict"])
def test_the_schema_files_are_those_of_the_types(name):
    made = schemas()[f"{name}.v1.json"]
    assert made == schema(name), "write it again: python -m gopub.judge.replay"
    jsonschema.Draft202012Validator.check_schema(made)


async def test_state_survives_json_exactly():
    world, observer = await started()
    await rollout(world, observer, 3, bad=8)
    kept = observer.state()
    assert Observer(world, None, CONFIG, json.loads(json.dumps(kept))).state() == kept
    kind = type(observer._state)
    assert to_json(from_json(kind, kept)) == kept
