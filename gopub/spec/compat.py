"""How two versions of a service live together: which version may follow a release, and what runs around a rollout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gopub.spec.base import Model
from gopub.spec.fields import Line, Name, PositiveSeconds, Switch, Word, matching
from gopub.spec.tree import Path

MOST_HOOKS = 20
MOST_WORDS = 100


class Hook(Model):
    """One thing that runs once per rollout, such as a migration of the database."""

    scalar_is_first = False

    name: Name = Field(examples=["expand"])
    """By which the journal and the host know it."""
    run: tuple[Line, ...] = Field(examples=[["orders", "migrate", "--expand"]])
    """The command, a word each; the program is one of the release, or one of the machine."""
    undo: tuple[Line, ...] | Literal["none"] = Field(examples=["none"])
    """The command that takes it back, also where it did only half; none: nothing does."""
    within: PositiveSeconds = 600.0
    """How long it may take, and its undo."""
    again: Switch = False
    """It may run a second time where nobody saw its end; else a person has to look."""


class ControllerHooks(Model):
    """Hooks that run where the rollout is driven, in the project's folder."""

    scalar_is_first = False

    before: tuple[Hook, ...] = ()
    """Before the first host switches."""
    after: tuple[Hook, ...] = ()
    """Once every step is passed."""


class Compat(Model):
    """What versions must know of each other: data that one wrote and the other reads."""

    floor: (
        Annotated[
            Word,
            AfterValidator(
                matching(
                    r"v?[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?", "GP585", "a version that others are compared with",
                    'write it as "1.9.0"',
                )
            ),
        ]
        | None
    ) = None  # fmt: skip
    """The oldest version that may serve beside or after this release; older ones do not read what it writes."""
    below_floor: Literal["refuse", "allow"] = "refuse"
    """What becomes of a rollout over a stable version below the floor: its way back would lead there."""
    before: tuple[Hook, ...] = ()
    """Hooks of the release: on one host, before the first one switches."""
    after: tuple[Hook, ...] = ()
    """Hooks of the release: on one host, once every step is passed."""
    controller: ControllerHooks = ControllerHooks()
    """Hooks that the project, and not the release, runs beside the driver."""
    config_check: Literal["auto", "both"] = "auto"
    """Whether old and new must accept each other's files: auto: where `switch` lets both serve at the same time."""


def listed(compat: Compat) -> Iterator[tuple[Path, Hook]]:
    """Every hook and where it stands, in the order in which they run: the controller's first, before, then after."""
    for when in ("before", "after"):
        for index, hook in enumerate(getattr(compat.controller, when)):
            yield ("controller", when, index), hook
        for index, hook in enumerate(getattr(compat, when)):
            yield (when, index), hook


def wrong_hooks(compat: Compat) -> Iterator[tuple[Path, str, str, str]]:
    """What is wrong between the hooks: where, code, what, and what to do."""
    seen: set[str] = set()
    for count, (path, hook) in enumerate(listed(compat)):
        if hook.name in seen:
            yield (*path, "name"), "GP587", f"{hook.name!r} is the name of another hook", "give each its own"
        seen.add(hook.name)
        if count == MOST_HOOKS:
            yield path, "GP587", f"it is hook {count + 1}", f"{MOST_HOOKS} are the most: let one run the others"
        for key, words in (("run", hook.run), ("undo", () if hook.undo == "none" else hook.undo)):
            yield from _wrong_words((*path, key), words, may_be_none=key == "undo" and hook.undo == "none")


def _wrong_words(path: Path, words: tuple[str, ...], *, may_be_none: bool) -> Iterator[tuple[Path, str, str, str]]:
    if not words and not may_be_none:
        yield path, "GP587", "there is no command", "name a program and its arguments; an undo may be `none`"
    for index, word in enumerate(words):
        if not word:
            yield (*path, index), "GP587", "the word is empty", "remove it: each word is one argument"
    if len(words) > MOST_WORDS:
        yield path, "GP587", f"{len(words)} words are too many for an order to a host", f"{MOST_WORDS} is the most"
