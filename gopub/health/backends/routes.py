"""By which names services count requests by route: one line for each, and the questions that find the busiest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from gopub.health.backends.promql import selector
from gopub.health.backends.targets import Row
from gopub.health.busiest import ASKED, Busiest, Route

SPAN = "1h"
Ask = Callable[[str], Awaitable[Sequence[Row]]]


@dataclass(frozen=True, slots=True)
class Instrument:
    """A counter of requests, and its labels that bear a route's template and a method."""

    name: str
    route: str
    method: str


TABLE = (
    Instrument("http_server_request_duration_seconds_count", "http_route", "http_request_method"),  # OpenTelemetry
    Instrument(
        "http_server_duration_milliseconds_count", "http_route", "http_method"
    ),  # of before its names were fixed
    Instrument("http_server_requests_seconds_count", "uri", "method"),  # Micrometer
)


async def busiest(ask: Ask, hosts: Sequence[str], matching: Mapping[str, str]) -> Busiest | None:
    """The busiest routes by the first instrument that these hosts have; None where they have none.

    The server adds up and cuts, so an answer is small however many paths clients invent.
    """
    for one in TABLE:
        found = selector((one.name,), one_of={"host": sorted(hosts)}, matching=matching)
        grown = f"increase({found}[{SPAN}])"
        rows = await ask(f"topk({ASKED}, sum by ({one.route}, {one.method}) ({grown}))")
        routes = [
            Route(labels.get(one.method, ""), labels[one.route], float(samples[-1][1]))
            for labels, samples in rows
            if labels.get(one.route)
        ]
        if routes:
            whole = await ask(f"sum({grown})")
            total = sum(float(samples[-1][1]) for _, samples in whole)
            return Busiest(tuple(sorted(routes, key=lambda route: (-route.requests, route.template))), total)
    return None
