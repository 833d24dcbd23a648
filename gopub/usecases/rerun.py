"""Judge a past time again from the counters that the env's Prometheus kept, at the looks that there would have been."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gopub.errors import UsageError
from gopub.health.observe import Observer
from gopub.health.samples import CounterSnapshot, ProcessHealth
from gopub.health.sources import MetricsConnection, MetricSource, PastSource
from gopub.judge.rerun import Rerun, Walk, Wanted
from gopub.wiring.outside import judge_sources
from gopub.wiring.project import Project, edges_of

MISSING = (
    "the hosts: each is taken to have answered, with its process well and never restarted",
    "log lines: none were read",
    "the error budget, approvals and holds: nothing waited for them",
)


async def rerun(project: Project, wanted: Wanted, source: str = "") -> Rerun:
    """Look at the past of an env again, as the connection ``source`` kept it; without one, as the env's metrics did.

    Raises:
        UsageError: GP605, its metrics keep no past.
    """
    environment = project.environment(wanted.config.env)
    if source:
        metrics: object = project.connections.get(source, MetricsConnection).open()
    else:
        metrics = judge_sources(project, environment, edges_of(project, environment))[0]
    if metrics is None or not isinstance(metrics, PastSource):
        hint = "a Prometheus does: name one of connections.yaml with --source"
        whose = f"{source} keeps" if source else f"the metrics of {wanted.config.env} keep"
        raise UsageError("GP605", f"{whose} no past", hint=hint)
    return await looked_again(metrics, wanted)  # type: ignore[arg-type]


async def looked_again(source: MetricSource, wanted: Wanted) -> Rerun:
    """The looks as they would have been, each as of its own time, until a verdict ends it."""
    config = replace(wanted.config, budget=None)
    wanted = replace(wanted, config=config)
    observer, walk = Observer(source, None, config), Walk(wanted)
    await observer.start(wanted.learn)
    for step, at in wanted.moments():
        hosts = step.hosts or await _hosts(source, wanted, at)
        health = [ProcessHealth(name) for name in hosts]
        seen = await observer.look(at, health, step.index, compare=step.compare, since=wanted.since)
        if walk.took(step, seen):
            break
    return Rerun(
        config.app, config.env, config.rollout, wanted.steps[0].begin, wanted.pace, walk.looks, walk.silent,
        walk.silent_why, wanted.ended, walk.end(), tuple(walk.said), MISSING,
    )  # fmt: skip


async def _hosts(source: MetricSource, wanted: Wanted, at: float) -> Sequence[str]:
    """Those that the edges counted anything for, where nobody wrote down which there were."""
    config = wanted.config
    found = await source.counters(config.app, config.env, (config.canary,), at)
    if not isinstance(found, CounterSnapshot):
        return ()
    return sorted({one.host for one in found.series if one.release == config.canary})
