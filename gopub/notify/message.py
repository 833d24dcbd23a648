"""What people are told, whatever carries it there. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Tone(StrEnum):
    """How a message sounds where a service colours it."""

    INFO = "info"
    GOOD = "success"
    WARNING = "warning"
    BAD = "failure"


@dataclass(frozen=True, slots=True)
class About:
    """What a message is about, for a service that takes facts and no prose alone.

    ``event`` is one of `on`, ``key`` tells this one of a rollout from others. ``holds`` is whether it stays so until
    somebody does something; ``over`` is when it was no longer so, None as long as it is.
    """

    app: str = ""
    env: str = ""
    rollout: str = ""
    version: str = ""
    event: str = ""
    key: str = ""
    since: float = 0.0
    holds: bool = False
    over: float | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What is told: plain text, its lines separated by line feeds; nothing of it is markup."""

    title: str
    body: str
    tone: Tone = Tone.INFO
    about: About = About()
