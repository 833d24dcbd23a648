"""connections.yaml: the names that gopub.yaml uses, and what stands behind them.

Looked for in this order; a name in an earlier file hides the same name in a later one:
``$GOPUB_CONNECTIONS``, then connections.yaml beside gopub.yaml, then that of the user
(``$XDG_CONFIG_HOME/gopub``), then that of the system (``/etc/gopub``). A flow then asks beyond the files (see
gopub/wiring/naming.py), and what is built in comes last.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from gopub.errors import GopubError, SpecError
from gopub.paths import config_dir, state_dir
from gopub.spec import tree
from gopub.spec.explain import Explainer, at, say
from gopub.spec.finding import read_text
from gopub.spec.kinds import INVENTORY_FILE, Connection, InventoryKind, Kinds, kind_of
from gopub.spec.loader import not_yet, together
from gopub.spec.near import did_you_mean, nearest
from gopub.spec.notyet import NOT_YET_IN_CONNECTIONS, take_out
from gopub.spec.reading import read_tree
from gopub.spec.tree import Keys, Node

FILE = "connections.yaml"
SYSTEM = Path("/etc/gopub")
BUILT_IN = ("directory", "edges", "journald", "ssh")
"""Names that need no file; each means a connection of the kind of its name."""
_FORM = "write NAME: {kind: inventory, path: hosts.ini}"

_Kind = TypeVar("_Kind", bound=Connection)


@dataclass(frozen=True, slots=True)
class Connections:
    """All connections that a project can name."""

    entries: Mapping[str, Connection]
    searched: tuple[Path, ...]
    project: Path
    kinds: Kinds
    """The kinds that there are."""
    beyond: str = ""
    """Where names that no file gives were looked for, in words; empty: nowhere."""

    @classmethod
    def load(cls, project: Path, kinds: Kinds) -> Connections:
        """Read every connections.yaml that there is for a project (the folder of its gopub.yaml).

        Raises:
            SpecError: what is wrong with one of the files; GP110 where ``$GOPUB_CONNECTIONS`` names none.
        """
        named = os.environ.get("GOPUB_CONNECTIONS")
        places = (project / FILE, config_dir() / FILE, SYSTEM / FILE)
        searched = (Path(named), *places) if named else places
        entries: dict[str, Connection] = {}
        for path in reversed(searched):
            if path.is_file() or (named and path == Path(named)):
                entries |= parse_connections(read_text(path), str(path), path.parent, kinds)
        return cls(entries, searched, project, kinds)

    def is_said(self, name: str) -> bool:
        """Whether a file, or what was looked for beyond the files, gives the name."""
        return name in self.entries

    def has(self, name: str) -> bool:
        """Whether the name means anything: it is given, or built in."""
        return name in self.entries or name in BUILT_IN

    def find(self, name: str) -> Connection | None:
        """The connection of that name, of whatever kind; None where there is none."""
        return self.entries.get(name) or (built_in(name, self.kinds) if name in BUILT_IN else None)

    def with_found(self, found: Mapping[str, Connection], beyond: str) -> Connections:
        """These and what ``beyond`` had; a name that a file gives is never replaced."""
        new = {name: made for name, made in found.items() if not self.is_said(name)}
        return replace(self, entries={**self.entries, **new}, beyond=beyond)

    def get(self, name: str, *kinds: type[_Kind]) -> _Kind:
        """The connection of that name, which must be of one of ``kinds``.

        Raises:
            SpecError: GP140 there is none, GP141 it is of another kind.
        """
        entry = self.find(name)
        if entry is None:
            raise self._unknown(name, kinds)
        if not isinstance(entry, kinds):
            wanted = self._names(kinds)
            fitting = ", ".join(sorted(self._fitting(kinds))) or "none yet"
            problem = f"the connection {name!r} is of kind {entry.kind}, and {wanted} is needed"
            raise SpecError("GP141", problem, hint=f"connections of kind {wanted}: {fitting}")
        return entry

    def inventory(self, name: str) -> Connection:
        """The inventory that a name means, or a path relative to gopub.yaml.

        Raises:
            SpecError: GP140 it is neither, GP141 the connection is no inventory.
        """
        if self.has(name):
            return self.get(name, InventoryKind)
        path, of_file = self.project / name, self.kinds.find(INVENTORY_FILE)
        if of_file is None or not path.exists():
            raise self._unknown(name, (InventoryKind,), f" and no file at {str(path)!r}")
        return of_file.model_validate({"path": path})

    def _fitting(self, kinds: tuple[type[Connection], ...]) -> list[str]:
        names = [*self.entries, *(name for name in BUILT_IN if name not in self.entries)]
        return [name for name in names if isinstance(self.find(name), kinds)]

    def _names(self, kinds: tuple[type[Connection], ...]) -> str:
        named = [name for kind in kinds for name in ([kind_of(kind)] if kind_of(kind) else self.kinds.names(kind.door))]
        return " or ".join(named)

    def _unknown(self, name: str, kinds: tuple[type[Connection], ...], also: str = "") -> SpecError:
        searched = ", ".join(str(path) for path in self.searched) + (f" and {self.beyond}" if self.beyond else "")
        near = nearest(name, self._fitting(kinds))
        hint = f"did you mean {near}? " if near else f"add it with kind: {self._names(kinds)}; "
        problem = f"there is no connection {name!r} of kind {self._names(kinds)}{also}"
        return SpecError("GP140", problem, hint=f"{hint}looked into {searched}")


def built_in(name: str, kinds: Kinds) -> Connection | None:
    """A connection that needs no file; None for other names, and where there is no such kind."""
    model = kinds.find(name) if name in BUILT_IN else None
    given = {"path": state_dir() / "store"} if name == "directory" else {}
    return model.model_validate(given) if model else None


def parse_connections(text: str, file: str, base: Path, kinds: Kinds) -> dict[str, Connection]:
    """Read connections from text; relative paths in it start at ``base``.

    Raises:
        SpecError: what is wrong with the text; several mistakes together as an ErrorGroup.
    """
    root = read_tree(text, file)
    if not isinstance(root, Keys):
        raise at(root, (), "GP116", f"a mapping of names is needed, found {say(tree.plain(root))}", _FORM)
    data, found = take_out(tree.plain(root), NOT_YET_IN_CONNECTIONS)
    errors = [not_yet(hit, root) for hit in found]
    told = {hit.path[:-1] for hit in found}
    entries: dict[str, Connection] = {}
    for name, value in data.items():
        made = _entry(name, value, root, base, kinds)
        if isinstance(made, Connection):
            entries[name] = made
        else:
            # A secret whose only key was taken out would be told a second time as an empty one.
            errors += [error for path, error in made if path not in told]
    if errors:
        raise together(errors)
    return entries


def _entry(
    name: str, value: Any, root: Node, base: Path, kinds: Kinds
) -> Connection | list[tuple[tree.Path, SpecError]]:
    if not isinstance(value, dict):
        error = at(root, (name,), "GP116", f"`{name}` must be a mapping, found {say(value)}", _FORM)
        return [((name,), error)]
    try:
        kind = kinds.find(value["kind"]) if isinstance(value.get("kind"), str) else None
    except GopubError as error:
        return [((name,), at(root, (name, "kind"), error.code, f"`{name}.kind`: {error.problem}", error.hint))]
    if kind is None:
        return [((name,), _no_kind(name, value, root, kinds.names()))]
    try:
        return kind.model_validate(value, context={"base": base, "kinds": kinds})
    except GopubError as error:
        return [((name,), at(root, (name,), error.code, f"`{name}`: {error.problem}", error.hint))]
    except ValidationError as error:
        explainer = Explainer(root, kind, (name,))
        return [((name, *path), one) for path, one in explainer.explain_all(error.errors(include_url=False))]


def _no_kind(name: str, value: dict[str, Any], root: Node, known: Sequence[str]) -> SpecError:
    every = "one of " + ", ".join(known)
    if "kind" not in value:
        return at(root, (name,), "GP115", f"`{name}.kind` is missing", every)
    hint = did_you_mean(str(value["kind"]), known, otherwise=every)
    return at(root, (name, "kind"), "GP118", f"`{name}.kind`: {say(value['kind'])} is not allowed", hint)
