"""A parsed file as a tree that knows where each value stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from gopub.errors import Where

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, and the text that it was read from."""

    value: str | float | bool | None
    raw: str
    where: Where
    size: int = 1
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    nodes: tuple[Node, ...]
    where: Where
    size: int
    depth: int


@dataclass(frozen=True, slots=True)
class Keys:
    """A mapping, with the place of each key."""

    nodes: Mapping[str, Node]
    places: Mapping[str, Where]
    where: Where
    size: int
    depth: int


Node: TypeAlias = Scalar | Items | Keys


def plain(node: Node) -> Any:
    """The value without places: dict, list and scalars."""
    match node:
        case Scalar():
            return node.value
        case Items():
            return [plain(item) for item in node.nodes]
        case Keys():
            return {key: plain(value) for key, value in node.nodes.items()}


def child(node: Node, step: str | int) -> Node | None:
    """The value of a key or the item at an index, if there is one."""
    if isinstance(node, Keys) and isinstance(step, str):
        return node.nodes.get(step)
    if isinstance(node, Items) and isinstance(step, int) and step < len(node.nodes):
        return node.nodes[step]
    return None


def find(node: Node, path: Path) -> Node | None:
    """The value at a path, if it stands in the file."""
    found: Node | None = node
    for step in path:
        found = child(found, step) if found is not None else None
    return found


def where(node: Node, path: Path, *, key: bool = False) -> Where:
    """The place of a value: a scalar's own, a collection's key; of a missing one, that of its nearest parent.

    With ``key`` the place of the key itself, which is what an unknown key is shown by.
    """
    place = node.where
    for step in path:
        below = child(node, step)
        if below is None:
            return place
        named = node.places[step] if isinstance(node, Keys) and isinstance(step, str) else below.where
        # A value that was left out stands nowhere: show its key.
        place = below.where if isinstance(below, Scalar) and below.raw and not key else named
        node = below
    return place


def dotted(path: Path) -> str:
    """``environments.prod.rollout.steps[2].bake``: a path as it is shown; indexes count from 0."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every scalar or empty collection below a plain value, with its path, in order."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def printable(name: str) -> str:
    """A stranger's name as an error shows it: it must not move the cursor of the terminal, nor fill it."""
    text = name if name.isprintable() else name.encode("unicode_escape").decode()
    return text if len(text) <= 60 else f"{text[:57]}..."
