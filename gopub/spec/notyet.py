"""Keys and values that the language has and that this version of gopub does not act on.

They are read and refused: a key that is silently ignored would be a promise that nobody keeps. This table is
the only place that knows them; to act on one, give it a field in ``models.py``, say in ``decides.py`` whose word it
is, and drop its line here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gopub.spec.tree import Path


@dataclass(frozen=True, slots=True)
class NotYet:
    """One key, or some values of a key; ``*`` stands for any name or index."""

    key: str
    instead: str
    values: tuple[str, ...] = ()


NOT_YET = (
    NotYet("source.require.*", "leave it out; clean-tree is checked", ("signed-tag", "signed-commit")),
    NotYet("publish.image", "leave it out; archives are published"),
    NotYet("environments.*.judge.rollback.floor", "leave it out; a rollback goes to the release before"),
)

NOT_YET_IN_CONNECTIONS = (NotYet("*.*.vault", "write {env: NAME} or {file: PATH}"),)


@dataclass(frozen=True, slots=True)
class Found:
    """A place in a file where something of the table stands."""

    path: Path
    value: str | None
    instead: str


def take_out(data: Any, table: Sequence[NotYet] = NOT_YET) -> tuple[Any, tuple[Found, ...]]:
    """Split a plain value into what can be acted on and what cannot be yet."""
    found = tuple(hit for rule in table for hit in _hits(data, tuple(rule.key.split(".")), rule, ()))
    return _without(data, frozenset(hit.path for hit in found), ()), found


def within(part: str, above: Path) -> tuple[NotYet, ...]:
    """The table for a file that holds only the ``part`` of a spec, below the keys ``above``."""
    head = f"{part}."
    return tuple(
        replace(rule, key=".".join((*map(str, above), rule.key.removeprefix(head))))
        for rule in NOT_YET
        if rule.key.startswith(head)
    )


def later_keys(parent: Path) -> frozenset[str]:
    """Names of keys directly below ``parent`` that are known to the language only."""
    return frozenset(
        rule.key.rpartition(".")[2] for rule in NOT_YET if not rule.values and _covers(rule.key.split(".")[:-1], parent)
    )


def _covers(pattern: list[str], path: Path) -> bool:
    return len(pattern) == len(path) and all(p in {"*", s} for p, s in zip(pattern, path, strict=True))


def _hits(data: Any, steps: tuple[str, ...], rule: NotYet, path: Path) -> Iterator[Found]:
    if not steps:
        if not rule.values:
            yield Found(path, None, rule.instead)
        elif data in rule.values:
            yield Found(path, data, rule.instead)
        return
    for key, value in _below(data):
        if steps[0] in {"*", key}:
            yield from _hits(value, steps[1:], rule, (*path, key))


def _below(data: Any) -> list[tuple[str | int, Any]]:
    if isinstance(data, dict):
        return list(data.items())
    return list(enumerate(data)) if isinstance(data, list) else []


def _without(data: Any, gone: frozenset[Path], path: Path) -> Any:
    kept = [(key, value) for key, value in _below(data) if (*path, key) not in gone]
    if isinstance(data, dict):
        return {key: _without(value, gone, (*path, key)) for key, value in kept}
    if isinstance(data, list):
        return [_without(value, gone, (*path, key)) for key, value in kept]
    return data
