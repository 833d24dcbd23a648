"""What is printed of a cell's rollouts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from tests.bench.gate import ours
from tests.bench.gate.limits import interval, requests_needed
from tests.bench.gate.runs import RIVALS, Trace
from tests.bench.gate.traffic import Cell

MARKS = ("watch", "back")
DELTA = 0.25
"""What the judge takes for no worse, of errors."""
MOST = 0.01
"""The share of innocents that may be blamed."""


def say_share(found: int, of: int) -> str:
    """With its interval."""
    low, high = interval(found, of)
    return f"{found}/{of} = {found / of:.2%} [{low:.2%}, {high:.2%}]"


def _blamed(traces: Sequence[Trace], name: str) -> int:
    return sum(trace.rivals[name] is not None for trace in traces)


def rivals_of(traces: Sequence[Trace]) -> tuple[str, ...]:
    """Those that saw these rollouts."""
    return tuple(name for name in RIVALS if traces and name in traces[0].rivals)


def innocent_lines(cell: Cell, traces: Sequence[Trace]) -> list[str]:
    """False rollbacks of each, and what else ours did."""
    n = len(traces)
    back = sum(trace.found.kind == "ROLLBACK" for trace in traces)
    _, high = interval(back, n)
    told = {kind: sum(trace.found.kind == kind for trace in traces) for kind in ("WITHDRAW", "HOLD", "PROMOTE")}
    rest = ", ".join(f"{kind} {count / n:.1%}" for kind, count in told.items() if count)
    alarms = {mark: sum(mark in trace.found.marks for trace in traces) for mark in MARKS}
    rules = sorted({trace.found.rule for trace in traces if trace.found.kind == "ROLLBACK"})
    mark = " <= 1 %" if high <= MOST else " ABOVE 1 %" if interval(back, n)[0] > MOST else " open"
    phi = statistics.median(trace.found.phi for trace in traces)
    by = f" by rule {', '.join(map(str, rules))}" if rules else ""
    lines = [
        f"  ours      false rollbacks {say_share(back, n)}{mark}{by}; {rest}",
        f"            E >= 1/a {alarms['watch'] / n:.1%}, E >= 100/a {alarms['back'] / n:.1%}; phi {phi:.2f}",
        *_early_line(traces, 0.0),
    ]
    rivals = rivals_of(traces)
    return [*lines, *(f"  {name:9} false rollbacks {say_share(_blamed(traces, name), n)}" for name in rivals)]


def guilty_lines(cell: Cell, traces: Sequence[Trace]) -> list[str]:
    """The share found and the delays; beside the limit where one is known."""
    n, begins = len(traces), cell.fault.begins if cell.fault else 0.0
    kinds = {k: sum(t.found.kind == k for t in traces) / n for k in ("ROLLBACK", "WITHDRAW", "HOLD", "PROMOTE")}
    rest = ", ".join(f"{kind} {share:.1%}" for kind, share in kinds.items() if share)
    stopped = sum(trace.found.stopped for trace in traces)
    phi = statistics.median(trace.found.phi for trace in traces)
    ends = _ends(traces, begins)
    lines = [f"  ours      stopped {say_share(stopped, n)} after {_median(ends)}; {rest}; phi {phi:.2f}"]
    names = ("watch", "back", "errors watch", "errors back") if cell.one_metric else MARKS
    lines += [_mark_line(cell, traces, name, begins) for name in names]
    lines += _early_line(traces, begins)
    for name in rivals_of(traces):
        fired_at = [at for trace in traces if (at := trace.rivals[name]) is not None]
        early = sum(at <= begins for at in fired_at)
        found = [at - begins for at in fired_at if at > begins]
        before = f", {early} before it began" if early else ""
        lines.append(f"  {name:9} found {say_share(len(found), n)} after {_median(found)}{before}")
    return lines


def _ends(traces: Sequence[Trace], begins: float) -> list[float]:
    return [trace.found.at - begins for trace in traces if trace.found.stopped and trace.found.at is not None]


def _early_line(traces: Sequence[Trace], begins: float) -> list[str]:
    """When counts would have let the first step go on."""
    if not traces or not traces[0].early:
        return []
    at = [trace.found.marks[ours.EARLY][0] for trace in traces if ours.EARLY in trace.found.marks]
    blind = f", {sum(one <= begins for one in at)} before it began" if begins else ""
    return [f"  promote: evidence goes on early in {say_share(len(at), len(traces))} after {_median(at)}{blind}"]


def _mark_line(cell: Cell, traces: Sequence[Trace], name: str, begins: float) -> str:
    hits = [trace.found.marks[name] for trace in traces if name in trace.found.marks]
    late = [(at - begins, requests) for at, requests in hits if at > begins]
    words = {"watch": "E >= 1/a", "back": "E >= 100/a", "errors watch": "  errors alone, 1/a"}
    told = words.get(name, "  errors alone, 100/a")
    line = f"    {told:22} {len(late) / len(traces):6.1%} after {_median(at for at, _ in late)}"
    share = cell.shares[0]
    passed = begins * cell.rps * share if len(cell.shares) == 1 else None
    if not late:
        return line
    if passed is not None:
        requests = _with_misses([count - passed for _, count in late], len(traces))
        line += f", {requests:.0f} canary requests"
        if cell.one_metric and cell.fault:
            threshold = (100.0 if "back" in name else 1.0) / ours.ALPHA
            limit = requests_needed(threshold, cell.errors * cell.fault.errors, cell.errors, share / (1 - share), DELTA)
            look = cell.scrape * cell.rps * share
            line += f"; bound {limit:.0f}, ratio {requests / limit:.2f}, less one look {(requests - look) / limit:.2f}"
    return line


def _with_misses(values: Sequence[float], of: int) -> float:
    """The median of all rollouts, those that were missed being later than any."""
    return statistics.median([*values, *[math.inf] * (of - len(values))])


def _median(values: Iterable[float]) -> str:
    known = list(values)
    return f"{statistics.median(known):.0f} s" if known else "-"


def beside_rivals(cells: Sequence[Cell], seen: Mapping[str, Sequence[Trace]]) -> list[str]:
    """Whether any rival that blames as few innocents stops a guilty rollout sooner than ours, cell by cell.

    A rival stands beside ours in a guilty cell if it is not known to blame more than ``MOST`` in any innocent cell of
    the same service (its base rate, clusters and requests per second); one that keeps that everywhere is named first.
    """
    innocent = [cell for cell in cells if cell.innocent and not cell.note and rivals_of(seen[cell.name])]
    guilty = [cell for cell in cells if not cell.innocent and rivals_of(seen[cell.name])]
    if not innocent or not guilty:
        return []
    honest = [name for name in RIVALS if all(_keeps(seen[cell.name], name) for cell in innocent)]
    lines = [f"rivals that blame no more than 1 % in any innocent cell: {', '.join(honest) or 'none'}"]
    for cell in guilty:
        twins = [one for one in innocent if _service(one) == _service(cell)]
        beside = [name for name in RIVALS if twins and all(_keeps(seen[one.name], name) for one in twins)]
        begins, traces = cell.fault.begins if cell.fault else 0.0, seen[cell.name]
        mine = _with_misses(_ends(traces, begins), len(traces))
        times = {name: _rival_median(traces, name, begins) for name in beside}
        best = min(times, key=lambda name: times[name], default="")
        if best and times[best] < mine:
            lines.append(f"  SLOWER than {best}: {cell.name}: ours {_said(mine)}, {best} {_said(times[best])}")
    slower = len(lines) - 1
    return [*lines, f"  slower in {slower} of {len(guilty)} guilty cells than the best of those that keep 1 % there"]


def _keeps(traces: Sequence[Trace], name: str) -> bool:
    return interval(_blamed(traces, name), len(traces))[0] <= MOST


def _service(cell: Cell) -> tuple[object, ...]:
    return cell.errors, cell.cluster, cell.incident, cell.retried > 0, cell.hosts, cell.scrape


def _rival_median(traces: Sequence[Trace], name: str, begins: float) -> float:
    at = [found - begins for trace in traces if (found := trace.rivals[name]) is not None and found > begins]
    return _with_misses(at, len(traces))


def _said(seconds: float) -> str:
    return f"{seconds:.0f} s" if math.isfinite(seconds) else "not in half of them"
