"""A rollout as one picture: evidence, failures, latency and memory over time, with steps and the decision. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.judge.decision import OVERWHELMING
from gopub.units import say_about
from gopub.views import svg
from gopub.views.amounts import percent, took
from gopub.views.chart import Chart, Frame, Line, Point, draw
from gopub.views.looks import Look, Track, looks_of, moment
from gopub.views.wording import WORDS

_SILENT, _TIMES = 30.0, 5.0
"""A line stops where nobody looked for so many seconds, and so many times the usual time between looks."""
_BEYOND = 3.0
"""Decades of E beyond the upper limit, and below 1, that are drawn."""
_NAMED = 3
_MIB = 2.0**20
_ENDS = ("ROLLBACK", "WITHDRAW")


def plot(entries: Sequence[Entry], lang: str = "en", count: int | None = None) -> str:
    """The picture of a rollout's journal as an SVG file; the same journal is the same bytes.

    ``count`` is how many looks there were, where ``entries`` lack some of them (`Course`).
    """
    words, looks = WORDS[lang], looks_of(entries)
    opened = next((one.event for one in entries if isinstance(one.event, ev.Opened)), None)
    named = {"app": opened.app, "version": opened.version, "env": opened.env} if opened else {}
    title = words["title"].format(**named) if opened else ""
    frame = _frame(entries, looks, words)
    many = len(looks) if count is None else count
    rows = [*_head(entries, looks, frame, opened.rollout if opened else "", words, many)]
    body, at = [svg.text(8, 20, title, class_="head", room=svg.WIDTH - 16)], 22.0
    for row in rows:
        for line in svg.wrapped(row.split(" "), svg.WIDTH - 16):
            at += 14
            body.append(svg.text(8, at, line))
    at += 8
    charts = [_evidence(looks, words), _rates(looks, words), _latency(looks, words), _memory(looks, words)]
    for chart in charts:
        drawn, at = draw(chart, frame, at)
        body += drawn
    told = " ".join([*rows, *(_told(chart, words) for chart in charts)])
    return svg.document(title, told, body, math.ceil(at + 6))


def _frame(entries: Sequence[Entry], looks: Sequence[Look], words: Mapping[str, str]) -> Frame:
    reached = [one.event for one in entries if isinstance(one.event, ev.StepReached)]
    steps = tuple((step.at, words["step"].format(step=step.step + 1)) for step in reached if moment(step.at))
    decided = _decided(entries, looks)
    seen = [*(at for at, _ in steps), *(look.at for look in looks), *([decided] if decided is not None else [])]
    return Frame(min(seen), max(seen), steps, decided) if seen else Frame(0.0, 0.0)


def _decided(entries: Sequence[Entry], looks: Sequence[Look]) -> float | None:
    """When it was decided: by the last verdict, else by whatever turned it around."""
    if looks and (looks[-1].kind in _ENDS or any(isinstance(one.event, ev.Settling) for one in entries)):
        return looks[-1].at
    return next((one.at for one in entries if isinstance(one.event, ev.GoingBack)), None)


def _head(
    entries: Sequence[Entry], looks: Sequence[Look], frame: Frame, rollout: str, words: Mapping[str, str], many: int
) -> list[str]:
    if not looks:
        return [words["never"].format(rollout=rollout)]
    start = datetime.fromtimestamp(frame.start, UTC).strftime("%Y-%m-%d %H:%M:%S")
    head = words["once" if many == 1 else "from"].format(rollout=rollout, looks=many, start=start)
    after = say_about((frame.decided or 0.0) - frame.start)
    last = {"kind": looks[-1].kind, "rule": looks[-1].rule, "after": after}
    by_hand = looks[-1].kind not in _ENDS and any(isinstance(one.event, ev.GoingBack) for one in entries)
    key = "open" if frame.decided is None else "by_hand" if by_hand else "decided"
    return [head, words[key].format(**last)]


def _evidence(looks: Sequence[Look], words: Mapping[str, str]) -> Chart:
    alpha = next((look.alpha for look in reversed(looks) if look.alpha), None)
    limits: tuple[tuple[float, str], ...] = ()
    if alpha:
        sure, far = -math.log10(alpha), math.log10(OVERWHELMING / alpha)
        limits = tuple(
            (at, words[key].format(value=power(at))) for at, key in ((sure, "limit_sure"), (far, "limit_far"))
        )
    top = (limits[-1][0] if limits else 4.0) + _BEYOND
    points = _points(looks, lambda look: look.log_e)
    highest = max((point.value for point in points if point.value is not None), default=0.0)
    more = words["beyond"].format(value=power(highest)) if highest > top else ""
    return Chart(words["evidence"], words["evidence_says"] + more, (Line("E", "ours", points),), power,
                 words["no_evidence"], limits, least=1.0, bottom=-_BEYOND, top=top, whole=True)  # fmt: skip


def _rates(looks: Sequence[Look], words: Mapping[str, str]) -> Chart:
    lines = tuple(
        Line(words[name], kind, _gapped([_rate(look.at, _track(look, name)) for look in looks]))
        for name, kind in (("canary", "ours"), ("stable", "theirs"))
    )
    limit = next((look.allowed for look in reversed(looks) if look.allowed is not None), None)
    highest = max((point.value or 0.0 for line in lines for point in line.points), default=0.0)
    limits = ((limit, words["allowed"].format(value=percent(limit))),) if limit is not None else ()
    top = min(max(3 * highest, 2 * (limit or 0.0), 0.05), 1.0)
    return Chart(words["rates"], words["rates_says"], lines, percent, words["no_rates"], limits, least=0.01, top=top)


def _track(look: Look, name: str) -> Track:
    return look.canary if name == "canary" else look.stable


def _rate(at: float, track: Track) -> Point:
    rate = track.rate
    return Point(at, rate.value, rate.low, rate.high) if rate else Point(at, None)


def _latency(looks: Sequence[Look], words: Mapping[str, str]) -> Chart:
    lines = (
        Line(f"{words['canary']} p95", "ours", _points(looks, lambda look: look.canary.p95)),
        Line(f"{words['canary']} p50", "more", _points(looks, lambda look: look.canary.p50)),
        Line(f"{words['stable']} p95", "theirs", _points(looks, lambda look: look.stable.p95)),
    )
    target = next((look.target for look in reversed(looks) if look.target is not None), None)
    limits = ((target, words["target"].format(value=took(target))),) if target is not None else ()
    return Chart(words["latency"], words["latency_says"], lines, took, words["no_latency"], limits, least=0.01)


def _memory(looks: Sequence[Look], words: Mapping[str, str]) -> Chart:
    """The three hosts that hold most at last, by name; of the others the one that holds most stands for all."""
    most: dict[str, float] = {}
    for look in looks:
        most.update(look.memory)
    ranked = sorted(most, key=lambda host: (-most[host], host))
    kinds = ("ours", "theirs", "limit")
    lines = [Line(host, kind, _of_host(looks, host)) for host, kind in zip(ranked, kinds, strict=False)]
    if rest := ranked[_NAMED:]:
        lines.append(Line(words["more"].format(count=len(rest)), "more", _of_host(looks, rest[0])))
    return Chart(words["memory"], words["memory_says"], tuple(lines), _size, words["no_memory"], least=1.0)


def _of_host(looks: Sequence[Look], host: str) -> tuple[Point, ...]:
    return _points(looks, lambda look: look.memory[host] / _MIB if host in look.memory else None)


def _points(looks: Sequence[Look], read: Callable[[Look], float | None]) -> tuple[Point, ...]:
    return _gapped([Point(look.at, read(look)) for look in looks])


def _gapped(points: Sequence[Point]) -> tuple[Point, ...]:
    """With a gap where nobody looked; times that go back are put in order."""
    ordered = sorted(points, key=lambda one: one.at)
    gaps = {before for before, _ in unwatched([one.at for one in ordered])}
    return tuple(one for point in ordered for one in ((point, Point(point.at, None)) if point.at in gaps else (point,)))


def unwatched(times: Sequence[float]) -> list[tuple[float, float]]:
    """From when to when nobody looked, by the times of all looks."""
    apart = list(pairwise(sorted(times)))
    usual = statistics.median(after - before for before, after in apart) if apart else 0.0
    return [(before, after) for before, after in apart if after - before > max(_SILENT, _TIMES * usual)]


def _told(chart: Chart, words: Mapping[str, str]) -> str:
    """The last value of each line in words."""
    last = [
        words["last"].format(name=line.name, value=chart.shown(known[-1]))
        for line in chart.lines
        if (known := [point.value for point in line.points if point.value is not None])
    ]
    what = ", ".join([*last, *(name for _, name in chart.limits)]) if last else chart.nothing
    return words["told"].format(title=chart.title, what=what)


def power(log: float) -> str:
    """The number with this decimal logarithm: ``0.01``, ``1``, ``100``, ``2.5e7``."""
    if -3 <= log < 4.5:
        return f"{10**log:.3g}" if log < 2.9 else f"{round(10**log, 2 - math.floor(log)):,.0f}"
    whole = math.floor(log + 1e-9)
    head = f"{10 ** (log - whole):.2g}"
    return f"1e{whole + 1}" if head == "10" else f"{head}e{whole}"


def mebibytes(value: float) -> str:
    """Bytes in words: ``31.2 MiB``."""
    return _size(value / _MIB)


def _size(mib: float) -> str:
    return f"{mib:.3g} MiB" if mib < 999.5 else f"{mib / 1024:.2g} GiB" if mib < 100_000 else f"{mib / 2**20:.2g} TiB"
