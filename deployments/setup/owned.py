"""Whose a thing on the server is: what a set-up makes bears its mark, and it changes and removes nothing else. Pure.

A name says nothing: another gopub, or a person, may have given the same one. So each deployment bears labels and each
automation a tag; an owner is the projects.yaml that asked for it (its `setup:`, else where the file lies). What bears
another owner's mark, or none, is left alone and told; `gopub setup --take-over` takes what another gopub made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from gopub.views.forms import KIND

_OWNER = "gopub.setup"
_TAG = "gopub-setup:"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mark:
    """Who made a thing and what kind of thing it is, such as ``form``."""

    owner: str
    kind: str

    def labels(self) -> dict[str, str]:
        """As the labels of a deployment; Prefect shows them to nobody, and copies them to its runs."""
        return {_OWNER: self.owner, KIND: self.kind}

    def tag(self) -> str:
        """As the tag of what has no labels: an automation."""
        return f"{_TAG}{self.kind}:{self.owner}"


def labelled(labels: Mapping[str, object]) -> Mark | None:
    """The mark among a deployment's labels; None where there is none."""
    owner, kind = labels.get(_OWNER), labels.get(KIND)
    return Mark(str(owner), str(kind)) if owner and kind else None


def tagged(tags: list[str]) -> Mark | None:
    """The mark among the tags of an automation; None where there is none."""
    for tag in tags:
        kind, colon, owner = tag.removeprefix(_TAG).partition(":")
        if tag.startswith(_TAG) and colon and kind and owner:
            return Mark(owner, kind)
    return None


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A thing on the server: its mark, and the thing."""

    mark: Mark | None
    thing: T


@dataclass(frozen=True, slots=True)
class Sorted:
    """What is to be done, by name; ``others`` says whose the things are that stay as they are ('' nobody's)."""

    make: tuple[str, ...]
    look_at: tuple[str, ...]
    remove: tuple[str, ...]
    others: Mapping[str, str]


def sorted_out(
    wanted: Mapping[str, object], found: Mapping[str, Found[T]], mark: Mark, *, take_over: bool = False
) -> Sorted:
    """Which of the wanted things are to be made, to be held against what is there, and which of ours are to go.

    What is unknown to this owner is neither changed nor removed, whatever it is called; with ``take_over`` what
    another gopub made and this one wants as well is ours from now on. Nothing of another that is not wanted goes.
    """
    make, look_at, others = [], [], {}
    for name in wanted:
        there = found.get(name)
        if there is None:
            make.append(name)
        elif there.mark == mark or (take_over and there.mark is not None and there.mark.kind == mark.kind):
            look_at.append(name)
        else:
            others[name] = there.mark.owner if there.mark else ""
    remove = [name for name, there in found.items() if there.mark == mark and name not in wanted]
    return Sorted(tuple(make), tuple(look_at), tuple(sorted(remove)), others)
