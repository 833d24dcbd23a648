"""The Go evaluator of route tables (go/gray/route), asked the same as the edge's Lua."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.go import MODULES, go

Case = tuple[dict[str, Any], list[dict[str, Any]]]
"""A document, and requests as :func:`tests.unit.test_traffic_explain.asked` reads them."""


def go_decides(cases: Iterable[Case], folder: Path) -> list[list[list[str]]]:
    """Track and rule of each request, case by case."""
    return _answers([{"table": doc, "requests": _sent(of)} for doc, of in cases], folder)


def go_takes_apart(targets: list[str], folder: Path) -> list[list[str]]:
    """Path and query of each target of a request; nothing of one that is none."""
    return _answers([{"targets": targets}], folder)[0]


def _answers(lines: Iterable[dict[str, Any]], folder: Path) -> list[list[list[str]]]:
    asked, answers = folder / "cases.jsonl", folder / "answers.jsonl"
    asked.write_text("".join(json.dumps(line) + "\n" for line in lines))
    files = {"GRAY_ROUTE_CASES": str(asked), "GRAY_ROUTE_ANSWERS": str(answers)}
    asyncio.run(go("test", "-count=1", "-run=^TestLines$", "./route", at=MODULES / "gray", **files))
    return [json.loads(line) for line in answers.read_text().splitlines()]


def _sent(requests: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every header is a line of its own, in the order in which they are sent."""
    plain = {"method": "GET", "path": "/"}
    return [plain | one | {"headers": list(_lines(one.get("headers", {})))} for one in requests]


def _lines(headers: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in headers.items():
        for line in value if isinstance(value, list) else [value]:
            yield name, line
