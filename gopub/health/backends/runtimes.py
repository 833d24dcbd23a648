"""By which names processes tell of their memory and collection pauses: one line for each.

Where a process has several of one kind, the first line that it has counts. What the host says of the process itself
(resident memory, open files) goes before what the process says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gopub.health.backends.targets import Row, Target, name_of, target_of
from gopub.health.runtime import LONG_PAUSE
from gopub.health.samples import PausesSpent, RuntimeSample

LIVE, GOAL, USED, RESIDENT, FILES, BORN, TRIGGER, PAUSES, SPENT = (
    "live", "goal", "used", "resident", "files", "born", "trigger", "pauses", "spent"
)  # fmt: skip
"""Heap after a collection; the heap at which Go collects next; heap with its garbage; resident memory; open files; when
the process began; how far above the live heap Go collects, in percent; pauses as a histogram; their number and sum."""
NATIVE = "__native__"
"""Marks buckets that were a native histogram: which there are changes from sample to sample."""
_HEAP = {"area": "heap", "jvm_memory_type": "heap", "type": "heap"}
"""How heap is told from what is none: by the one of these labels that there is."""


@dataclass(frozen=True, slots=True)
class Known:
    """One name: what it means, which labels it must have where it has them, and how much a unit of it is."""

    name: str
    what: str
    only: Mapping[str, str] = field(default_factory=dict)
    unit: float = 1.0


TABLE = (
    # client_golang, runtime/metrics
    Known("go_gc_heap_live_bytes", LIVE),
    Known("go_sched_pauses_total_gc_seconds", PAUSES),
    Known("go_gc_pauses_seconds", PAUSES),
    # client_golang, by default
    Known("go_memstats_next_gc_bytes", GOAL),
    Known("go_gc_gogc_percent", TRIGGER),
    Known("go_memstats_heap_alloc_bytes", USED),
    Known("go_gc_duration_seconds", SPENT),
    # OpenTelemetry, Go
    Known("go_memory_gc_goal_bytes", GOAL),
    Known("go_memory_gc_goal", GOAL),
    Known("go_config_gogc_percent", TRIGGER),
    Known("go_config_gogc", TRIGGER),
    Known("process_runtime_go_mem_heap_alloc_bytes", USED),
    Known("process_runtime_go_mem_heap_alloc", USED),
    Known("process_runtime_go_gc_pause_ns_nanoseconds", PAUSES, unit=1e-9),
    Known("process_runtime_go_gc_pause_ns", PAUSES, unit=1e-9),
    Known("process_runtime_go_gc_pause_ns_nanoseconds", SPENT, unit=1e-9),  # its bounds end at 10 µs, unless told
    Known("process_runtime_go_gc_pause_ns", SPENT, unit=1e-9),
    # OpenTelemetry, JVM
    Known("jvm_memory_used_after_last_gc_bytes", LIVE, _HEAP),
    Known("jvm_memory_used_after_last_gc", LIVE, _HEAP),
    Known("process_runtime_jvm_memory_usage_after_last_gc_bytes", LIVE, _HEAP),
    Known("process_runtime_jvm_memory_usage_after_last_gc", LIVE, _HEAP),
    Known("jvm_memory_used", USED, _HEAP),
    Known("process_runtime_jvm_memory_usage_bytes", USED, _HEAP),
    Known("process_runtime_jvm_memory_usage", USED, _HEAP),
    Known("jvm_gc_duration_seconds", PAUSES),
    Known("jvm_gc_duration", PAUSES),
    Known("process_runtime_jvm_gc_duration_seconds", PAUSES),
    Known("process_runtime_jvm_gc_duration_milliseconds", PAUSES, unit=1e-3),
    # Micrometer
    Known("jvm_gc_live_data_size_bytes", LIVE),
    Known("jvm_memory_used_bytes", USED, _HEAP),  # OpenTelemetry and client_java 1 call it so, too
    Known("jvm_gc_pause_seconds", PAUSES),
    Known("jvm_gc_pause_seconds", SPENT),
    Known("process_files_open_files", FILES),
    # client_java
    Known("jvm_memory_pool_collection_used_bytes", LIVE),
    Known("jvm_memory_bytes_used", USED, _HEAP),
    Known("jvm_gc_collection_seconds", SPENT),
    # whatever the language
    Known("process_resident_memory_bytes", RESIDENT),
    Known("process_open_fds", FILES),
    Known("process_open_file_descriptor_count", FILES),
    Known("process_start_time_seconds", BORN),
)

_PARTS: Mapping[str, tuple[str, ...]] = {PAUSES: ("", "_bucket"), SPENT: ("", "_count", "_sum", "_max")}
"""Ends of the series of one name; a native histogram, and the quantiles of a summary, have none."""
_LABELS = frozenset({
    "area", "id", "pool", "gc", "action", "cause", "type", "quantile", "le", NATIVE, "jvm_memory_type", "jvm_gc_name",
    "jvm_memory_pool_name", "jvm_gc_action", "jvm_gc_cause", "go_memory_type", "name",
})  # fmt: skip
"""What a process says of its series; the rest is the target's."""
_COLLECTORS = ("gc", "jvm_gc_name", "name")
_ABSURD = 1e15
"""Bytes of a goal that is none: Go does not collect at all."""
Process = dict[str, list[tuple[Mapping[str, str], float]]]


def names() -> tuple[str, ...]:
    """Every series that is asked for, also as servers write it that keep dots in names."""
    asked = [f"{one.name}{end}" for one in TABLE for end in _PARTS.get(one.what, ("",))]
    return tuple(dict.fromkeys((*asked, *(_dotted(name) for name in asked if _is_dotted(name)))))


def _is_dotted(name: str) -> bool:
    return name.startswith(
        ("jvm_memory_used", "jvm_gc_duration", "go_memory_gc_goal", "go_config_gogc", "process_runtime")
    )


def _dotted(name: str) -> str:
    """``jvm_gc_duration_bucket`` is ``jvm.gc.duration_bucket`` there."""
    base, end = next(((name[: -len(e)], e) for e in ("_bucket", "_count", "_sum") if name.endswith(e)), (name, ""))
    whole = base.replace("_", ".") + end
    for word in ("used.after.last.gc", "usage.after.last.gc", "heap.alloc", "pause.ns"):
        whole = whole.replace(word, word.replace(".", "_"))
    return whole


def runtime_samples(app: str, env: str, rows: Sequence[Row], at: float) -> tuple[RuntimeSample, ...]:
    """One sample per host; series that name another app or env are not ours, what is no number is no sample.

    A process that several servers scrape is read from one of them; a host with several processes is left out.
    """
    found: dict[str, dict[str, dict[Target, Process]]] = {}
    for given, samples in rows:
        labels, value = _plain(given), float(samples[-1][1])
        if (labels.get("app", app), labels.get("env", env)) != (app, env) or not math.isfinite(value):
            continue
        target = target_of({name: text for name, text in labels.items() if name not in _LABELS})
        instances = found.setdefault(labels.get("host", ""), {}).setdefault(name_of(labels), {})
        process = instances.setdefault(target, {})
        process.setdefault(labels.get("__name__", ""), []).append((labels, value))
    return tuple(
        _sample(host, at, scraped[min(scraped)])
        for host, instances in sorted(found.items())
        if len(instances) == 1
        for scraped in instances.values()
    )


def _plain(labels: Mapping[str, str]) -> Mapping[str, str]:
    """With dots in names as underscores."""
    plain = {name.replace(".", "_"): text for name, text in labels.items()}
    return plain | {"__name__": plain.get("__name__", "").replace(".", "_")}


def _sample(host: str, at: float, process: Process) -> RuntimeSample:
    def first(what: str, read: Callable[[Known], float | None] = lambda known: _sum(process, known)) -> float | None:
        return next((value for one in TABLE if one.what == what and (value := read(one)) is not None), None)

    live, goal = first(LIVE), first(GOAL)
    if live is None and goal is not None and goal < _ABSURD:
        live = goal / (1 + max(0.0, first(TRIGGER) or 100.0) / 100)
    histograms = (_buckets(process, one) for one in TABLE if one.what == PAUSES)
    pauses = next((found for found in histograms if _tells(found)), {})
    spent = None if pauses else next((s for one in TABLE if one.what == SPENT and (s := _spent(process, one))), None)
    return RuntimeSample(
        host, at, live, pauses, first(USED), spent, first(BORN), first(RESIDENT), first(FILES)
    )  # fmt: skip


def _tells(buckets: Mapping[float, float]) -> bool:
    """Whether a bound lies where pauses begin to be long: else all of them would be, however short they are."""
    return any(math.isfinite(bound) and bound >= min(LONG_PAUSE.values()) / 2 for bound in buckets)


def _fits(labels: Mapping[str, str], known: Known) -> bool:
    return all(labels[name] == text for name, text in known.only.items() if name in labels)


def _sum(process: Process, known: Known) -> float | None:
    values = [value for labels, value in process.get(known.name, ()) if _fits(labels, known)]
    return sum(values) * known.unit if values else None


def _stops(rows: Iterable[tuple[Mapping[str, str], float]]) -> list[tuple[Mapping[str, str], float]]:
    """Without collectors' work beside the program, which stops nothing."""
    return [
        (labels, value)
        for labels, value in rows
        if not any(word in labels.get(name, "") for name in _COLLECTORS for word in ("Cycles", "Concurrent"))
    ]


def _buckets(process: Process, known: Known) -> Mapping[float, float]:
    """Upper bound in seconds → pauses not longer, of all collectors."""
    classic: dict[tuple[tuple[str, str], ...], dict[float, float]] = {}
    native: dict[tuple[tuple[str, str], ...], dict[float, float]] = {}
    for labels, value in _stops(process.get(f"{known.name}_bucket", ())):
        bound = float(labels.get("le", "inf")) * known.unit
        into = native if NATIVE in labels else classic
        own = tuple(sorted((name, text) for name, text in labels.items() if name != "le"))
        into.setdefault(own, {})[bound] = value
    whole: dict[float, float] = {}
    for buckets in [*classic.values(), *(_coarse(one) for one in native.values())]:
        for bound, value in buckets.items():
            whole[bound] = whole.get(bound, 0.0) + value
    return whole


def _coarse(buckets: Mapping[float, float]) -> Mapping[float, float]:
    """A native histogram at the bounds that are looked at: of its own, those without a pause are left out."""
    bounds = (*LONG_PAUSE.values(), math.inf)
    return {bound: max((n for le, n in buckets.items() if le <= bound * _NEAR), default=0.0) for bound in bounds}


_NEAR = 1.05
"""A bucket of a native histogram that ends so close above a bound lies below it."""


def _spent(process: Process, known: Known) -> PausesSpent | None:
    count, total = ([value for _, value in _stops(process.get(f"{known.name}{end}", ()))] for end in ("_count", "_sum"))
    if not count or not total:
        return None
    longest = [value for _, value in _stops(process.get(f"{known.name}_max", ()))]
    longest += [value for labels, value in process.get(known.name, ()) if labels.get("quantile") == "1"]
    return PausesSpent(sum(count), sum(total) * known.unit, max(longest) * known.unit if longest else None)


def unfolded(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A series whose value is a native histogram, as series of its buckets; any other as it is."""
    if "histogram" not in item:
        return [item] if "values" in item or "histograms" not in item else []
    at, value = item["histogram"]
    base = {**item["metric"], "__name__": f"{item['metric'].get('__name__', '')}_bucket", NATIVE: "yes"}
    counted, made = 0.0, []
    for _, _, upper, count in sorted(value.get("buckets", ()), key=lambda one: float(one[2])):
        counted += float(count)
        made.append({"metric": {**base, "le": str(upper)}, "value": [at, str(counted)]})
    return [*made, {"metric": {**base, "le": "+Inf"}, "value": [at, str(value["count"])]}]
