"""The past of the edges' counters from Prometheus, at moments a minute apart: what A/A comparisons are made of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from gopub.health.backends.promql import selector
from gopub.health.backends.targets import Row, Targets, targets

CHUNK = 3600.0
"""Seconds that one question asks for."""
STEP = 60.0
Ask = Callable[[str, float], Awaitable[list[Row]]]


async def moments(
    ask: Ask, names: Sequence[str], told: str, service: tuple[str, str], span: tuple[float, float]
) -> AsyncIterator[tuple[float, list[Row], Targets]]:
    """Each moment with the samples of that moment alone, and whose they are.

    Args:
        ask: a question and its time.
        names: the series that are wanted.
        told: the series by which an edge says who it is.
        service: app and env.
        span: from when to when, seconds since the epoch.
    """
    labels = dict(zip(("app", "env"), service, strict=True))
    begin, end = span
    while begin < end:
        upto = min(begin + CHUNK, end)
        # Of the whole of it: an edge that was scraped twice is one edge also where one of the two ended meanwhile.
        who = targets(await ask(f"{selector((told,), equal=labels)}[{upto - begin:.0f}s]", upto))
        rows = await ask(f"{selector(names, equal=labels)}[{upto - begin:.0f}s:{STEP:.0f}s]", upto)
        at_moments: dict[float, list[Row]] = {}
        for found, samples in rows:
            for sample in samples:
                at_moments.setdefault(float(sample[0]), []).append((found, [sample]))
        for at in sorted(at_moments):
            yield at, at_moments[at], who
        begin = upto
