"""A past that was judged again from kept counters: for people, and as JSON (rerun.v1.json).

``python -m gopub.views.reruns`` writes that schema anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from gopub.canon import Json
from gopub.errors import UsageError
from gopub.health.config import RULES, JudgeConfig
from gopub.health.wire import schema_of, to_json
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.state import State, fold
from gopub.journal.store import Journal
from gopub.journal.streams import stream_of
from gopub.judge.backtest import CENSORED, under
from gopub.judge.rerun import Rerun, Stretch, Wanted
from gopub.plan.model import Plan
from gopub.spec.models import Judge
from gopub.units import say_about
from gopub.views.amounts import clock
from gopub.views.keptlooks import kept_records


def of_rollout(
    journal: Journal, rollout: str, judge: Judge | None, usual: Callable[[str], Judge], every: float
) -> Wanted:
    """What a rollout's journal says of its steps and times, to be judged again.

    By ``judge``; where none is given, by the policy that its last verdict was drawn by, else by what ``usual`` says of
    its env.

    Raises:
        UsageError: GP605, it never reached a step.
    """
    entries = journal.read(stream_of(rollout))
    state = fold(entry.event for entry in entries)
    if state.plan is None or not state.reached:
        raise UsageError("GP605", f"rollout {rollout} never reached a step", hint="there was nothing to judge")
    records = kept_records(rollout, entries)
    config = (
        replace(records[-1][0].observation.config, rules=RULES) if records else _config(state.plan, usual(state.env))
    )
    steps = _steps(state, state.plan, entries)
    return Wanted(
        under(config, judge) if judge else config,
        steps,
        steps[0].begin + state.plan.deadline,
        _learnt(entries, steps[0].begin),
        every,
        len(state.plan.steps),
        {name: host.since for name, host in state.hosts.items() if host.since},
        state.closed.outcome.value if state.closed else "",
    )


def _config(plan: Plan, judge: Judge) -> JudgeConfig:
    stable = plan.stable.short if plan.stable else None
    known = JudgeConfig(plan.app, plan.env, plan.rollout, plan.counted[:12], stable, warmup=plan.warmup)
    return under(replace(known, warmup_seen=plan.warmup_seen), judge)


def _steps(state: State, plan: Plan, entries: Sequence[Entry]) -> tuple[Stretch, ...]:
    """The steps that were reached, each until the next one, the last until the way back or the end."""
    over = (entry.at for entry in entries if isinstance(entry.event, ev.GoingBack | ev.Settling | ev.Closed))
    end = next(over, entries[-1].at)
    reached = sorted(state.reached.items(), key=lambda one: one[1])
    ends = [*(at for _, at in reached[1:]), max(end, reached[-1][1])]
    found = []
    for (index, begin), upto in zip(reached, ends, strict=True):
        step = plan.steps[index]
        found.append(Stretch(index, begin, upto, step.bake, step.hosts, not step.chosen))
    return tuple(found)


def _learnt(entries: Sequence[Entry], begin: float) -> float:
    """When the canary got its first traffic."""
    tables = (one.at for one in entries if isinstance(one.event, ev.TableIntended) and one.event.weight)
    return min(next(tables, begin), begin)


def of_times(config: JudgeConfig, begin: float, end: float, bake: float, every: float) -> Wanted:
    """One step from one time to another."""
    return Wanted(config, (Stretch(0, begin, end, bake),), end, begin, every)


def rerun_json(found: Rerun) -> Json:
    """The document."""
    return to_json(found)


def rerun_lines(found: Rerun, now: float) -> Iterator[str]:
    """The story for people: what was said and when, what would have been decided, what nobody can know."""
    about = f"rollout {found.rollout}, " if found.rollout else ""
    yield (
        f"{about}{found.app} in {found.env} from {clock(found.begin, now)} on, by the counters that its metrics kept: "
        f"{found.looks} looks, one every {say_about(found.every)}"
    )
    for said in found.said:
        yield f"{say_about(said.after):>8}  step {said.step + 1}  {said.kind} by rule {said.rule}: {said.reason}"
    decided = found.decided
    if decided.what == CENSORED:
        yield f"nobody knows how it would have ended: {decided.reason}"
    else:
        when = f"in step {decided.step + 1}, {say_about(decided.after)} after its first step began"
        yield f"it would have ended with {decided.what} by rule {decided.rule}, {when}"
    if found.ended:
        yield f"it did end {found.ended}"
    if found.silent:
        yield f"{found.silent} of {found.looks} looks saw nothing, the last of them: {found.silent_why}"
    yield "not seen, and taken to be well:"
    yield from (f"  {one}" for one in found.missing)


def main() -> None:
    """Write the schema file into gopub/schemas of this checkout."""
    place = Path(str(files("gopub.schemas"))) / "rerun.v1.json"
    place.write_text(json.dumps(schema_of(Rerun, "rerun"), indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
