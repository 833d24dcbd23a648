"""Whose word an approval is: who says it, what vouches for the name, and by which person or group it counts."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from gopub.journal.state import State
from gopub.spec.people import People, Who

TYPED = "(typed in Prefect, not verified)"
LONGEST = 100
"""Characters of a name that nothing vouches for."""
_SQUARE = str.maketrans({"(": "[", ")": "]", "（": "[", "）": "]"})
SOMEBODY = "somebody (in Prefect, not verified)"
"""Who presses a button in Prefect's page, where no proxy says who it was."""


@dataclass(frozen=True, slots=True)
class Word:
    """What the journal keeps of who asked: ``actor`` for people, the rest for whoever checks."""

    actor: str
    verified: str = ""
    """What vouches for the name; empty: nothing does."""
    allowed: str = ""
    """The person or group that the step asks for, where people.yaml was asked."""


def word_of(who: Who, state: State, index: int | None, people: People | None) -> Word:
    """The word of somebody who wants step ``index``, counted from 0; of one who wants back, ``index`` is None.

    Everybody who comes as far may want back: that is the safe way. So it is with a step that asks for no approval, and
    in a house that says of nobody who he is.

    Raises:
        RefusedError: GP991, GP992, GP993, GP995 he may not approve this step.
    """
    plan = state.plan
    approver = plan.steps[index].approve if plan and index is not None and index < len(plan.steps) else ""
    if not approver or people is None:
        return Word(_actor(who, ""), who.verified)
    person = people.permit(approver, who, state.app, state.env, state.by)
    return Word(f"{_actor(who, person)}, for {approver}", who.verified, approver)


def word_by(who: Who | None, people: People | None) -> Word:
    """The word of somebody who needs nobody's leave: who presses Cancel, or orders; None: nobody says who it was."""
    if who is None:
        return Word(SOMEBODY)
    return Word(_actor(who, people.person(who) if people else ""), who.verified)


def _actor(who: Who, person: str) -> str:
    if who.door == "os":
        return f"{who.name}@{socket.gethostname()}:{os.getpid()}"
    if who.door == "proxy":
        login = f"{who.name}, " if person not in {"", who.name} else ""
        return f"{person or who.name} ({login}{who.verified})"
    return typed(who.name)


def claimed(actor: str) -> str:
    """What a program or somebody says of who asks, tamed: one plain line with an end, that looks like no login.

    Round brackets are where gopub says what vouches for a name; what vouches for nothing has square ones.
    """
    plain = "".join(char if char.isprintable() else " " for char in actor.translate(_SQUARE))
    return " ".join(plain.split())[:LONGEST]


def typed(name: str) -> str:
    """Who somebody says they are, in a form that anybody who reaches Prefect's page can fill in."""
    return f"{claimed(name) or 'somebody'} {TYPED}"
