"""How a program that takes files in without a restart says which it holds: `confirm` of gopub.yaml. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from gopub.spec.fields import Line
from gopub.spec.texts import http_url


def _told(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(http_url(word) if "://" in word and number == 0 else word for number, word in enumerate(words))


Confirm = Annotated[
    tuple[Line, ...],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    AfterValidator(_told),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
                    "examples": ["http://127.0.0.1:9102/-/config"]}),
]  # fmt: skip
"""A URL alone, or the words of a command."""


def wrong(confirm: Sequence[str], reloads: Sequence[str], most: int) -> Iterator[tuple[str, str]]:
    """What is wrong with it beside the files that are taken in, each with what to do."""
    if reloads and not confirm:
        yield (f"{reloads[0]!r} is taken in without a restart, and nothing confirms that",
               "name the service's URL in `confirm`, or write apply: restart")  # fmt: skip
    if confirm and not reloads:
        yield "no file has `apply: reload`", "leave it out, or write it there"
    if not all(confirm):
        yield "a word is empty", "remove it: each word is one argument of the command"
    if len(confirm) > most:
        yield (
            f"{len(confirm)} words are too many for an order to a host",
            f"{most} is the most: move the rest into a file",
        )
    if len(confirm) > 1 and "://" in confirm[0]:
        yield "a URL is no command", "write it alone, or a program's name first"
