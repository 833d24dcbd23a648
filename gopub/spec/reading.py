"""YAML 1.2 text as a tree; made to read files of strangers.

Built from ruamel.yaml's parser events, never by constructing objects: no tags, no merge keys, keys are text,
a key stands once. Depth, number of values and aliases are limited, so that no small file becomes a large one.
Plain scalars follow the YAML 1.2 core schema: ``10:30``, ``on`` and dates are text, ``0755`` is a number.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from gopub.errors import ErrorGroup, SpecError, Where
from gopub.spec.tree import Items, Keys, Node, Scalar, printable

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_VALUES = 20_000
MAX_ALIASES = 50
MAX_TEXT = 16_384
MAX_LINE = 20_000
_FLATTER = "nothing in the language is that deep"
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
# Longer numbers, infinities and NaN are left as text: no key of ours takes them, and int() of many digits is slow.
_HALF = re.compile(r"[\ud800-\udfff]")  # from escapes such as "\\ud800": it cannot even be printed
_DECIMAL = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)
_OTHER_BASE = re.compile(r"0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,18}|[0-9]{1,18}(\.[0-9]{0,18})?)([eE][-+]?[0-9]{1,2})?", re.ASCII)

_PLAINLY = (
    ("character '\\t'", "found a tab", "indent with spaces"),
    ("cannot start any token", "a value cannot start with this character", "quote the value"),
    ("mapping values are not", "found a second ': ' in one value", "quote the value, or indent the key below"),
    ("could not find expected ':'", "a key has no colon", 'write "key: value"'),
    ("expected '<document start>'", "this line is no part of what stands above", "look at its indentation"),
    ("expected <block end>", "this line is no part of what stands above", "look at its indentation"),
    ("expected ',' or ", "a bracket is not closed, or a comma is missing", "write [one, two] or {key: value}"),
    ("unexpected end of stream", "a quote is not closed", "close it, or remove it"),
    ("unknown escape", "an unknown escape after \\", "write \\\\ for one \\, or use single quotes"),
)
"""What ruamel.yaml says, what we say, and what to do."""


def read_tree(text: str, file: str) -> Node:
    """Parse one YAML document.

    Raises:
        SpecError: GP110 too large, GP111 syntax, GP112 a key twice, GP113 a limit or a tag, GP116 a key that
            is no text; several together as an ErrorGroup.
    """
    if len(text) > MAX_BYTES or len(text.encode(errors="replace")) > MAX_BYTES:
        hint = "move what is long into templates"
        raise SpecError("GP110", "the file is larger than 1 MB", hint=hint, where=Where(file))
    _refuse_long_lines(text, file)
    builder = _Builder(file)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
    except MarkedYAMLError as error:
        raise _syntax(error, file) from None
    except ReaderError as error:
        raise _unreadable(error, text, file) from None
    except (YAMLError, ValueError) as error:
        raise SpecError("GP111", f"not valid YAML: {error}", where=Where(file)) from None
    return builder.result()


def _refuse_long_lines(text: str, file: str) -> None:
    # ruamel.yaml's scanner takes time by the square of a line of tags or brackets.
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > MAX_LINE:
            problem = f"a line of {len(line)} characters is too long"
            raise SpecError("GP113", problem, hint=f"{MAX_LINE} is the most", where=Where(file, number, 1))


def _syntax(error: MarkedYAMLError, file: str) -> SpecError:
    mark = error.problem_mark or error.context_mark
    place = Where(file, mark.line + 1, mark.column + 1) if mark else Where(file)
    said = str(error.problem or error.context)
    for part, problem, hint in _PLAINLY:
        if part in said:
            begun = f" (begun on line {error.context_mark.line + 1})" if error.context_mark else ""
            return SpecError("GP111", f"not valid YAML: {problem}{begun}", hint=hint, where=place)
    hint = "look at the quotes, brackets and indentation around this place"
    return SpecError("GP111", f"not valid YAML: {said[:200]}", hint=hint, where=place)


def _unreadable(error: ReaderError, text: str, file: str) -> SpecError:
    before = text[: error.position]
    place = Where(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
    problem = f"character U+{ord(text[error.position]):04X} is not allowed"
    return SpecError("GP111", f"not valid YAML: {problem}", hint="remove it", where=place)


@dataclass(slots=True)
class _Open:
    """A collection whose end was not seen yet."""

    is_mapping: bool
    where: Where
    anchor: str | None
    nodes: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class _Builder:
    """Makes the tree from parser events with a stack of its own, so that depth costs no recursion."""

    file: str
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, Node] = field(default_factory=dict)
    roots: list[Node] = field(default_factory=list)
    errors: list[SpecError] = field(default_factory=list)
    documents: int = 0
    aliases: int = 0
    values: int = 0

    def take(self, event: Event) -> None:
        """Take the next event."""
        place = self._place(event)
        match event:
            case DocumentStartEvent():
                self._document(place)
            case ScalarEvent():
                self._refuse_tag(event, place)
                self._add(self._scalar(event, place), event.anchor)
            case SequenceStartEvent() | MappingStartEvent():
                self._refuse_tag(event, place)
                self._open(isinstance(event, MappingStartEvent), place, event.anchor)
            case SequenceEndEvent() | MappingEndEvent():
                done = self.stack.pop()
                self._add(self._mapping(done) if done.is_mapping else _items(done), done.anchor)
            case AliasEvent():
                self._alias(str(event.anchor), place)
            case _:
                pass

    def result(self) -> Node:
        """The tree of the one document."""
        if self.errors:
            raise self.errors[0] if len(self.errors) == 1 else ErrorGroup(self.errors)
        if not self.roots:
            raise SpecError("GP116", "the file is empty", hint="`gopub init` writes one", where=Where(self.file))
        return self.roots[0]

    def _place(self, event: Event) -> Where:
        mark = event.start_mark
        return Where(self.file, mark.line + 1, mark.column + 1) if mark else Where(self.file)

    def _document(self, place: Where) -> None:
        self.documents += 1
        if self.documents > 1:
            raise SpecError("GP111", "a second document begins here", hint="write one document in a file", where=place)

    def _refuse_tag(self, event: Any, place: Where) -> None:
        if event.tag:
            self.errors.append(
                SpecError(
                    "GP113",
                    f"the tag {str(event.tag)[:80]!r} is not allowed",
                    hint='write plain values; quote text: "1.10"',
                    where=place,
                )
            )

    def _scalar(self, event: ScalarEvent, place: Where) -> Scalar:
        raw = str(event.value)
        if _HALF.search(raw):
            raise SpecError("GP111", "not valid YAML: half a character", hint="write the character itself", where=place)
        if len(raw) > MAX_TEXT:
            raise SpecError(
                "GP113", f"a value of {len(raw)} characters is too long", hint=f"{MAX_TEXT} is the most", where=place
            )
        is_plain = event.style is None
        return Scalar(resolve(raw) if is_plain else raw, raw, place)

    def _open(self, is_mapping: bool, place: Where, anchor: str | None) -> None:
        if len(self.stack) >= MAX_DEPTH:
            raise SpecError("GP113", _TOO_DEEP, hint=_FLATTER, where=place)
        self.stack.append(_Open(is_mapping, place, anchor))

    def _add(self, node: Node, anchor: str | None) -> None:
        self.values += 1
        self._count(node.where)
        if anchor:
            self.anchors[anchor] = node
        (self.stack[-1].nodes if self.stack else self.roots).append(node)

    def _alias(self, anchor: str, place: Where) -> None:
        self.aliases += 1
        if self.aliases > MAX_ALIASES:
            raise SpecError("GP113", f"more than {MAX_ALIASES} aliases", hint="write the values out", where=place)
        node = self.anchors.get(anchor)
        if node is None:
            raise SpecError(
                "GP113",
                f"the alias *{printable(anchor)} has no complete anchor before it",
                hint=f"write &{printable(anchor)} at a value above",
                where=place,
            )
        if len(self.stack) + node.depth > MAX_DEPTH:
            raise SpecError("GP113", _TOO_DEEP, hint=_FLATTER, where=place)
        self.values += node.size
        self._count(place)
        (self.stack[-1].nodes if self.stack else self.roots).append(node)

    def _count(self, place: Where) -> None:
        if self.values > MAX_VALUES:
            raise SpecError(
                "GP113", f"more than {MAX_VALUES} values", hint="move what is long into templates", where=place
            )

    def _mapping(self, done: _Open) -> Keys:
        nodes: dict[str, Node] = {}
        places: dict[str, Where] = {}
        for key, value in zip(done.nodes[::2], done.nodes[1::2], strict=True):
            if not isinstance(key, Scalar) or not isinstance(key.value, str):
                self.errors.append(_no_key(key))
            elif key.value in nodes:
                self.errors.append(_twice(key, places[key.value]))
            else:
                nodes[key.value], places[key.value] = value, key.where
        return Keys(nodes, places, done.where, *_extent(nodes.values()))


def _items(done: _Open) -> Items:
    return Items(tuple(done.nodes), done.where, *_extent(done.nodes))


def _extent(nodes: Collection[Node]) -> tuple[int, int]:
    return 1 + sum(node.size for node in nodes), 1 + max((node.depth for node in nodes), default=0)


def _no_key(key: Node) -> SpecError:
    shown, hint = (
        ("a collection", "write a word before the colon")
        if not isinstance(key, Scalar)
        else (repr(key.raw), f'quote it: "{key.raw}"')
    )
    return SpecError("GP116", f"a key must be text, found {shown}", hint=hint, where=key.where)


def _twice(key: Scalar, first: Where) -> SpecError:
    return SpecError("GP112", f"the key {key.raw!r} stands twice", hint=f"the first one is at {first}", where=key.where)


def resolve(raw: str) -> str | float | bool | None:
    """The value of a plain scalar by the YAML 1.2 core schema."""
    if raw in _NULL:
        return None
    if raw in _BOOL:
        return _BOOL[raw]
    if _DECIMAL.fullmatch(raw):
        return int(raw)
    if _OTHER_BASE.fullmatch(raw):
        return int(raw, 0)
    return float(raw) if _FLOAT.fullmatch(raw) else raw
