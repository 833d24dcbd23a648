"""The parts of a score as they are told: what was measured, the target, where that came from, and the points. Pure.

What is kept may be of an older gopub, or changed: what is missing there is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from gopub.canon import Json
from gopub.views.amounts import percent, took
from gopub.views.looks import figure


def parts_of(score: Mapping[str, Json]) -> tuple[str, ...]:
    """One text for each dimension, in the order of the record: ``latency 98.2 of 100 (weight 40): p95 100 ms, …``."""
    found = score.get("dimensions")
    return tuple(_part(one) for one in found if isinstance(one, dict)) if isinstance(found, list) else ()


def _part(one: Mapping[str, Json]) -> str:
    name, points = str(one.get("name")), figure(one.get("value"))
    weight = figure(one.get("weight"))
    share = f" (weight {weight:g})" if weight is not None else ""
    if points is None:
        return f"{name} left out{share}: {one.get('note') or 'nobody says why'}"
    note = str(one.get("note") or "")
    unit = "open files" if "open files" in note else "MiB"
    said = [f"measured {_amount(name, one.get('measured'), unit)}", _target(name, one, unit)]
    told = ", ".join(filter(None, said))
    return f"{name} {points:.4g} of 100{share}: {told}{f'; {note}' if note else ''}"


def _target(name: str, one: Mapping[str, Json], unit: str) -> str:
    if figure(one.get("target")) is None:
        return ""
    origin = one.get("origin")
    return f"target {_amount(name, one.get('target'), unit)}{f' ({origin})' if origin else ''}"


def _amount(name: str, value: Json, unit: str) -> str:
    found = figure(value)
    if found is None:
        return "-"
    if name == "latency":
        return f"p95 {took(found)}"
    if name == "errors":
        return percent(found)
    if name == "memory_growth":
        return f"{found:.4g} {unit} a minute"
    return f"{found:.3g} long pauses"
