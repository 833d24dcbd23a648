"""group_vars/ and host_vars/: YAML files beside the inventory.

Ansible reads them with PyYAML, so ``yes`` is true, ``010`` is 8 and ``1e3`` is text here, unlike in gopub.yaml.
A ``!vault`` value is kept as one that nobody can read, an ``!unsafe`` one as it stands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.resolver import VersionedResolver

from gopub.canon import Json
from gopub.errors import SpecError, Where
from gopub.fleet.inventory.values import plain
from gopub.fleet.vaulted import Vaulted

_EXTENSIONS = ("", ".yml", ".yaml", ".json")
_VAULT = "$ANSIBLE_VAULT"
_HINT = "write plain YAML, one `name: value` a line"
_MOST_BYTES = 1_000_000
_MOST_VALUES = 50_000
_BOOL_TAG = "tag:yaml.org,2002:bool"
_FLOAT_TAG = "tag:yaml.org,2002:float"
_PYYAML_FLOAT = re.compile(
    r"[-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?|"
    r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)


class _AsPyYaml(VersionedResolver):
    """YAML 1.1, but ``y`` is text, and a fraction needs its dot, and its exponent a sign."""

    @property
    def processing_version(self) -> Any:  # whatever a directive of the file says
        return (1, 1)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        tag = super().resolve(kind, value, implicit)
        if kind is not ScalarNode or not implicit[0]:
            return tag
        text_to_ansible = {_FLOAT_TAG: not _PYYAML_FLOAT.fullmatch(value or ""), _BOOL_TAG: len(value or "") == 1}
        return self.DEFAULT_SCALAR_TAG if text_to_ansible.get(str(tag)) else tag


class _AsAnsible(SafeConstructor):
    """Plain values, and the tags of Ansible."""

    file = ""

    def vaulted(self, node: Any) -> Vaulted:
        mark = node.start_mark
        return Vaulted.at(Where(self.file, mark.line + 1, mark.column + 1))

    def unsafe(self, node: Any) -> Any:
        if isinstance(node, MappingNode):
            return self.construct_mapping(node, deep=True)
        return self.construct_sequence(node, deep=True) if isinstance(node, SequenceNode) else node.value


_AsAnsible.add_constructor("!vault", _AsAnsible.vaulted)
_AsAnsible.add_constructor("!vault-encrypted", _AsAnsible.vaulted)
_AsAnsible.add_constructor("!unsafe", _AsAnsible.unsafe)


class VariableFiles:
    """The variable files beside one inventory; each is read once."""

    def __init__(self, folder: Path) -> None:
        """``folder`` holds group_vars/ and host_vars/."""
        self._folder = folder
        self._read: dict[tuple[str, str], Mapping[str, Json]] = {}

    def __call__(self, kind: str, name: str) -> Mapping[str, Json]:
        """The variables of a group or host.

        Raises:
            SpecError: GP403 with the place in the file.
        """
        if (kind, name) not in self._read:
            merged: dict[str, Json] = {}
            for path in _paths(self._folder / kind, name):
                merged |= parse_variables(_text(path), str(path))
            self._read[kind, name] = merged
        return self._read[kind, name]


def _paths(folder: Path, name: str) -> list[Path]:
    """The first of NAME, NAME.yml, NAME.yaml, NAME.json that exists; all files of it when it is a folder."""
    for extension in _EXTENSIONS:
        path = folder / f"{name}{extension}"
        if path.is_dir():
            return sorted(_inside(path))
        if path.is_file():
            return [path]
    return []


def _inside(folder: Path) -> list[Path]:
    found: list[Path] = []
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        extension = os.path.splitext(path.name)[1]  # noqa: PTH122 - as Ansible splits: "a." ends in a dot
        if path.is_dir() and not extension:
            found += _inside(path)
        elif path.is_file() and extension in _EXTENSIONS:
            found.append(path)
    return found


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SpecError("GP403", f"it has more than {_MOST_BYTES} bytes", where=Where(str(path)))
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError("GP403", f"cannot be read: {error}", where=Where(str(path))) from error


def parse_variables(text: str, file: str) -> dict[str, Json]:
    """Read one variable file.

    Raises:
        SpecError: GP403 when it is no mapping of names, or is encrypted as a whole.
    """
    if text.startswith(_VAULT):
        hint = "what gopub needs of a host is no secret: keep it in a plain file"
        raise SpecError("GP403", "it is encrypted with ansible-vault", hint=hint, where=Where(file))
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver = _AsPyYaml
    yaml.Constructor = _AsAnsible
    yaml.constructor.file = file
    try:
        data: Any = yaml.load(text)
        _affordable(data)
        found = {} if data is None else plain(data)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = Where(file, mark.line + 1, mark.column + 1) if mark else Where(file)
        raise SpecError("GP403", f"{error.problem or error}", hint=_HINT, where=place) from error
    except (YAMLError, ValueError) as error:
        problem = str(error).splitlines()[0]
        raise SpecError("GP403", problem, hint=_HINT, where=Where(file)) from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in data or {}):
        raise SpecError("GP403", "a mapping of variable names is needed", hint=_HINT, where=Where(file, 1, 1))
    return found


def _affordable(data: object) -> None:
    """Refuse what aliases blow up, or what contains itself, before anything walks through all of it."""
    left, seen = [data], 0
    while left:
        item = left.pop()
        seen += 1
        if seen > _MOST_VALUES:
            raise ValueError(f"it has more than {_MOST_VALUES} values, aliases counted each time")
        if isinstance(item, Mapping):
            left += item.values()
        elif isinstance(item, list):
            left += item
