"""What people were to be told, and what became of it: journal entries of their own (see ``events``)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NoticeDue:
    """People are to be told this: what of a rollout (``key``), and by which connection (``to``)."""

    key: str
    to: str
    title: str
    body: str
    tone: str = "info"
    about: str = ""
    """What of `on`; empty in what was written before this was told. ``over``: that it does not hold any more."""
    since: float = 0.0
    over: bool = False


@dataclass(frozen=True, slots=True)
class NoticeTried:
    """It is about to be handed over; nobody else does so meanwhile."""

    key: str
    to: str


@dataclass(frozen=True, slots=True)
class NoticeTaken:
    """The service took it."""

    key: str
    to: str


@dataclass(frozen=True, slots=True)
class NoticeLost:
    """The service did not take it; it is tried again ``after`` so many seconds, 0 gives it up."""

    key: str
    to: str
    why: str
    after: float = 0.0
