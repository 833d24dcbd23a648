"""What `gopub exporter` serves: the counts of the journal as Prometheus and OpenMetrics read them.

A scrape reads what was written since the one before; the first one reads all. A journal that is away is no reason for
an error page: what was counted stands, ``gopub_up`` is 0, and no counter goes down.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import Receive, Scope, Send

from deployments.api.connections import LISTENING
from gopub.canon import sha256
from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.journal.store import Journal
from gopub.telemetry import log
from gopub.views import metrics as names
from gopub.views.metrics import Kind, Series
from gopub.views.tally import KINDS, Tally
from gopub.wiring import settings

_AT_ONCE = 2000
_PATIENCE = 3.0
"""Seconds that a scrape waits for the journal: Prometheus gives up after 10."""
_RESULTS = {
    "promoted": "SUCCESS", "published": "SUCCESS", "mended": "SUCCESS", "again": "NOT_BUILT", "withdrawn": "ABORTED",
    "refused": "FAILURE", "failed": "FAILURE", "rolled back": "FAILURE",
}  # fmt: skip
_LOG = log("exporter")

Sample = tuple[tuple[str, ...], float]


@dataclass(eq=False)  # a registry keeps it by its identity
class Source(Collector):
    """The families of one journal; ``waiting`` is how many deliveries wait, if that is known here."""

    open_journal: Callable[[], Journal]
    waiting: Callable[[], int] | None = None
    jenkins: bool = False
    tally: Tally = field(default_factory=Tally)
    _journal: Journal | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def describe(self) -> Iterable[Metric]:
        """Nothing is read when it is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Read on, and give all families; one scrape at a time."""
        with self._lock:
            gauges = self._read()
            yield from self._families(gauges)

    def _read(self) -> dict[Series, list[Sample]]:
        """The gauges of this moment; those of a journal that is away are not there."""
        found: dict[Series, list[Sample]] = {names.UP: [((), 0.0)]}
        try:
            if self._journal is None:
                self._journal = self.open_journal()
            found |= self._of(self._journal)
            found[names.UP] = [((), 1.0)]
        except GopubError as error:
            _LOG.warning("the journal cannot be read: %s", error.problem)
            self.close()
        if self.waiting is not None:
            with suppress(GopubError):
                found[names.WAITING] = [((), float(self.waiting()))]
        found[names.OVERFLOW] = [((), float(len(self.tally.dropped)))]
        return found

    def _of(self, journal: Journal) -> dict[Series, list[Sample]]:
        last, at = journal.last()
        if last < self.tally.seq:
            _LOG.error(
                "the journal has %d entries, %d were read: it is another one, counted anew", last, self.tally.seq
            )
            self.tally = Tally()
        while entries := journal.read_after(self.tally.seq, KINDS, _AT_ONCE):
            self.tally.add(entries)
        states: dict[tuple[str, ...], float] = {}
        began, driven = list[Sample](), list[Sample]()
        for app, env, since, state in self.tally.under_way():
            states[app, env, state] = states.get((app, env, state), 0.0) + 1
            began.append(((app, env), since))
            seated = journal.seated(app, env)
            driven.append(((app, env), float(bool(seated and seated[1]))))
        return {
            names.ENTRIES: [((), float(last))], names.WRITTEN: [((), at)], names.ACTIVE: list(states.items()),
            names.BEGAN: began, names.DRIVER: driven, names.OWED_HOSTS: list(self.tally.owed_hosts.items()),
            names.OWED_EDGES: list(self.tally.owed_edges.items()),
        }  # fmt: skip

    def _families(self, gauges: dict[Series, list[Sample]]) -> Iterator[Metric]:
        apps: list[Sample] = [(labels, seconds) for labels, seconds in self.tally.last.items() if len(labels) == 1]
        gauges[names.LAST_BUILD] = apps
        for series in names.ALL:
            if series.kind is Kind.GAUGE and series in gauges:
                yield _gauge(series, gauges[series])
            elif series.kind is Kind.COUNTER:
                yield _counter(series, self._counted(series))
            elif series.kind is Kind.HISTOGRAM:
                yield self._histogram(series)
        if self.jenkins:
            yield _gauge(names.JENKINS_LAST, [(("/".join(one),), took) for one, took in self.tally.last.items()])
            yield _counter(names.JENKINS_BUILDS, self._jobs())

    def _counted(self, series: Series) -> list[Sample]:
        return [(labels, float(count)) for (one, labels), count in self.tally.counters.items() if one is series]

    def _jobs(self) -> list[Sample]:
        found: dict[tuple[str, ...], float] = {}
        for series in (names.BUILDS, names.ROLLOUTS):
            for labels, count in self._counted(series):
                job = "/".join(labels[:-1]), _RESULTS.get(labels[-1], "FAILURE")
                found[job] = found.get(job, 0.0) + count
        return list(found.items())

    def _histogram(self, series: Series) -> Metric:
        family = HistogramMetricFamily(series.name, series.help, labels=series.labels)
        for (one, labels), seen in self.tally.histograms.items():
            if one is series:
                family.add_metric(labels, seen.cumulative(), sum_value=seen.total)
        return family

    def close(self) -> None:
        """Let go of the journal; the next scrape opens it anew."""
        if self._journal is not None:
            self._journal.close()
        self._journal = None


def _gauge(series: Series, samples: Iterable[Sample]) -> Metric:
    family = GaugeMetricFamily(series.name, series.help, labels=series.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _counter(series: Series, samples: Iterable[Sample]) -> Metric:
    family = CounterMetricFamily(series.name, series.help, labels=series.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


class Exporter:
    """An ASGI application: ``GET /metrics`` and ``/healthz``; ``digest`` is the SHA-256 of the bearer token, if any."""

    def __init__(self, source: Source, digest: str = "") -> None:
        """Serve that source."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(source)
        self._digest = digest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["path"] == "/healthz":
            await _answer(send, 200, b"ok\n")
        elif scope["path"] != "/metrics":
            await _answer(send, 404, b"there is /metrics and /healthz\n")
        elif scope["method"] not in {"GET", "HEAD"}:
            await _answer(send, 405, b"GET alone\n")
        elif not self._may(headers.get("authorization", "")):
            await _answer(send, 401, b"no valid bearer token\n", ("www-authenticate", "Bearer"))
        else:
            encode, kind = choose_encoder(headers.get("accept", ""))
            body = await asyncio.to_thread(encode, self._registry)  # it may wait for a database
            await _answer(send, 200, body, ("content-type", kind))

    def _may(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        said = hashlib.sha256(token.strip().encode(errors="surrogateescape")).hexdigest()
        return not self._digest or (scheme.lower() == "bearer" and hmac.compare_digest(said, self._digest))


async def _answer(
    send: Send, status: int, body: bytes, header: tuple[str, str] = ("content-type", "text/plain")
) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in (header, ("content-length", str(len(body))))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def source_of(state: Path | None, *, jenkins: bool) -> Source:
    """The journal as every command finds it; ``state`` is the folder in which `gopub serve` keeps its deliveries."""
    return Source(lambda: settings.journal(SystemClock(), patience=_PATIENCE), _waiting(state), jenkins)


def _waiting(state: Path | None) -> Callable[[], int] | None:
    if state is None:
        return None
    from deployments.deliveries import Deliveries  # noqa: PLC0415 - where nobody serves there is none

    kept: list[Deliveries] = []

    def count() -> int:
        if not kept:
            kept.append(Deliveries(state / "deliveries.sqlite"))
        return kept[0].count()

    return count


def serve(
    source: Source, heard: socket.socket, *, token: str, tls_cert: Path | None = None, tls_key: Path | None = None
) -> None:
    """Serve until SIGTERM, Ctrl-C or a closed terminal."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # not under nohup
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    os.umask(0o077)
    app = Exporter(source, sha256(token.encode()) if token else "")
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, server_header=False,
                            ssl_certfile=tls_cert, ssl_keyfile=tls_key, **LISTENING)  # fmt: skip
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[heard])
    source.close()
