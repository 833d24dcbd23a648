"""What the judge asks of the outside: counters, runtime metrics, log lines. Backends satisfy these Protocols."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gopub.health.burn import Spending
from gopub.health.busiest import Busiest
from gopub.health.config import BudgetTarget
from gopub.health.ownread import OwnAnswer
from gopub.health.samples import CounterSnapshot, EdgeAnswer, LogCounts, NoData, RuntimeSnapshot
from gopub.process import Executor
from gopub.spec.kinds import LogsKind, MetricsKind


class MetricSource(Protocol):
    """Counters per release; never raises for a source that is down, but says NoData and why."""

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        """The counters of these releases (12 characters each) of one (app, env) as of ``at``."""

    async def history(
        self, app: str, env: str, releases: Sequence[str], at: float
    ) -> tuple[CounterSnapshot, ...] | NoData:
        """The same counters at moments before ``at``, oldest first; what φ is learnt from."""

    async def runtime(self, app: str, env: str, hosts: Sequence[str], at: float) -> RuntimeSnapshot | NoData:
        """Runtime metrics of this (app, env) on those of ``hosts`` where it exposes any; never those of another one."""


@runtime_checkable
class SpendSource(Protocol):
    """A ``MetricSource`` that can look back for as long as an error budget counts; not every one can."""

    async def spending(
        self, app: str, env: str, stable: str | None, wanted: BudgetTarget, due: Sequence[float], at: float
    ) -> Spending | NoData:
        """What was asked and failed before ``at`` in the windows that are ``due``, and what else is wanted."""


@runtime_checkable
class PastSource(Protocol):
    """A ``MetricSource`` that keeps the past; not every one does."""

    async def recorded(self, app: str, env: str, begin: float, end: float) -> tuple[CounterSnapshot, ...] | NoData:
        """The counters of every release between two times, oldest first, a minute or so apart."""


@runtime_checkable
class OwnSource(Protocol):
    """A ``MetricSource`` that answers the team's own queries; not every one can."""

    async def own(
        self, query: str, app: str, env: str, release: str, hosts: Sequence[str], at: float
    ) -> OwnAnswer | NoData:
        """What a query gives for one track, these names filled in."""


@runtime_checkable
class RouteSource(Protocol):
    """A ``MetricSource`` that knows what a service counts by its own routes; not every one does."""

    async def busiest(self, app: str, env: str, hosts: Sequence[str], at: float) -> Busiest | NoData:
        """The busiest routes of these hosts over the last hour, bounded."""


@runtime_checkable
class Closing(Protocol):
    """A source that has something under way."""

    async def aclose(self) -> None:
        """End it."""


@runtime_checkable
class Unsure(Protocol):
    """A source that may turn out to count nothing at all."""

    async def unable(self, app: str, env: str) -> str:
        """Why it cannot count for as long as things are as they are; empty where it can."""


class EdgeReader(Protocol):
    """The way to the edges themselves."""

    @property
    def edges(self) -> Sequence[str]:
        """Their names."""

    async def ask(self, edge: str, app: str, env: str, releases: Sequence[str]) -> EdgeAnswer:
        """One edge's counters of these releases; never raises for one that does not answer, and always ends."""


class MetricsConnection(MetricsKind):
    """A connection behind which counters are."""

    @abstractmethod
    def open(self) -> MetricSource:
        """The source; nothing is contacted yet."""


BEFORE = " before"
"""Ends the release under which what stable wrote before a rollout is asked for: a reading apart from its others."""


@dataclass(frozen=True, slots=True)
class LogTarget:
    """Where the log of one host's process lies, and whose it is."""

    host: str
    release: str
    unit: str
    channel: Executor
    harmless: frozenset[str] = frozenset()
    """Classes that people said are harmless: an event that is nothing else does not count."""

    @property
    def past(self) -> bool:
        """Whether the time before a rollout is asked for."""
        return self.release.endswith(BEFORE)


class LogSource(Protocol):
    """Error lines of hosts, resumable; never raises for a host that does not answer."""

    async def read(self, target: LogTarget, since: float) -> LogCounts | NoData:
        """What is new since the last reading of this target, at first since ``since``."""


class LogsConnection(LogsKind):
    """A connection behind which log lines are."""

    @abstractmethod
    def open(self) -> LogSource:
        """The source; nothing is contacted yet."""
