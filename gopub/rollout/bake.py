"""Baking a step: look, decide, write, until a verdict ends it. The driver guards the canary as long as it has traffic.

every look: requests of people → health of the canary's processes → observation → verdict → journal
PROMOTE, and the next step's gate is open: the step is passed
PROMOTE with a closed gate, HOLD, WATCH: look again
ROLLBACK, WITHDRAW: Trouble, which takes the rollout back
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from pydantic import JsonValue

from gopub.errors import GopubError
from gopub.health.samples import ProcessHealth
from gopub.health.wire import to_json
from gopub.journal import events as ev
from gopub.judge.decision import decide
from gopub.judge.gates import RESUME, heard, held_until, hold_of
from gopub.judge.replay import sealed
from gopub.judge.verdict import History, Kind, Verdict, VerdictRecord
from gopub.plan.model import Outcome, PlannedStep
from gopub.rollout import hosts
from gopub.rollout.box import Trouble, box, obey_abort
from gopub.rollout.judging import Judging, judging
from gopub.rollout.run import Run

RETELL = 60.0
"""Seconds after which a verdict that did not change is written again; sooner in a short bake, for what was observed
after the last one that was written is lost with its driver, evidence and bake time alike."""
OFTEN, SOONEST = 6, 5.0
"""So many times a bake, but not within so many seconds."""


@box
async def bake(run: Run, step: PlannedStep, judging: Judging) -> None:
    """Observe the step until it may be left, or until a verdict or a person turns the rollout around."""
    if step.index in run.state.passed:
        return
    history = _history(run, step)
    retell = max(SOONEST, min(RETELL, step.bake / OFTEN))
    told, told_at = "", 0.0
    while step.index not in run.state.passed:
        obey_abort(run)
        history = heard(replace(history, now=run.ports.clock.now()), run.plan, step.index, run.asked())
        note_hold(run)
        record = await look(run, step, judging, history)
        verdict, history = record.verdict, record.history
        beside = record.shadow.verdict.kind if record.shadow else ""
        says = f"{verdict.kind}{verdict.rule}{verdict.cause}{history.gate}{beside}"
        if says != told or history.now - told_at >= retell:
            told, told_at = says, history.now
            write(run, step, record, judging)
        go_back_if_told(verdict)
        if verdict.kind is Kind.PROMOTE and history.gate is None:
            run.record(ev.StepPassed(step.index, history.passed_by))
            return
        history = history.after(verdict)
        await run.ports.clock.sleep(judging.look)


def note_hold(run: Run) -> None:
    """Write down that somebody holds the rollout, or holds it no longer; a hold that is known is not written twice."""
    asked = run.asked()
    hold, known = hold_of(asked), run.state.held
    if hold and (known is None or known.at != hold.at):
        until = held_until(run.plan, run.state.reached, hold)
        run.record(ev.Held(hold.actor, hold.reason, hold.at, until))
    if known and not hold:
        last = next((one for one in reversed(asked) if one.what == RESUME), None)
        run.record(ev.Resumed(last.actor if last else "", last.reason if last else ""))


def _history(run: Run, step: PlannedStep) -> History:
    first = min(run.state.reached.values())
    now = run.ports.clock.now()
    return History(now, run.state.reached[step.index], step.bake, deadline=first + run.plan.deadline)


async def look(run: Run, step: PlannedStep, judging: Judging, history: History) -> VerdictRecord:
    """One look at the canary, and what is decided from it."""
    health = await healths(run, step.hosts)
    observation = await judging.observe(run, step, health, history.now)
    policy = judging.policy(step)
    judging.between.add(observation)
    history = judging.clocked(run, step, observation, history)
    beside = judging.shadow(step, observation, history)
    return VerdictRecord(decide(observation, policy, history), observation, policy, history, shadow=beside)


async def healths(run: Run, names: Sequence[str]) -> list[ProcessHealth]:
    """How the processes of these hosts are, all asked at once; one that does not answer is not reachable."""
    return await asyncio.gather(*(_health(run, name) for name in names))


async def _health(run: Run, name: str) -> ProcessHealth:
    try:
        return await hosts.process_health(run, name)
    except GopubError as error:
        return ProcessHealth(name, reachable=False, detail=error.problem)


def write(run: Run, step: PlannedStep, record: VerdictRecord, judging: Judging) -> None:
    """Write a verdict with all it was drawn from."""
    verdict = record.verdict
    memory = judging.memory()
    kept = cast("dict[str, JsonValue]", {"record": to_json(sealed(record, memory)), "observer": memory})
    if (looks := judging.between.taken(record.observation)) is not None:
        kept["looks"] = cast("JsonValue", looks)
    observed = record.history.observed or 0.0
    run.record(ev.Judged(step.index, verdict.kind.value, verdict.rule, verdict.reason, kept, round(observed, 3)))


def go_back_if_told(verdict: Verdict) -> None:
    """Turn around where the verdict says so.

    Raises:
        Trouble: rolled back or withdrawn.
    """
    if verdict.kind is Kind.ROLLBACK:
        raise Trouble(Outcome.ROLLED_BACK, verdict.rule, verdict.reason)
    if verdict.kind is Kind.WITHDRAW:
        raise Trouble(Outcome.WITHDRAWN, verdict.rule, verdict.reason)


@box
async def judge_from_here(run: Run) -> None:
    """Let the judge learn what is usual, before the canary has traffic."""
    await judging(run).start(run.ports.clock.now())
