"""Counters from Prometheus, through prometheus-api-client behind this one adapter.

The library waits for ever by default, repeats for seconds, quotes label values carelessly and fails with exceptions of
three families (its own, those of requests, those of JSON). Here every question has a time limit and no repetition,
runs in a thread, and every failure is NoData with the reason: the next look asks again anyway. Only instant queries
are used, with an explicit time, so that a verdict's queries can be asked again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from pydantic import Field, model_validator
from urllib3.util import Retry

from gopub.canon import bounded, digest_of
from gopub.health.backends.own import for_track, own_answer
from gopub.health.backends.prometheus_http import Bounded, basic, check_headers, say
from gopub.health.backends.promql import escaped, selector
from gopub.health.backends.recorded import moments
from gopub.health.backends.routes import busiest
from gopub.health.backends.runtimes import names as runtime_names
from gopub.health.backends.runtimes import runtime_samples, unfolded
from gopub.health.backends.several import Several
from gopub.health.backends.spending import read_spending
from gopub.health.backends.targets import (
    Row,
    Target,
    Targets,
    interval_of,
    stale,
    target_of,
    targets,
    twice,
)
from gopub.health.burn import Spending
from gopub.health.busiest import Busiest
from gopub.health.config import BudgetTarget
from gopub.health.ownread import OwnAnswer
from gopub.health.samples import (
    CounterSnapshot,
    NoData,
    RawSeries,
    ResolvedQuery,
    RuntimeSnapshot,
)
from gopub.health.sources import MetricsConnection
from gopub.spec.fields import PositiveSeconds, Word, refuse
from gopub.spec.kinds import LocalPath, SecretRef
from gopub.spec.texts import HeaderName, HttpUrl, LabelName

ATTEMPTS = "gopub_edge_attempts_total"
LATENCY = "gopub_edge_request_seconds_bucket"
WARMING = "gopub_edge_warming_request_seconds_bucket"
ENDPOINTS: Mapping[str, str] = {
    "gopub_edge_endpoint_attempts_total": "outcome",
    "gopub_edge_endpoint_answers_total": "pace",
}
"""Of declared endpoints, and the label that says what was counted."""
REVISION = "gopub_edge_table_revision"
RUNTIME_MATCH: Mapping[str, str] = {"app": "{app}"}
"""Without it, a service that exports nothing would be judged by its neighbour's heap."""

_LOOKBACK = "5m"
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "private-token"})
"""Headers whose value is always a secret."""
HISTORY = (3600, 3000, 2400, 1800, 1200, 900, 600, 450, 300, 240, 180, 120, 90, 60, 30, 0)
"""Seconds before the start of a rollout at which history is read."""

_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)
"""What reading an answer of another shape ends in."""


_Counts = tuple[dict[str, float], dict[float, float], dict[float, float], dict[tuple[str, str], float]]
"""By class, by bound, by bound while warming, by endpoint and outcome or pace."""


class _Refused(Exception):  # noqa: N818 - carries a reason to the edge of this module, never further
    """A question without a usable answer."""


class Prometheus(MetricsConnection):
    """A Prometheus server."""

    kind: Literal["prometheus"] = "prometheus"
    url: HttpUrl
    """Its address."""
    replicas: list[HttpUrl] = Field(default_factory=list)
    """More servers that scrape the same edges: all are asked, and of each edge the newest counts are taken."""
    token: SecretRef | None = None
    """A bearer token."""
    user: Word | None = None
    """The user of basic auth, with `password`."""
    password: SecretRef | None = None
    """The password of basic auth."""
    headers: dict[HeaderName, Word] = Field(default_factory=dict)
    """Headers of each question that are no secrets, such as a tenant's name."""
    secret_headers: dict[HeaderName, SecretRef] = Field(default_factory=dict)
    """Headers of each question that are secrets."""
    ca: LocalPath | None = None
    """The certificate of the authority that signed the server's (PEM), where it is a private one."""
    timeout: PositiveSeconds = 10.0
    """How long an answer may take."""
    runtime: dict[LabelName, Word] = Field(default_factory=lambda: {"app": "{app}"})
    """Labels that tell the service's own runtime metrics from its neighbours', each with a regular expression."""

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise refuse("GP115", "user and password go together", "write both, or token in their place")
        if ":" in (self.user or ""):
            raise refuse("GP129", "a user of basic auth has no colon", "write the password as password: {env: NAME}")
        plain, secret = _lower(self.headers), _lower(self.secret_headers)
        given = [*plain, *secret, *["authorization" for login in (self.token, self.user) if login]]
        twice = sorted({name for name in given if given.count(name) > 1})
        if twice:
            raise refuse("GP134", f"the header {twice[0]} is given twice", "token and user both mean authorization")
        if len({self.url, *self.replicas}) <= len(self.replicas):
            raise refuse("GP134", "a server is named twice", "replicas are other servers than url")
        if hidden := sorted(plain & _CREDENTIALS):
            raise refuse("GP143", f"the header {hidden[0]} holds a secret", "write it in secret_headers: {env: NAME}")
        return self

    def open(self) -> PrometheusSource | Several:
        """The server, or all of them; nothing is asked yet.

        Raises:
            UsageError: GP142 a secret is not there, GP145 the CA file holds no certificate, GP129 a header is none.
        """
        secret = {name: ref.reveal() for name, ref in self.secret_headers.items()}
        if self.token:
            secret["Authorization"] = f"Bearer {self.token.reveal()}"
        if self.user and self.password:
            secret["Authorization"] = basic(self.user, self.password.reveal())
        check_headers(secret)
        made = [self._source(url, self.headers | secret) for url in (self.url, *self.replicas)]
        names = [one.name for one in made]
        apart = [f"{name} ({i})" if names.count(name) > 1 else name for i, name in enumerate(names, start=1)]
        return Several(dict(zip(apart, made, strict=True))) if self.replicas else made[0]

    def _source(self, url: str, headers: Mapping[str, str]) -> PrometheusSource:
        return PrometheusSource(url, headers=headers, ca=self.ca, timeout=self.timeout, runtime_match=self.runtime)


def _lower(headers: Iterable[str]) -> set[str]:
    return {name.lower() for name in headers}


class PrometheusSource:
    """A ``MetricSource`` on one Prometheus server."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        ca: Path | None = None,
        timeout: float = 5.0,
        runtime_match: Mapping[str, str] = RUNTIME_MATCH,
    ) -> None:
        """Take the server's address.

        Args:
            url: without a trailing ``/api/v1``.
            headers: sent with each question, and to no other server that it is sent on to.
            ca: the certificates that the server's must be signed by; without it, those that this machine knows.
            timeout: seconds for each question.
            runtime_match: labels that tell the runtime metrics of one service from those of others on its host →
                regular expression; ``{app}`` and ``{env}`` in it stand for the service's.
        """
        self.name = urlsplit(url).netloc.rpartition("@")[2] or url
        self._timeout = timeout
        self._runtime_match = dict(runtime_match)
        self._client = PrometheusConnect(
            url=url.rstrip("/"),
            retry=Retry(total=0, read=False),  # False: a time-out stays one, it does not become "no connection"
            timeout=timeout,
            session=Bounded(headers or {}, ca),
        )

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        """The newest counters as of ``at``; NoData when no edge has a fresh sample."""
        queries: list[ResolvedQuery] = []
        try:
            found, edges, notes = freshness(await self._ask(f"{_revision(app, env)}[{_LOOKBACK}]", at, queries), at)
            text = _counters(app, env, releases)
            rows = await self._ask(text, at, queries)
            for moment, missed in missing(found, edges, rows, at).items():
                rows += [row for row in await self._ask(text, moment, queries) if target_of(row[0]) in missed]
            names = {edge: found.say(edge) for edge in found.names}
            told = CounterSnapshot(at, _raw(rows, found), edges, interval_of(found), notes, tuple(queries), names)
            return replace(told, follows=found.follows, identified=found.identified)
        except _Refused as refusal:
            return NoData(str(refusal), tuple(queries))

    async def history(
        self, app: str, env: str, releases: Sequence[str], at: float
    ) -> tuple[CounterSnapshot, ...] | NoData:
        """The counters over the last hour, denser towards ``at``; moments without any are left out."""
        queries: list[ResolvedQuery] = []
        found: list[CounterSnapshot] = []
        try:
            who = targets(await self._ask(f"{_revision(app, env)}[{_LOOKBACK}]", at, queries))
            for ago in HISTORY:
                rows = _raw(await self._ask(_counters(app, env, releases), at - ago, queries), who)
                if rows:
                    edges = {series.edge: at - ago for series in rows}
                    found.append(CounterSnapshot(at - ago, rows, edges))
        except _Refused as refusal:
            return NoData(str(refusal), tuple(queries))
        return tuple(found)

    async def runtime(self, app: str, env: str, hosts: Sequence[str], at: float) -> RuntimeSnapshot | NoData:
        """Memory and collection pauses by the label ``host``; a host where several processes match is left out."""
        queries: list[ResolvedQuery] = []
        if not hosts:
            return RuntimeSnapshot(at)
        ours = {label: _filled(pattern, app, env) for label, pattern in self._runtime_match.items()}
        text = selector(runtime_names(), one_of={"host": sorted(hosts)}, matching=ours)
        try:
            rows = await self._ask(text, at, queries)
            return RuntimeSnapshot(at, runtime_samples(app, env, rows, at), tuple(queries))
        except _Refused as refusal:
            return NoData(str(refusal), tuple(queries))

    async def spending(
        self, app: str, env: str, stable: str | None, wanted: BudgetTarget, due: Sequence[float], at: float
    ) -> Spending | NoData:
        """What the edges counted in the windows that are due, as far back as this server keeps it."""
        queries: list[ResolvedQuery] = []
        try:
            found = await read_spending(lambda text: self._ask(text, at, queries), app, env, stable, wanted, due, at)
            return replace(found, queries=tuple(queries))
        except (_Refused, ValueError) as refusal:
            return NoData(str(refusal), tuple(queries))

    async def own(
        self, query: str, app: str, env: str, release: str, hosts: Sequence[str], at: float
    ) -> OwnAnswer | NoData:
        """What a query of the team's own gives for one track."""
        queries: list[ResolvedQuery] = []
        try:
            return own_answer(await self._ask(for_track(query, app, env, release, hosts), at, queries), queries)
        except (_Refused, ValueError) as refusal:
            return NoData(str(refusal), tuple(queries))

    async def busiest(self, app: str, env: str, hosts: Sequence[str], at: float) -> Busiest | NoData:
        """By the names of OpenTelemetry and Micrometer, of the service's own series on these hosts."""
        ours = {label: _filled(pattern, app, env) for label, pattern in self._runtime_match.items()}
        try:
            found = await busiest(lambda text: self._ask(text, at, []), hosts, ours)
        except (_Refused, ValueError) as refusal:
            return NoData(str(refusal))
        return found or NoData("no series of the service on its hosts tells of requests by route")

    async def recorded(self, app: str, env: str, begin: float, end: float) -> tuple[CounterSnapshot, ...] | NoData:
        """The counters of all releases, a minute apart."""
        queries: list[ResolvedQuery] = []
        found: list[CounterSnapshot] = []
        names, service = (ATTEMPTS, LATENCY), (app, env)
        try:
            past = moments(lambda text, at: self._ask(text, at, queries), names, REVISION, service, (begin, end))
            async for at, rows, who in past:
                found.append(CounterSnapshot(at, _raw(rows, who), {}))
        except _Refused as refusal:
            return NoData(str(refusal), tuple(queries))
        return tuple(found)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def _ask(self, text: str, at: float, queries: list[ResolvedQuery]) -> list[Row]:
        """One question, noted in ``queries`` whatever comes of it."""
        try:
            limit = self._timeout + 1  # the library's limit is for each read; a trickle must not hold a look
            answer = await asyncio.wait_for(asyncio.to_thread(self._query, text, at), limit)
            rows = [_row(one) for item in answer for one in unfolded(item)]
        except (PrometheusApiClientException, requests.RequestException, TimeoutError, *_MALFORMED) as error:
            reason = f"Prometheus at {self.name} gave no usable answer: {say(error)}"
            queries.append(ResolvedQuery(text, at, 0, reason))
            raise _Refused(reason) from error
        queries.append(ResolvedQuery(text, at, len(rows), digest_of(sorted(answer, key=str))[:12]))
        return rows

    def _query(self, text: str, at: float) -> list[Any]:
        answer = self._client.custom_query(text, params={"time": f"{at:.3f}"})
        if isinstance(answer, list) and len(answer) == 2 and not isinstance(answer[0], dict):
            return [{"metric": {}, "value": answer}]  # a scalar: `scalar(…)`, or plain arithmetic
        if not isinstance(answer, list):
            raise TypeError(f"a result of type {type(answer).__name__}")
        return answer


def _counters(app: str, env: str, releases: Sequence[str]) -> str:
    return selector(
        (ATTEMPTS, LATENCY, WARMING, *ENDPOINTS), equal={"app": app, "env": env}, one_of={"release": releases}
    )


def _revision(app: str, env: str) -> str:
    return selector((REVISION,), equal={"app": app, "env": env})


def _row(item: Any) -> Row:
    """One series: labels that are text, samples of a time and a number, a bound that is one.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, IndexError: it has another shape.
    """
    samples = item["values"] if "values" in item else [item["value"]]
    labels = item["metric"]
    if not all(isinstance(text, str) for pair in labels.items() for text in pair):
        raise TypeError("a label that is no text")
    numbers = [(float(at), float(value)) for at, value in samples]
    if not numbers or not all(math.isfinite(at) for at, _ in numbers):
        raise ValueError("a sample that is none")
    if math.isnan(float(labels.get("le", "inf"))):
        raise ValueError("a bound that is no number")
    return labels, samples


def freshness(rows: Sequence[Row], at: float) -> tuple[Targets, dict[str, float], tuple[str, ...]]:
    """Who is scraped, the newest sample of each edge that has a fresh one, and notes.

    Raises:
        _Refused: no edge is fresh, or a target stands before several.
    """
    if not rows:
        raise _Refused(f"no edge exports {REVISION} for this app and env: is the edge scraped?")
    found = targets(rows)
    if found.confused:
        text = ", ".join(found.confused)
        raise _Refused(f"{text} answers for several edges in turn: scrape each edge by an address of its own")
    old = stale(found, at)
    fresh = {edge: max(times) for edge, times in found.times.items() if edge not in old}
    if not fresh:
        raise _Refused(next(iter(old.values()), f"{REVISION} has no sample"))
    return found, fresh, (*old.values(), *twice(found))


def missing(found: Targets, fresh: Iterable[str], rows: Sequence[Row], at: float) -> dict[float, set[Target]]:
    """Whom to ask for again, as of when: a scrape that failed ends every series, and hides what was counted before."""
    there = {found.key(labels) for labels, _ in rows}
    again: dict[float, set[Target]] = {}
    for edge in set(fresh) - there:
        target = found.read_from(edge)
        again.setdefault(found.newest[target], set()).add(target)
    return {moment: missed for moment, missed in again.items() if moment < at}


def _raw(rows: Sequence[Row], found: Targets) -> tuple[RawSeries, ...]:
    """Samples put together by edge, release and host; of two that claim the same place the larger one counts."""
    rows = [row for row in rows if found.counts(row[0])]
    places: dict[tuple[str, str, str], _Counts] = {}
    for labels, samples in rows:
        place = (found.key(labels), labels.get("release", ""), labels.get("host", ""))
        classes, timed, warming, endpoints = places.setdefault(place, ({}, {}, {}, {}))
        value = _finite(labels, samples[-1][1])
        name = labels.get("__name__", "")
        if name == ATTEMPTS:
            kind = labels.get("class", "")
            classes[kind] = max(value, classes.get(kind, 0.0))
        elif name in ENDPOINTS:
            key = labels.get("endpoint", ""), labels.get(ENDPOINTS[name], "")
            endpoints[key] = max(value, endpoints.get(key, 0.0))
        elif "le" in labels:
            buckets = warming if name == WARMING else timed
            bound = float(labels["le"])
            buckets[bound] = max(value, buckets.get(bound, 0.0))
    return tuple(RawSeries(*place, *counts[:3], counts[3]) for place, counts in sorted(places.items()))


def _finite(labels: Mapping[str, str], text: Any) -> float:
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise _Refused(bounded(f"{labels.get('__name__')} of {labels.get('host')} is {text}: no counter"))
    return value


def _filled(pattern: str, app: str, env: str) -> str:
    return pattern.replace("{app}", escaped(app)).replace("{env}", escaped(env))
