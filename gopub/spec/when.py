"""``when:`` in projects.yaml: which events a rule means, and what a rule takes out of one. Pure, and always at an end.

A rule names the source, the type and, for fields of the event, patterns (gopub/spec/stars.py): each field has to match,
and one of the patterns written for it is enough. A field is named by its path, ``project.path_with_namespace`` or
``commits.0.id``. What is not there, empty, a list or a mapping matches nothing, and neither does a text of more than a
thousand characters; numbers, true and false are matched as JSON writes them. There is nothing else: no code, no
negation, no order of operators. Texts for people may take fields with ``{path}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self, TypeAlias, cast

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gopub.canon import Json
from gopub.spec.base import Model
from gopub.spec.fields import Line, Word, matching, refuse
from gopub.spec.stars import glob

LONGEST_FIELD = 1000
"""Characters of a field that a pattern is compared with; no ref, name or path is longer."""
_LONGEST_TAKEN = 200
_LONGEST_TEXT = 500
_PLACE = re.compile(r"\{([^{}]*)\}")
_PATH = r"[A-Za-z0-9_-]{1,100}(?:\.[A-Za-z0-9_-]{1,100}){0,7}"
_UNSEEN = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]+")
"""White space, control characters and what turns the direction of a line: each run of it becomes one blank."""


def _alternatives(value: object) -> object:
    if isinstance(value, int | float):
        raise refuse("GP117", f"a pattern is text, and {value!r} is none", f'quote it: "{json.dumps(value)}"')
    return [value] if isinstance(value, str) else value


def _some(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise refuse("GP981", "no pattern is listed, so the rule can never match", "write one, or leave the field out")
    return values


def _template(value: str) -> str:
    if len(value) > _LONGEST_TEXT:
        raise refuse("GP982", f"{len(value)} characters are too many", f"write {_LONGEST_TEXT} at most")
    if set(_PLACE.sub("", value)) & set("{}") or not all(re.fullmatch(_PATH, path) for path in places(value)):
        raise refuse("GP982", f"{value!r} holds braces that name no field", "write {ref}, or {project.name}")
    return value


def places(template: str) -> tuple[str, ...]:
    """The fields that a text takes."""
    return tuple(_PLACE.findall(template))


FieldPath = Annotated[
    Word, AfterValidator(matching(_PATH, "GP982", "a field's path", "write names with dots between them: project.name"))
]
"""A field of the event: names, or places in a list, with dots between them."""

Patterns = Annotated[tuple[Line, ...], BeforeValidator(_alternatives), AfterValidator(_some)]
"""One pattern or several, one of which has to match: * stands for any text without /, ** for any text."""

Template = Annotated[Word, AfterValidator(_template)]
"""Text in which {path} stands for a field of the event."""

_NAMED = "write both names with a / between them"

Source: TypeAlias = Literal["gitlab", "github", "gitea", "gitee", "gopub", "alertmanager"]

DeploymentName = Annotated[
    Word, AfterValidator(matching(r"[^/{}]{1,100}/[^/{}]{1,100}", "GP982", "a deployment", _NAMED))
]
"""A deployment of the Prefect server, as flow/deployment."""


class When(Model):
    """Which events are meant."""

    scalar_is_first = False

    source: Source
    """Where it comes from: a forge (gitlab, github, gitea or gitee) or alertmanager, by its webhook, or gopub, by the
    journal."""
    type: Word
    """What happened: push, release and others of a forge; rollout.promoted and others of gopub; firing or resolved of
    alertmanager."""
    match: Mapping[FieldPath, Patterns] = Field({}, examples=['{ref: "refs/tags/v*"}'])
    """Fields by their paths, and what they have to be; several patterns of a field are alternatives."""

    def fits(self, event: Event) -> bool:
        """Whether this event is meant."""
        if (event.source, event.type) != (self.source, self.type):
            return False
        return all(_fits(event.fields, path, patterns) for path, patterns in self.match.items())


class Aside(Model):
    """What may be missed: an automation of the Prefect server, that `gopub setup` makes."""

    scalar_is_first = False

    when: When
    """The events that it waits for; those of gopub alone."""
    run: DeploymentName | None = None
    """A deployment that it starts, as flow/deployment."""
    parameters: Mapping[Word, Template] = {}
    """Parameters of that; {path} stands for a field of the event."""
    notify: (
        Annotated[Word, AfterValidator(matching(r"[^/{}]{1,100}/[^/{}]{1,100}", "GP982", "a block", _NAMED))] | None
    ) = None
    """Instead of a deployment: a notification block of the server by which people are told, as type/name."""
    text: Template | None = None
    """What they are told; {path} stands for a field of the event."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.run is None) == (self.notify is None) or (self.notify is None) != (self.text is None):
            raise refuse("GP982", "it either starts a deployment or tells people a text", "run: flow/deployment, or "
                         "notify: slack-webhook/ops with text: …")  # fmt: skip
        return self

    def texts(self) -> Mapping[str, str]:
        """Its texts by where they stand."""
        return {**self.parameters, **({"text": self.text} if self.text else {})}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, with the fields that its source tells of it."""

    source: Source
    type: str
    fields: Mapping[str, Json]


def field_of(fields: Json | Mapping[str, Json], path: str) -> str | None:
    """The text of a field; None where there is none, or it is no text, number, true or false."""
    here: object = fields
    for step in path.split("."):
        if isinstance(here, Mapping):
            here = cast("Mapping[str, object]", here).get(step)
        elif isinstance(here, list) and step.isascii() and step.isdigit() and int(step) < len(here):
            here = cast("list[object]", here)[int(step)]
        else:
            return None
    if isinstance(here, bool):
        return "true" if here else "false"
    return str(here) if isinstance(here, str | int | float) else None


def filled(template: str, event: Event) -> str:
    """The text with the event's fields in it; one that is not there is empty.

    Each is on one line and no longer than people read. What a field holds is text alone, also where it has braces.
    """
    return "".join(_filled(template, event)).strip()


def _filled(template: str, event: Event) -> Iterator[str]:
    end = 0
    for place in _PLACE.finditer(template):
        yield template[end : place.start()]
        text = _UNSEEN.sub(" ", (field_of(event.fields, place[1]) or "")[: 2 * _LONGEST_TAKEN])
        yield text if len(text) <= _LONGEST_TAKEN else text[: _LONGEST_TAKEN - 1] + "…"
        end = place.end()
    yield template[end:]


def _fits(fields: Mapping[str, Json], path: str, patterns: tuple[str, ...]) -> bool:
    text = field_of(fields, path)
    if text is None or len(text) > LONGEST_FIELD:
        return False
    return any(glob(pattern).matches(text) for pattern in patterns)
