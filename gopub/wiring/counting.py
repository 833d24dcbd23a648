"""Where an environment's counters come from: its edges themselves, a metrics connection, or both against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gopub.health.backends.checked import CheckedSource
from gopub.health.backends.edges import EdgesThemselves
from gopub.health.samples import EdgeAnswer, RawSeries
from gopub.health.sources import EdgeReader, MetricsConnection, MetricSource
from gopub.spec.models import Environment
from gopub.traffic.protocol import CountingRouter, EdgeCounts, Router
from gopub.wiring.project import Edges, Project


@dataclass(frozen=True, slots=True)
class RouterReader:
    """An ``EdgeReader`` over a router's edges, for one upstream."""

    router: CountingRouter
    edges: Sequence[str]
    upstream: str

    async def ask(self, edge: str, app: str, env: str, releases: Sequence[str]) -> EdgeAnswer:
        """One edge's counters."""
        return _answer(await self.router.count(edge, app, env, self.upstream, releases))


def counters_of(
    project: Project, environment: Environment, edges: Edges | None, router: Router | None
) -> MetricSource | None:
    """What the judge counts by; None: nobody counts, and a rollout is health-only.

    What ``judge`` names is what is judged by. Where it names nothing that is the edges themselves, with the metrics of
    the router's connection beside them: for the past, and to be held against them.
    """
    reader = _reader(environment, edges, router)
    named = _connection(project, environment.judge.source)
    beside = _connection(project, edges.connection.metrics if edges else None)
    beside = None if isinstance(beside, EdgesThemselves) else beside
    if named is not None and not isinstance(named, EdgesThemselves):
        source = named.open()
        return CheckedSource(EdgesThemselves().over(reader), source, directly=False) if reader else source
    if reader is None and named is None:
        return beside.open() if beside else None
    direct = EdgesThemselves().over(reader, implied=named is None)
    if beside is None:
        return direct
    return CheckedSource(direct, beside.open(), directly=True)


def _connection(project: Project, name: str | None) -> MetricsConnection | None:
    return project.connections.get(name, MetricsConnection) if name else None


def _reader(environment: Environment, edges: Edges | None, router: object) -> EdgeReader | None:
    if edges is None or environment.traffic is None or not edges.connection.counts:
        return None
    if not isinstance(router, CountingRouter):
        return None
    return RouterReader(router, tuple(host.name for host in edges.hosts), environment.traffic.upstream)


def _answer(counts: EdgeCounts) -> EdgeAnswer:
    series = tuple(
        RawSeries(counts.identity, one.release, one.host, one.classes, one.latency, one.warming, one.endpoints)
        for one in counts.peers
    )
    return EdgeAnswer(counts.edge, counts.at, counts.identity, counts.age, series, counts.error, counts.older)
