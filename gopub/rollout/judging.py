"""The judge of one rollout: an observer on the env's metrics and logs, and the policy of each step."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

from gopub.canon import Json
from gopub.health.burn import Spending
from gopub.health.config import JudgeConfig
from gopub.health.observation import Observation
from gopub.health.observe import Observer
from gopub.health.samples import ProcessHealth
from gopub.health.sources import LogTarget
from gopub.health.spending import SpendWatch
from gopub.judge.backtest import under
from gopub.judge.between import Between
from gopub.judge.observed import BakeClock
from gopub.judge.shadow import lasts, reads_apart, ride
from gopub.judge.verdict import History, Policy, Shadow
from gopub.plan.model import PlannedStep
from gopub.plan.sight import LOOK
from gopub.rollout import hosts
from gopub.rollout.run import Run

WITNESSES = 3
"""Stable hosts that are asked how their processes are,"""
ASK_EVERY = 8.0
"""seconds apart: a slope wants a point every now and then, and a stable host is not to be kept busy."""


class Judging:
    """Keeps one observer over the whole rollout: evidence is valid at every look, so it is never reset."""

    def __init__(self, run: Run) -> None:
        """Go on from what the last verdict in the journal remembers."""
        self._config = config_of(run)
        self._steps, self._follow = len(run.plan.steps), bool(run.plan.kept)
        other = run.ports.environment.judge.beside
        self._rider = under(self._config, other) if other else None
        self._spends = SpendWatch(run.ports.metrics, self._rider) if self._reads_apart() and self._rider else None
        self._spending: Spending | None = None
        self._watches: tuple[int, float | None] = (-1, None)
        self._alarm = run.alarm
        kept: Json = (run.state.verdict.record.get("observer") if run.state.verdict else None) or None
        metrics = run.ports.metrics if run.plan.mode == "judged" else None
        self._observer = Observer(metrics, run.ports.logs, self._config, kept) if metrics else None
        self._started = False
        self.between = Between()
        """The looks since the last one that was written whole."""
        self._asked, self._deaf = 0.0, set[str]()
        self._clock: tuple[int, BakeClock] | None = None
        wanted = run.ports.environment.judge.look
        self.look = wanted or max(0.2, min(LOOK, min((s.bake for s in run.plan.steps), default=LOOK) / 4 or LOOK))

    async def start(self, at: float) -> None:
        """Learn what is usual; to be called before the canary has traffic."""
        if not self._started and self._observer:
            await self._observer.start(at)
        self._started = True

    async def observe(self, run: Run, step: PlannedStep, health: Sequence[ProcessHealth], at: float) -> Observation:
        """One look."""
        if self._observer is None:
            return Observation(self._config, step.index, at, not step.chosen, tuple(health))
        await self.start(at)
        asked = [name for name in self._observer.suspects() if name in run.state.hosts]
        others = await asyncio.gather(*(hosts.is_there(run, name) for name in asked))
        beside = await self._beside(run, step, at)
        targets: Sequence[LogTarget] = () if run.ports.logs is None else await hosts.log_targets(run)
        compare, edges = not step.chosen, run.edges.known
        since = {name: run.state.hosts[name].since for name in step.hosts}
        seen = await self._observer.look(
            at, health, step.index, compare=compare, logs=targets, edges=edges, others=others, since=since,
            beside=beside,
        )  # fmt: skip
        self._spending = await self._spends.read(at) if self._spends else None
        return seen

    def _reads_apart(self) -> bool:
        return self._rider is not None and reads_apart(self._rider, self._config)

    async def _beside(self, run: Run, step: PlannedStep, at: float) -> Sequence[ProcessHealth]:
        """Some stable hosts, now and then; one that does not answer is asked no more: it would delay every verdict."""
        if 0 <= at - self._asked < ASK_EVERY:
            return ()
        self._asked = at
        stable = (name for name, host in sorted(run.state.hosts.items()) if host.track != "canary")
        names = [name for name in stable if name not in step.hosts and name not in self._deaf][:WITNESSES]
        found = await asyncio.gather(*(hosts.beside(run, name) for name in names))
        self._deaf.update(one.host for one in found if not one.reachable)
        return found

    def policy(self, step: PlannedStep) -> Policy:
        """The rules for this step."""
        known = Policy.at_step(self._config, step.index, self._steps, compare=not step.chosen, follow=self._follow)
        return replace(known, health_only=self._observer is None)

    def shadow(self, step: PlannedStep, seen: Observation, history: History) -> Shadow | None:
        """What the policy that rides along says of this look; None where none does. Nobody may act on it."""
        if self._rider is None or self._observer is None:
            return None
        at, since = self._watches
        since = since if at == step.index else None
        try:
            found = ride(seen, self.policy(step), history, self._rider, since, self._steps, self._spending)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the rollout is not its business
            self._alarm(f"the shadow policy failed and rides no further: {error!r}")
            self._rider = None
            return None
        self._watches = step.index, lasts(found)
        return found

    def clocked(self, run: Run, step: PlannedStep, seen: Observation, history: History) -> History:
        """With how much of the step's bake was observed; time in which nobody looked is no part of a watch either."""
        if step.index not in run.state.reached:
            return history
        index, clock = self._clock or (-1, None)
        if clock is None or index != step.index:
            clock = BakeClock(step.bake, self.look, run.state.observed.get(step.index, 0.0))
        clock = clock.looked(seen, self.policy(step), approved=history.approved is not None)
        self._clock = step.index, clock
        since = None if history.watch_since is None else history.watch_since + clock.missed
        return replace(history, observed=clock.seconds, stands=clock.stands, watch_since=since)

    def memory(self) -> Json:
        """What a later driver needs to go on with the same evidence."""
        return self._observer.state() if self._observer else None


_JUDGES: WeakKeyDictionary[Run, Judging] = WeakKeyDictionary()


def judging(run: Run) -> Judging:
    """The rollout's one judge: its evidence spans all steps, so it is kept with the run."""
    if run not in _JUDGES:
        _JUDGES[run] = Judging(run)
    return _JUDGES[run]


def config_of(run: Run) -> JudgeConfig:
    """The observer's configuration from the effective spec."""
    judge = run.ports.environment.judge
    plan = run.plan
    known = JudgeConfig(
        app=plan.app,
        env=plan.env,
        rollout=plan.rollout,
        canary=plan.counted[:12],
        stable=plan.stable.short if plan.stable else None,
        warmup=plan.warmup,
        warmup_seen=plan.warmup_seen,
        endpoints=tuple(one.match for one in plan.endpoints),
    )
    return under(known, judge)
