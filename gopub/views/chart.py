"""One chart over time: lines with gaps, intervals, limits, steps and the decision, as SVG. Pure.

However many points there are, a line has at most a few for each unit of its width, among them the highest and lowest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gopub.units import say_seconds
from gopub.views import svg

LEFT, RIGHT, TALL = 46.0, 12.0, 96.0
_ROOM = svg.WIDTH - LEFT - RIGHT
_ROW = 13.0
_APART = 34.0
"""Labels of steps nearer than this would lie on each other."""
_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
_MOST_TIMES = 5
_NAME = 0.15
"""Of a limit: how far the axis goes on above it, so that its name has room there."""


@dataclass(frozen=True, slots=True)
class Point:
    """A value at a second; None is a gap. ``low`` and ``high`` are its interval, where it has one."""

    at: float
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A figure over time; ``kind`` is how it is drawn: ours, theirs or more."""

    name: str
    kind: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """What all charts of a picture share: the first and last second, steps by their beginning, the decision."""

    start: float
    end: float
    steps: tuple[tuple[float, str], ...] = ()
    decided: float | None = None

    def x(self, at: float) -> float:
        """Where a second lies."""
        return LEFT + _ROOM * min(max((at - self.start) / max(self.end - self.start, 1e-9), 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Chart:
    """Its words and lines. ``shown`` spells a value of the axis; ``nothing`` is said where there is no value.

    The axis ends at the highest value or limit, but at ``least`` at the lowest and at ``top`` at the highest.
    """

    title: str
    says: str
    lines: tuple[Line, ...]
    shown: Callable[[float], str]
    nothing: str
    limits: tuple[tuple[float, str], ...] = ()
    least: float = 1e-9
    bottom: float = 0.0
    top: float = math.inf
    whole: bool = False
    """Whether the axis has its numbers at integers alone."""


def draw(chart: Chart, frame: Frame, at: float) -> tuple[list[str], float]:
    """The chart from ``at`` downwards, and where it ends."""
    rows = svg.wrapped(chart.says.split(" "), svg.WIDTH - 16)
    out = [svg.text(8, at + 14, chart.title, class_="head", room=svg.WIDTH - 16)]
    out += [svg.text(8, at + 28 + _ROW * place, row, class_="faint") for place, row in enumerate(rows)]
    under = at + 28 + _ROW * len(rows)
    known = [line for line in chart.lines if any(point.value is not None for point in line.points)]
    if not known:
        return [*out, svg.text(8, under, chart.nothing)], under + 14
    legend, under = _legend(known, under)
    top, low, high = under + (20 if frame.steps else 10), *_reach(chart)

    def y(value: float) -> float:
        return top + TALL * (1 - min(max((value - low) / (high - low), 0.0), 1.0))

    out += [*legend, *_axis(chart, low, high, y), *_times(frame, top)]
    for line in sorted(known, key=lambda one: one.kind == "ours"):
        out += _line(line, frame, y)
    return [*out, *_limits(chart, y, top)], top + TALL + 24


def _legend(lines: Sequence[Line], at: float) -> tuple[list[str], float]:
    out, x = [], 8.0
    for line in lines:
        name = svg.fitted(line.name, svg.WIDTH - 50)
        need = 30 + svg.wide(name)
        if x > 8 and x + need > svg.WIDTH - 8:
            x, at = 8.0, at + _ROW
        out += [svg.element("line", class_=line.kind, x1=x, y1=at - 3.5, x2=x + 18, y2=at - 3.5)]
        out += [svg.text(x + 22, at, name)]
        x += need + 4
    return out, at


def _reach(chart: Chart) -> tuple[float, float]:
    seen = [value for line in chart.lines for point in line.points
            for value in (point.value, point.high) if value is not None]  # fmt: skip
    room = (value + _NAME * abs(value) for value, _ in chart.limits)
    high = max(*seen, *room, chart.least) if seen else chart.least
    low = max(min([0.0, *seen]), chart.bottom)
    return low, max(min(high * 1.08, chart.top), low + 1e-12)


def _axis(chart: Chart, low: float, high: float, y: Callable[[float], float]) -> Iterator[str]:
    for value in marks(low, high, whole=chart.whole):
        yield svg.element("line", x1=LEFT, y1=y(value), x2=LEFT + _ROOM, y2=y(value))
        yield svg.text(LEFT - 4, y(value) + 3.5, chart.shown(value), class_="faint", anchor="end", room=LEFT - 5)


def marks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Round values between two, about four of them; ``whole`` ones are integers."""
    raw = max((high - low) / 4, 1.0 if whole else 0.0)
    if not math.isfinite(raw) or raw <= 0:
        return [low]
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(
        unit * times for times in ((1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)) if unit * times >= raw * 0.999
    )
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [place * step for place in range(first, last + 1)]


def _times(frame: Frame, top: float) -> Iterator[str]:
    length = max(frame.end - frame.start, 0.0)
    step = next((one for one in _TIMES if length / one <= _MOST_TIMES), max(math.ceil(length / _MOST_TIMES), 1))
    for place in range(int(length // step) + 1 if length else 1):
        x = frame.x(frame.start + place * step)
        anchor = "end" if x > svg.WIDTH - 24 else "middle"
        words = say_seconds(place * step) if place else "0"
        yield svg.text(x, top + TALL + 13, words, class_="faint", anchor=anchor)
    last = -math.inf
    for at, name in frame.steps:
        x = frame.x(at)
        yield svg.element("line", class_="step", x1=x, y1=top, x2=x, y2=top + TALL)
        if x - last >= _APART and x + svg.wide(name) <= svg.WIDTH - 2:
            yield svg.text(x, top - 4, name, class_="faint")
            last = x
    if frame.decided is not None:
        x = frame.x(frame.decided)
        yield svg.element("line", class_="end", x1=x, y1=top - 4, x2=x, y2=top + TALL)


def _limits(chart: Chart, y: Callable[[float], float], top: float) -> Iterator[str]:
    """Each with its name above it, below it where there is no room above; one that would lie on another is raised."""
    before = math.inf
    for value, name in sorted(chart.limits):
        level = y(value)
        yield svg.element("line", class_="limit", x1=LEFT, y1=level, x2=LEFT + _ROOM, y2=level)
        place = min(level - 3 if level - top > 10 else level + 10, before - 11)
        yield svg.text(LEFT + 3, place, name, class_="mark", room=_ROOM - 6)
        before = place


def _line(line: Line, frame: Frame, y: Callable[[float], float]) -> Iterator[str]:
    for part in _parts(thinned(line.points, frame)):
        there = [(frame.x(point.at), y(point.value or 0.0)) for point in part]
        if edges := _band(part, frame, y):
            yield svg.element("path", class_=f"band {line.kind}", d=_way(edges) + "Z")
        if len(there) > 1:
            yield svg.element("path", class_=line.kind, d=_way(there))
        x, last = there[-1]
        yield svg.element("circle", class_=f"dot {line.kind}", cx=x, cy=last, r=2.2)


def _band(part: Sequence[Point], frame: Frame, y: Callable[[float], float]) -> list[tuple[float, float]]:
    known = [(frame.x(one.at), one.low, one.high) for one in part if one.low is not None and one.high is not None]
    if len(known) == 1:  # one look alone has an interval, too
        known = [(known[0][0] - 2, *known[0][1:]), (known[0][0] + 2, *known[0][1:])]
    upper = [(x, y(high)) for x, _, high in known]
    return upper + [(x, y(low)) for x, low, _ in reversed(known)]


def _way(there: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{svg.number(x)} {svg.number(y)}" for x, y in there)


def _parts(points: Iterable[Point]) -> Iterator[list[Point]]:
    part: list[Point] = []
    for point in points:
        if point.value is not None:
            part.append(point)
        elif part:
            yield part
            part = []
    if part:
        yield part


def thinned(points: Sequence[Point], frame: Frame) -> list[Point]:
    """The lowest and the highest of each unit of width, in their order, and its first gap; few points stay all."""
    if len(points) <= _ROOM:
        return list(points)
    columns: dict[int, list[Point]] = {}
    for point in points:
        columns.setdefault(int(frame.x(point.at)), []).append(point)
    kept: list[Point] = []
    for column in columns.values():
        known = [point for point in column if point.value is not None]
        chosen = [*(point for point in column if point.value is None)][:1]
        if known:
            chosen += [min(known, key=lambda one: one.value or 0.0), max(known, key=lambda one: one.value or 0.0)]
            chosen += [known[-1]]
        kept += sorted(dict.fromkeys(chosen), key=lambda one: one.at)
    return kept
