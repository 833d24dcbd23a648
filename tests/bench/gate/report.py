"""Many rollouts of a cell, and what is printed of them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from tests.bench.gate import ours
from tests.bench.gate.limits import interval, requests_needed
from tests.bench.gate.rivals import fired
from tests.bench.gate.traffic import Cell

RIVALS = ("kayenta", "flagger", "argo", "article")
MARKS = ("watch", "back")
DELTA = 0.25
"""What the judge takes for no worse, of errors."""


@dataclass(frozen=True)
class Trace:
    """One rollout, as all of them saw it."""

    found: ours.Found
    rivals: dict[str, float | None]


@dataclass(frozen=True)
class Batch:
    """Rollouts of one cell from a seed on."""

    cell: Cell
    seed: int
    traces: int

    def run(self) -> list[Trace]:
        """Draw and judge them."""
        out = []
        for index in range(self.traces):
            ticks, found = ours.one(self.cell, self.seed + index)
            out.append(Trace(found, fired(ticks, self.cell.errors)))
        return out


def run_batch(batch: Batch) -> tuple[list[Trace], float]:
    """With the seconds of CPU it took; a function of the module, so that another process can be asked."""
    began = time.process_time()
    return batch.run(), time.process_time() - began


def run_cell(cell: Cell, seed: int, traces: int, pool: Executor | None, parts: int = 2) -> tuple[list[Trace], float]:
    """All of a cell's rollouts, and CPU seconds."""
    if pool is None:
        return run_batch(Batch(cell, seed, traces))
    size = math.ceil(traces / parts)
    batches = [Batch(cell, seed + i * size, min(size, traces - i * size)) for i in range(parts)]
    found = list(pool.map(run_batch, batches))
    return [trace for traces_, _ in found for trace in traces_], sum(cpu for _, cpu in found)


def say_share(found: int, of: int) -> str:
    """With its interval."""
    low, high = interval(found, of)
    return f"{found}/{of} = {found / of:.2%} [{low:.2%}, {high:.2%}]"


def innocent_lines(cell: Cell, traces: Sequence[Trace]) -> list[str]:
    """False rollbacks of each, and what else ours did."""
    n = len(traces)
    back = sum(trace.found.kind == "ROLLBACK" for trace in traces)
    _, high = interval(back, n)
    told = {kind: sum(trace.found.kind == kind for trace in traces) for kind in ("WITHDRAW", "HOLD", "PROMOTE")}
    rest = ", ".join(f"{kind} {count / n:.1%}" for kind, count in told.items() if count)
    alarms = {mark: sum(mark in trace.found.marks for trace in traces) for mark in MARKS}
    rules = sorted({trace.found.rule for trace in traces if trace.found.kind == "ROLLBACK"})
    mark = " <= 1 %" if high <= 0.01 else " ABOVE 1 %" if interval(back, n)[0] > 0.01 else " open"
    phi = statistics.median(trace.found.phi for trace in traces)
    by = f" by rule {', '.join(map(str, rules))}" if rules else ""
    lines = [
        f"  ours      false rollbacks {say_share(back, n)}{mark}{by}; {rest}",
        f"            E >= 1/a {alarms['watch'] / n:.1%}, E >= 100/a {alarms['back'] / n:.1%}; phi {phi:.2f}",
    ]
    for name in RIVALS:
        count = sum(trace.rivals[name] is not None for trace in traces)
        lines.append(f"  {name:9} false rollbacks {say_share(count, n)}")
    return lines


def guilty_lines(cell: Cell, traces: Sequence[Trace]) -> list[str]:
    """The share found and the delays; beside the limit where one is known."""
    n, begins = len(traces), cell.fault.begins if cell.fault else 0.0
    kinds = {k: sum(t.found.kind == k for t in traces) / n for k in ("ROLLBACK", "WITHDRAW", "HOLD", "PROMOTE")}
    ends = [trace.found.at - begins for trace in traces if trace.found.stopped and trace.found.at is not None]
    rest = ", ".join(f"{kind} {share:.1%}" for kind, share in kinds.items() if share)
    stopped = sum(trace.found.stopped for trace in traces)
    phi = statistics.median(trace.found.phi for trace in traces)
    lines = [f"  ours      stopped {say_share(stopped, n)} after {_median(ends)}; {rest}; phi {phi:.2f}"]
    names = ("watch", "back", "errors watch", "errors back") if cell.one_metric else MARKS
    lines += [_mark_line(cell, traces, name, begins) for name in names]
    for name in RIVALS:
        fired_at = [at for trace in traces if (at := trace.rivals[name]) is not None]
        early = sum(at <= begins for at in fired_at)
        found = [at - begins for at in fired_at if at > begins]
        before = f", {early} before it began" if early else ""
        lines.append(f"  {name:9} found {say_share(len(found), n)} after {_median(found)}{before}")
    return lines


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
