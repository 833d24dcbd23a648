"""What a service that carries messages to people has to do, and what its connection is."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

from gopub.notify.message import Message
from gopub.spec.kinds import NotifyKind


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of sending a message; ``says`` is what came back, for people, without secrets."""

    taken: bool
    says: str = ""


class Notifier(Protocol):
    """A service that carries messages."""

    async def send(self, message: Message) -> Answer:
        """Hand it over within bounded time, blocking nobody meanwhile; never raises for a service that is down."""


class NotifyConnection(NotifyKind):
    """A connection of the door ``notify``."""

    hears_ends: ClassVar[bool] = False
    """Whether it is told as well that what it was told does not hold any more; a chat room would be told twice."""

    @abstractmethod
    def open(self) -> Notifier:
        """The service; nothing is sent and no secret is read for it."""
