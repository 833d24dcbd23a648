"""Rollouts of a cell, drawn and judged batch by batch, and kept in a file so that a long run may be cut and go on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from tests.bench.gate import ours
from tests.bench.gate.rivals import fired
from tests.bench.gate.traffic import Cell

RIVALS = ("kayenta", "flagger", "argo", "article")
SIZE = 50
"""Rollouts of a batch: what is lost at most of each process where a run is cut."""


@dataclass(frozen=True)
class Trace:
    """One rollout, as all of them saw it; ``rivals`` is empty, and ``early`` False, where these were not asked."""

    found: ours.Found
    rivals: dict[str, float | None]
    early: bool = False


@dataclass(frozen=True)
class Batch:
    """Rollouts of one cell: those of the seeds from ``first`` on; ``arms`` are whom to ask besides ours."""

    cell: Cell
    first: int
    traces: int
    arms: tuple[str, ...] = RIVALS

    def run(self) -> list[Trace]:
        """Draw and judge them."""
        early, rivals = "evidence" in self.arms, [name for name in RIVALS if name in self.arms]
        out = []
        for index in range(self.traces):
            ticks, found = ours.one(self.cell, self.first + index, early=early)
            told = fired(ticks, self.cell.errors) if rivals else {}
            out.append(Trace(found, {name: told[name] for name in rivals}, early))
        return out

    @property
    def key(self) -> str:
        """What the result depends on, the code left out: another world under the same name is another batch."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


def run_batch(batch: Batch) -> tuple[list[Trace], float]:
    """With the seconds of CPU it took; a function of the module, so that another process can be asked."""
    began = time.process_time()
    return batch.run(), time.process_time() - began


def batches(cell: Cell, seed: int, traces: int, arms: tuple[str, ...], size: int = SIZE) -> list[Batch]:
    """All of a cell's rollouts."""
    return [Batch(cell, seed + at, min(size, traces - at), arms) for at in range(0, traces, size)]


class Kept:
    """A file of JSON lines, one a batch; without one nothing is kept."""

    def __init__(self, file: Path | None) -> None:
        """Read what is there; a line that was cut off by the end of a run counts as none."""
        self._file, self._known = file, dict[str, tuple[list[Trace], float]]()
        for line in file.read_text("utf-8").splitlines() if file and file.exists() else ():
            try:
                told = json.loads(line)
            except json.JSONDecodeError:
                continue
            self._known[told["key"]] = [_trace(one) for one in told["traces"]], told["cpu"]

    def run(self, todo: list[Batch], pool: Executor | None) -> tuple[list[Trace], float]:
        """The rollouts of these batches, and CPU seconds; what is known already is not drawn again."""
        missing = [batch for batch in todo if batch.key not in self._known]
        for batch, (traces, cpu) in zip(missing, _results(missing, pool), strict=True):
            self._known[batch.key] = traces, cpu
            if self._file:
                known = {"key": batch.key, "cell": batch.cell.name, "first": batch.first, "cpu": round(cpu, 3)}
                line = json.dumps(known | {"traces": [_told(trace) for trace in traces]})
                with self._file.open("a", encoding="utf-8") as out:
                    out.write(line + "\n")
        found = [self._known[batch.key] for batch in todo]
        return [trace for traces, _ in found for trace in traces], sum(cpu for _, cpu in found)


def _results(todo: list[Batch], pool: Executor | None) -> Iterable[tuple[list[Trace], float]]:
    found: Iterator[tuple[list[Trace], float]] = map(run_batch, todo) if pool is None else pool.map(run_batch, todo)
    return found


def _told(trace: Trace) -> list[object]:
    one = trace.found
    return [one.kind, one.rule, one.at, one.requests, one.marks, one.phi, trace.rivals, trace.early]


def _trace(told: list) -> Trace:
    kind, rule, at, requests, marks, phi, rivals, early = told
    found = ours.Found(kind, rule, at, requests, {name: (s, n) for name, (s, n) in marks.items()}, phi)
    return Trace(found, rivals, early)
