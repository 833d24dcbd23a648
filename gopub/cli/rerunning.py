"""``gopub judge replay`` of a past time, from the counters that an env's Prometheus kept."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gopub.cli.meaning import meant
from gopub.cli.saying import say, say_document
from gopub.clock import SystemClock
from gopub.errors import UsageError
from gopub.health.config import JudgeConfig
from gopub.judge.backtest import under
from gopub.judge.rerun import Wanted
from gopub.spec.loader import load_judge
from gopub.units import seconds
from gopub.usecases.rerun import rerun
from gopub.views.reruns import of_rollout, of_times, rerun_json, rerun_lines
from gopub.wiring import settings
from gopub.wiring.project import Project, open_project

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{12})[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Past:
    """What was asked for on the command line; ``times`` are from, to and the bake."""

    rollout: str
    env: str
    canary: str
    stable: str
    times: tuple[str, str, str]
    every: str
    policy: Path | None
    spec: Path
    source: str = ""


def rerun_past(asked: Past, *, as_json: bool) -> None:
    """Judge it again, and tell what comes of it.

    Raises:
        UsageError: GP608 it is not told what, GP605 there is no past.
    """
    now, project = SystemClock().now(), open_project(asked.spec)
    wanted = _of_rollout(asked, project) if asked.rollout else _of_times(asked, project, now)
    found = asyncio.run(rerun(project, wanted, asked.source))
    if as_json:
        say_document(json.dumps(rerun_json(found), ensure_ascii=False, indent=2))
    else:
        say("\n".join(rerun_lines(found, now)))


def _of_rollout(asked: Past, project: Project) -> Wanted:
    if asked.canary or asked.stable or asked.times[0]:
        raise UsageError("GP608", "--rollout, and a time or releases", hint="the rollout's journal says these")
    journal = settings.journal()
    rollout = meant(journal, asked.rollout, project.spec.app, asked.env, changes=False)
    judge = load_judge(asked.policy) if asked.policy else None
    return of_rollout(journal, rollout, judge, lambda env: project.environment(env).judge, _every(asked))


def _of_times(asked: Past, project: Project, now: float) -> Wanted:
    begin, end = (_moment(text, now) for text in asked.times[:2]) if asked.times[0] else (now, now)
    if not asked.env or end <= begin:
        raise UsageError("GP608", "no time or no env", hint="--canary needs --env NAME and --from TIME, before --to")
    if begin < 0 or end > now:
        hint = "a past that a Prometheus may have kept: RFC 3339, or how long ago, such as 3h"
        raise UsageError("GP608", f"--from {asked.times[0]} --to {asked.times[1]}", hint=hint)
    if asked.stable and _short(asked.canary) == _short(asked.stable):
        raise UsageError("GP608", "--canary and --stable are one release", hint="--stable is the one beside it")
    known = JudgeConfig(
        project.spec.app, asked.env, "", _short(asked.canary), _short(asked.stable) if asked.stable else None
    )
    judge = load_judge(asked.policy) if asked.policy else project.environment(asked.env).judge
    bake = seconds(asked.times[2]) if asked.times[2] else end - begin
    return of_times(under(known, judge), begin, end, bake, _every(asked))


def _every(asked: Past) -> float:
    if (found := seconds(asked.every)) <= 0:
        raise UsageError("GP608", f"--every is {asked.every}", hint="the time between two looks, such as 5s")
    return found


def _short(release: str) -> str:
    if not (match := _ID.fullmatch(release)):
        raise UsageError("GP608", f"{release!r} is no release's id", hint="12 hex digits or more: `gopub history`")
    return match[1]


def _moment(text: str, now: float) -> float:
    """A time of RFC 3339, in UTC where it does not say; else how long ago.

    Raises:
        UsageError: GP101, it is neither.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return now - seconds(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
