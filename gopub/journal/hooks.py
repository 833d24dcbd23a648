"""Hooks of a rollout as its journal keeps them: begun before anything is done, ended with what came of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

When: TypeAlias = Literal["before", "after"]
"""Before the first host switches, or once every step is passed."""
Stands: TypeAlias = Literal["began", "done", "failed", "undoing", "undone", "not undone"]
"""Where a hook stands. ``began`` and ``undoing`` are what a killed driver leaves."""


@dataclass(frozen=True, slots=True)
class HookIntended:
    """A hook is about to run on ``host`` (empty: where the driver is); ``undoes``: what takes it back."""

    name: str
    when: When
    host: str = ""
    undoes: bool = False


@dataclass(frozen=True, slots=True)
class HookEnded:
    """What came of it, and the words for it."""

    name: str
    ok: bool
    said: str = ""
    undoes: bool = False


@dataclass(frozen=True, slots=True)
class HookState:
    """What the journal knows of a hook that began."""

    when: When
    host: str
    stands: Stands


Hooks: TypeAlias = Mapping[str, HookState]


def after_event(known: Hooks, event: HookIntended | HookEnded) -> Hooks:
    """The hooks after one more event; an end of what never began tells nothing."""
    match event:
        case HookIntended(name=name, when=when, host=host, undoes=undoes):
            return {**known, name: HookState(when, host, "undoing" if undoes else "began")}
        case HookEnded(name=name, ok=ok, undoes=undoes) if name in known:
            forward: Stands = "done" if ok else "failed"
            back: Stands = "undone" if ok else "not undone"
            return {**known, name: replace(known[name], stands=back if undoes else forward)}
        case _:
            return known


def to_undo(known: Hooks, when: When) -> tuple[str, ...]:
    """The hooks of one kind that began and are not taken back, newest first: each may have done half of its work."""
    began = tuple(name for name, one in known.items() if one.when == when and one.stands != "undone")
    return tuple(reversed(began))
