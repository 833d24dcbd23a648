"""Error lines without an SLO break: condemned, told, held; and innocent new lines, which hold nobody."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from gopub.health.loglines import classes
from gopub.health.logscore import NOVEL, LogReading, LogState, fold_logs, log_score, mark
from gopub.health.samples import LogCounts
from gopub.health.wire import to_json
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.judge.replay import judge
from gopub.judge.verdict import History, Kind, Policy, Verdict
from gopub.views.explanation import explanation
from tests.bench.judge_simulator import draw
from tests.support.chance import seed as chance_seed
from tests.unit.test_health_observer import CONFIG, T0, Logs, rollout, started, targets

WHERE = targets("h1", "h2", "h3")
PANIC = {"level:error": 4, "error:panic": 4, "template:panic recovered": 4}


async def bake(logs: Logs, looks: int, *, deadline: float = 3600.0) -> list[Verdict]:
    world, observer = await started(logs=logs)
    seen = await rollout(world, observer, looks, logs=WHERE)
    past = History(T0, T0, 10.0, T0 + deadline)
    return [judge(look, Policy.of(CONFIG), replace(past, now=look.at)).verdict for look in seen]


async def test_recovered_panics_hold_with_classes_and_counts():
    logs = Logs({"h1": PANIC})
    last = (await bake(logs, 60))[-1]
    assert (last.kind, last.rule, last.alert) == (Kind.HOLD, 6, True)
    assert last.reason.startswith("the canary logs errors that stable does not: ")
    assert f"'error:panic' {4 * logs.readings // 3} in " in last.reason
    assert "requests, stable 0 in " in last.reason
    assert "the mark is 0.85" in last.reason


async def test_recovered_panics_go_back_at_the_deadline():
    ends = await bake(Logs({"h1": PANIC}), 60, deadline=100.0)
    assert next(verdict.kind for verdict in ends if verdict.at >= T0 + 100) is Kind.ROLLBACK


async def test_control_the_same_lines_on_stable_are_promoted_and_the_score_is_said():
    last = (await bake(Logs(dict.fromkeys(("h1", "h2", "h3"), PANIC)), 60))[-1]
    assert last.kind is Kind.PROMOTE, last
    assert "log score 0.0" in last.reason


async def test_what_stable_wrote_before_the_rollout_is_learnt_once():
    logs = Logs({"h1": PANIC}, before={"h2": {"template:panic recovered": 2}, "h3": {"template:other way": 1}})
    world, observer = await started(logs=logs)
    await rollout(world, observer, 20, logs=WHERE)
    kept = observer.state()["logs"]
    assert set(kept["known"]) == {mark("template:panic recovered"), mark("template:other way")}
    assert NOVEL not in kept["order"]
    fresh = Logs({"h1": PANIC})
    world, observer = await started(logs=fresh)
    await rollout(world, observer, 20, logs=WHERE)
    assert NOVEL in observer.state()["logs"]["order"], "control: nothing was known"


async def test_a_journal_that_falls_silent_takes_nothing_back():
    logs = Logs({"h1": PANIC})
    world, observer = await started(logs=logs)
    before = (await rollout(world, observer, 40, logs=WHERE))[-1]
    logs.silent = {"h1", "h2", "h3"}
    after = (await rollout(world, observer, 10, start=40, logs=WHERE))[-1]
    assert after.log_score.value >= before.log_score.value > 0.85
    assert after.log_note.startswith("as last read; since then: journald on h1 unreachable")
    chosen = (await rollout(world, observer, 1, start=50, logs=WHERE, compare=False))[-1]
    assert chosen.log_score is not None, "a step whose users chose themselves forgets nothing either"


@pytest.mark.parametrize(
    "line",
    [
        '{"level":"info","msg":"orders 2.0 listening on :8080"}',
        '{"level":"info","msg":"request","NetworkError":0,"status":200}',
        '{"level":"info","msg":"counted ClientError 0 of 5"}',
        'level=info msg="cache warm, no TimeoutError seen"',
        "2026/01/02 03:04:05 INFO new banner: ready",
        "____  ready, version 2 ____",
    ],
)
def test_a_harmless_new_line_is_no_error_line(line):
    assert classes(line) == ()


@pytest.mark.parametrize(
    "line",
    ['{"level":"error","msg":"x","err":"ClientError"}', '{"level":"warn","msg":"panic recovered"}', "ClientError: x"],
)
def test_control_these_are(line):
    assert classes(line)


def simulated(seed: int, rates: dict[str, float], extra: float = 0.0, cluster: int = 1) -> bool:
    """Whether a canary's logs are condemned at any of its 30 readings; one canary host, three stable ones."""
    rng, state = random.Random(seed), LogState()
    for at in range(30):
        requests, counts = {}, []
        for host in ("h1", "h2", "h3", "h4"):
            requests[host] = max(1, round(rng.gauss(200, 14)))
            found = {name: cluster * draw(rng, requests[host], rate / cluster) for name, rate in rates.items()}
            found["template:new"] = draw(rng, requests[host], extra) if host == "h1" else 0
            counts.append(LogCounts(host, "", {name: n for name, n in found.items() if n}, 1, ""))
        state = fold_logs(state, LogReading(10.0 * at, 10.0 * at + 10, (counts[0],), tuple(counts[1:]), requests))
        if log_score(state).value >= 0.85:
            return True
    return False


@pytest.mark.parametrize(
    ("rates", "cluster"),
    [({"level:error": 0.02}, 1), ({"level:error": 0.002, "template:a": 0.001}, 1), ({"level:error": 0.01}, 4)],
    ids=["often", "rarely", "in clusters"],
)
def test_the_logs_of_an_innocent_canary_hold_it_rarely(rates, cluster):
    seed = chance_seed()
    false = sum(simulated(seed + i, rates, cluster=cluster) for i in range(150))
    assert false <= 6, f"{false} of 150: at 1 % more than 6 would come less than once in 1000 times"


def test_control_new_error_lines_are_found():
    seed = chance_seed()
    assert sum(simulated(seed + i, {"level:error": 0.005}, extra=0.05) for i in range(30)) == 30


async def test_explain_tells_the_log_score_or_why_there_is_none():
    logs = Logs({"h1": PANIC})
    world, observer = await started(logs=logs)
    seen = (await rollout(world, observer, 40, logs=WHERE))[-1]
    told = "\n".join(explained(seen))
    assert "log score 1 over" in told or "log score 0.9" in told
    assert f"'error:panic' {4 * logs.readings // 3} against 0" in told
    blind = replace(seen, log_score=None, log_note="journald on h1 unreachable")
    assert "no log score: journald on h1 unreachable" in "\n".join(explained(blind))
    assert math.isfinite(seen.log_score.log_e)


def explained(seen):
    record = judge(seen, Policy.of(CONFIG), History(seen.at, T0, 10.0, T0 + 3600))
    verdict = record.verdict
    event = ev.Judged(0, str(verdict.kind), verdict.rule, verdict.reason, {"record": to_json(record), "observer": None})
    return explanation([Entry(1, "s", 1, event, "a", "t", T0, "0" * 64)])
