"""What gopub asks of any source of route tables; a backend is one class with these methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True, slots=True)
class Held:
    """What a source has under a name, and by which mark of its own that is known from what anybody writes later."""

    value: bytes
    mark: str


class Source(Protocol):
    """A place that holds one value for each upstream, and that watchers on the edges look at."""

    async def read(self, upstream: str) -> Held | None:
        """What it has now; None where it has nothing.

        Raises:
            GopubError: GP525 it does not answer, or not as it should.
        """

    async def swap(self, upstream: str, value: bytes, before: Held | None) -> bool:
        """Put the value in the place of what was read before; False where somebody else wrote meanwhile.

        Raises:
            GopubError: GP525 it does not answer, and may or may not have taken it.
        """

    async def close(self) -> None:
        """Let go of what was opened."""


class SourceKey(BaseModel, ABC):
    """What a router's connection says of one kind of source."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @property
    def kind(self) -> str:
        """As a connection names it."""
        return type(self).__name__.lower()

    @abstractmethod
    def open(self) -> Source:
        """The source; nobody is contacted yet.

        Raises:
            GopubError: a file that it names cannot be used.
        """

    @abstractmethod
    def settings(self) -> tuple[tuple[str, str], ...]:
        """What the watcher on an edge is told, as keys and values of its own; no secret is among them."""
