"""The effective spec: every value with its origin, as YAML that reads back equal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gopub.canon import Json
from gopub.spec.loader import DEFAULT, Loaded
from gopub.spec.reading import resolve
from gopub.spec.tree import Path, dotted

SCHEMA_VERSION = 1
_BARE = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./@%+=:-]*(?<!:)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the effective spec."""

    text: str
    origin: str = ""

    @property
    def is_default(self) -> bool:
        """Whether nobody wrote this value."""
        return self.origin == DEFAULT


def effective(loaded: Loaded, env: str | None = None) -> Mapping[str, Json]:
    """The spec as plain JSON values; with ``env`` only that environment."""
    whole = loaded.spec.model_dump(mode="json")
    if env is not None:
        whole["environments"] = {env: whole["environments"][env]}
    return whole


def as_document(
    loaded: Loaded,
    env: str | None,
    selected: Mapping[str, tuple[int, int]],
    judged: Mapping[str, str | None],
) -> dict[str, Json]:
    """What ``gopub check --json`` prints.

    Args:
        loaded: The spec.
        env: The only environment to show, or None for all.
        selected: Matched and all hosts of each environment.
        judged: The metrics that decide over each environment; None means health-only.
    """
    others = tuple(f"environments.{name}." for name in loaded.spec.environments if env not in {None, name})
    return {
        "schema_version": SCHEMA_VERSION,
        "file": loaded.file,
        "spec": effective(loaded, env),
        "origins": {path: origin for path, origin in loaded.origins.items() if not path.startswith(others)},
        "hosts": {name: {"matched": found, "of": total} for name, (found, total) in selected.items()},
        "judged_on": dict(judged),
    }


def lines(loaded: Loaded, env: str | None = None) -> tuple[Line, ...]:
    """The effective spec, line by line."""
    return tuple(_mapping(effective(loaded, env), loaded.origins, (), 0))


def as_text(listed: tuple[Line, ...]) -> str:
    """The lines with their origins as comments in one column."""
    width = column(listed)
    shown = (f"{line.text:<{width}}  # {line.origin}" if line.origin else line.text for line in listed)
    return "\n".join(shown) + "\n"


def column(listed: tuple[Line, ...]) -> int:
    """Where the comments begin; a few long lines do not push them out of sight."""
    return min(64, max((len(line.text) for line in listed if line.origin), default=0))


def _mapping(value: Mapping[str, Json], origins: Mapping[str, str], path: Path, depth: int) -> Iterator[Line]:
    for key, item in value.items():
        yield from _entry(f"{'  ' * depth}{_scalar(key)}:", item, origins, (*path, key), depth + 1)


def _entry(head: str, item: Json, origins: Mapping[str, str], path: Path, depth: int) -> Iterator[Line]:
    if isinstance(item, Mapping) and item:
        yield Line(head)
        yield from _mapping(item, origins, path, depth)
    elif isinstance(item, list) and any(isinstance(one, Mapping) for one in item):
        yield Line(head)
        for index, one in enumerate(item):
            yield from _item(one, origins, (*path, index), depth)
    else:
        yield Line(f"{head} {_flat(item)}", _origin(origins, path))


def _item(item: Json, origins: Mapping[str, str], path: Path, depth: int) -> Iterator[Line]:
    """A mapping in a list: its first line carries the dash; what it leaves out is left out."""
    if not isinstance(item, Mapping):
        return
    item = {key: value for key, value in item.items() if value is not None} or dict(item)
    for number, line in enumerate(_mapping(item, origins, path, depth + 1)):
        dash = "  " * depth + "- " + line.text[2 * depth + 2 :]
        yield Line(dash, line.origin) if number == 0 else line


def _flat(item: Json) -> str:
    if isinstance(item, list):
        # libyaml takes "a:b" between brackets for a key, so what our output is read by may do so, too.
        return "[" + ", ".join(json.dumps(one) if ":" in str(one) else _scalar(one) for one in item) + "]"
    return "{}" if isinstance(item, Mapping) else _scalar(item)


def _scalar(item: Json) -> str:
    if isinstance(item, str) and _BARE.fullmatch(item) and resolve(item) == item:
        return item
    return json.dumps(item, ensure_ascii=False)


def _origin(origins: Mapping[str, str], path: Path) -> str:
    """Of a list the origin of its first item: its items stand together."""
    name = dotted(path)
    return origins.get(name) or origins.get(f"{name}[0]", DEFAULT)
