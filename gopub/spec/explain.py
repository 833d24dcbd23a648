"""What pydantic found wrong, in our words: code, path, value, place and hint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from gopub.errors import SpecError
from gopub.spec import tree
from gopub.spec.near import did_you_mean
from gopub.spec.notyet import later_keys
from gopub.spec.tree import Node, Path, dotted, printable

_WANTED = {
    "string_type": "text",
    "too_short": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}
_SECRETS = ("pass", "secret", "token", "credential", "api_key", "apikey", "private")


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains what pydantic says of one model; ``above`` is the path of its mapping in the file."""

    root: Node
    model: type[BaseModel]
    above: Path = ()

    def explain_all(self, errors: Sequence[ErrorDetails]) -> list[tuple[Path, SpecError]]:
        """Each pydantic error with its path; a list is not called too short for an item that is wrong itself."""
        wrong = {one["loc"][:-1] for one in errors}
        own = [one for one in errors if one["type"] != "too_short" or one["loc"] not in wrong]
        return [(one["loc"], self.explain(one)) for one in own]

    def explain(self, error: ErrorDetails) -> SpecError:
        """One pydantic error as a SpecError."""
        path, kind = error["loc"], error["type"]
        if kind == "gopub":
            told = error["ctx"]
            return self._at(path, told["code"], f"`{self._shown(path)}`: {told['problem']}", told["hint"])
        if kind == "extra_forbidden":
            return self._unknown(path)
        if kind == "missing":
            return self._missing(path)
        if kind == "literal_error":
            return self._not_one_of(error)
        return self._out_of_range(error) if kind in _BOUNDS else self._wrong_type(error)

    def _at(self, path: Path, code: str, problem: str, hint: str) -> SpecError:
        return at(self.root, (*self.above, *path), code, problem, hint)

    def _shown(self, path: Path) -> str:
        return shown((*self.above, *path))

    def _unknown(self, path: Path) -> SpecError:
        name, known = str(path[-1]), keys_at(self.model, path[:-1])
        later = later_keys((*self.above, *path[:-1]))
        hint = did_you_mean(name, known | later, otherwise="known here: " + ", ".join(sorted(known)))
        if any(word in name.lower() for word in _SECRETS) and not hint.startswith("did"):
            hint = "secrets never stand in this file: put them into connections.yaml by reference"
        return self._at((*path, "[key]"), "GP114", f"`{self._shown(path)}` is not a known key", hint)

    def _missing(self, path: Path) -> SpecError:
        field = field_at(self.model, path)
        meaning = (field.description or "").rstrip(".") if field else ""
        example = f"; for example {path[-1]}: {field.examples[0]}" if field and field.examples else ""
        hint = meaning[:1].lower() + meaning[1:] + example
        return self._at(path, "GP115", f"`{self._shown(path)}` is missing", hint)

    def _not_one_of(self, error: ErrorDetails) -> SpecError:
        allowed = error["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        hint = did_you_mean(str(error["input"]), allowed, otherwise="write " + " or ".join(allowed))
        problem = f"`{self._shown(error['loc'])}`: {say(error['input'])} is not allowed"
        return self._at(error["loc"], "GP118", problem, hint)

    def _out_of_range(self, error: ErrorDetails) -> SpecError:
        bound, word = _BOUNDS[error["type"]]
        problem = f"`{self._shown(error['loc'])}`: {say(error['input'])} is out of range"
        return self._at(error["loc"], "GP121", problem, f"write a number {word} {error['ctx'][bound]:g}")

    def _wrong_type(self, error: ErrorDetails) -> SpecError:
        path, value = error["loc"], error["input"]
        wanted = _WANTED.get(error["type"], error["msg"])
        if error["type"] == "too_short" and isinstance(value, (list, tuple)):
            return self._at(path, "GP116", f"`{self._shown(path)}` is a list without an item", "write at least one")
        if wanted == "text" and isinstance(value, (bool, int, float)):
            node = tree.find(self.root, (*self.above, *path))
            raw = node.raw if isinstance(node, tree.Scalar) else str(value)
            problem = f"`{self._shown(path)}` must be text, and {raw} is read as {_a_kind(value)}"
            return self._at(path, "GP117", problem, f'quote it: "{raw}"')
        name = f"`{self._shown(path)}`" if path or self.above else "the file"
        problem = f"{name} must be {wanted}, found {say(value)}"
        return self._at(path, "GP116", problem, self._how(path, wanted, value))

    def _how(self, path: Path, wanted: str, value: Any) -> str:
        if value is None or value == "":
            return "remove the key, or give it a value"
        if wanted == "a list":
            return "write its items between brackets: [one, two]"
        if wanted == "a mapping":
            known = ", ".join(sorted(keys_at(self.model, path)))
            return f"its keys are {known}" if known else "write name: value"
        if wanted == "text":
            return "write a single value"
        return f"write {wanted}, without quotes" if isinstance(value, str) else f"write {wanted}"


def at(root: Node, path: Path, code: str, problem: str, hint: str) -> SpecError:
    """An error at the place of a value; ``[key]`` at the end means the place of the key."""
    key = bool(path) and path[-1] == "[key]"
    place = tree.where(root, path[:-1] if key else path, key=key)
    return SpecError(code, problem, hint=hint, where=place)


def shown(path: Path) -> str:
    """The path as an error shows it: without pydantic's mark for keys, on one line, not endless."""
    steps = path[:-1] if path and path[-1] == "[key]" else path
    return dotted(tuple(printable(step) if isinstance(step, str) else step for step in steps))


def _a_kind(value: bool | float) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a number"


def say(value: Any) -> str:
    """A value as an error shows it: short, and collections by kind only."""
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        text = repr(value)
        return text if len(text) <= 80 else f"{text[:77]}..."
    return "a list" if isinstance(value, Sequence) else "a mapping"


def keys_at(model: type[BaseModel], path: Path) -> frozenset[str]:
    """The keys that the mapping at ``path`` may have."""
    here = type_at(model, path)
    if not (isinstance(here, type) and issubclass(here, BaseModel)):
        return frozenset()
    return frozenset(field.alias or name for name, field in here.model_fields.items())


def field_at(model: type[BaseModel], path: Path) -> FieldInfo | None:
    """The field that a key fills: its meaning and an example."""
    parent = type_at(model, path[:-1])
    if not (isinstance(parent, type) and issubclass(parent, BaseModel)):
        return None
    return {field.alias or name: field for name, field in parent.model_fields.items()}.get(str(path[-1]))


def type_at(model: type[BaseModel], path: Path) -> Any:
    """The type of the value at ``path``, without ``| None``; None where the models end."""
    here: Any = model
    for step in path:
        here = _below(here, step)
    return here


def _below(kind: Any, step: str | int) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        named = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
        return _bare(named.get(str(step)))
    if get_origin(kind) is tuple:
        return _bare(get_args(kind)[0])
    return _bare(get_args(kind)[1]) if len(get_args(kind)) == 2 else None


def _bare(kind: Any) -> Any:
    """A type without ``| None`` and ``Annotated``."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in {Union, UnionType}:
        return _bare(next(arm for arm in get_args(kind) if arm is not type(None)))
    return kind
