"""A real Prometheus on a free loopback port, filled from OpenMetrics text by promtool; ended by its pid."""

from __future__ import annotations

import asyncio
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gopub.process import base_environment, run
from tests.support.ports import free_port

_TYPES = {
    "gopub_edge_attempts_total": ("gopub_edge_attempts", "counter"),
    "gopub_edge_request_seconds_bucket": ("gopub_edge_request_seconds", "histogram"),
    "gopub_edge_warming_request_seconds_bucket": ("gopub_edge_warming_request_seconds", "histogram"),
    "gopub_edge_endpoint_attempts_total": ("gopub_edge_endpoint_attempts", "counter"),
    "gopub_edge_endpoint_answers_total": ("gopub_edge_endpoint_answers", "counter"),
    "gopub_edge_table_revision": ("gopub_edge_table_revision", "gauge"),
    "orders_failed_total": ("orders_failed", "counter"),
    "orders_total": ("orders", "counter"),
    "orders_waiting": ("orders_waiting", "gauge"),
    "http_server_request_duration_seconds_count": ("http_server_request_duration_seconds", "summary"),
    "http_server_requests_seconds_count": ("http_server_requests_seconds", "summary"),
    "go_gc_heap_live_bytes": ("go_gc_heap_live_bytes", "gauge"),
    "go_sched_pauses_total_gc_seconds_bucket": ("go_sched_pauses_total_gc_seconds", "histogram"),
}


@dataclass
class Metrics:
    """Samples to be backfilled: name and labels → (time, value), in order of time."""

    samples: dict[tuple[str, tuple[tuple[str, str], ...]], list[tuple[float, str]]] = field(default_factory=dict)

    def add(self, name: str, labels: Mapping[str, str], at: float, value: float | str) -> None:
        self.samples.setdefault((name, tuple(sorted(labels.items()))), []).append((at, str(value)))

    def ordered(self) -> Metrics:
        """The same with the samples of each series in order of time: two may have written it by turns."""
        return Metrics({key: sorted(points) for key, points in self.samples.items()})

    def text(self) -> str:
        """OpenMetrics: all lines of a family together, counters named without ``_total`` in their TYPE line."""
        lines: list[str] = []
        for name, (family_name, kind) in _TYPES.items():
            found = {labels: points for (family, labels), points in self.samples.items() if family == name}
            if found:
                lines.append(f"# TYPE {family_name} {kind}")
                lines += [
                    f"{name}{{{_written(labels)}}} {value} {at:.3f}"
                    for labels, points in found.items()
                    for at, value in points
                ]
        return "\n".join([*lines, "# EOF", ""])


def _written(labels: Iterable[tuple[str, str]]) -> str:
    return ",".join(f'{key}="{_escaped(value)}"' for key, value in labels)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@contextmanager
def prometheus(
    home: Path, metrics: Metrics | None = None, config: str = "", flags: Sequence[str] = ()
) -> Iterator[str]:
    """Its URL while it runs; ``config`` is prometheus.yml."""
    data = home / "data"
    if metrics:
        source = home / "metrics.om"
        source.write_text(metrics.text(), encoding="utf-8")
        asyncio.run(run(["promtool", "tsdb", "create-blocks-from", "openmetrics", str(source), str(data)], timeout=60))
    (home / "prometheus.yml").write_text(config, encoding="utf-8")
    port = free_port()
    with (home / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={home / 'prometheus.yml'}",
                f"--storage.tsdb.path={data}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{port}",
                *flags,
            ],
            env=base_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _ready(f"http://127.0.0.1:{port}/-/ready", home / "prometheus.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def _ready(url: str, log: Path) -> None:
    for _ in range(1500):
        if _answers(url):
            return
        time.sleep(0.2)
    raise AssertionError(f"Prometheus did not get ready:\n{log.read_text(encoding='utf-8')[-2000:]}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own loopback address
            return bool(answer.status == 200)
    except OSError:
        return False


def histogram_lines(bounds: Iterable[float], cumulative: Iterable[float]) -> dict[str, float]:
    """``le`` label → cumulative count."""
    return dict(zip([*(repr(bound) for bound in bounds), "+Inf"], cumulative, strict=True))
