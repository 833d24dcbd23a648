"""What the rest of gopub knows of a fleet: channels to hosts that carry orders, and programs run on them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from gopub.fleet.facts import HostFacts
from gopub.fleet.host import Host, SshOptions
from gopub.fleet.orders import Order, Record
from gopub.process import Result
from gopub.spec.kinds import FleetKind

Payload = Sequence[bytes | Path]  # what follows an order, piece after piece; files are read in blocks


class HostChannel(Protocol):
    """One kept connection to one host. Several calls may run at once."""

    @property
    def host(self) -> Host:
        """Whom it leads to."""

    async def run(self, order: Order, payload: Payload = (), *, timeout: float = 120.0) -> Record:  # noqa: ASYNC109 - a contract
        """Carry out an order; a connection that drops is made again and the same order asked again.

        Raises:
            GopubError: GP41x when the host cannot be reached, is not the one it was, or says nothing sensible.
        """

    async def facts(self, instance: str, *, timeout: float = 30.0) -> HostFacts:  # noqa: ASYNC109 - a contract
        """What is so on the host for that instance."""

    async def exec(self, argv: Sequence[str], stdin: bytes = b"", *, timeout: float = 30.0) -> Result:  # noqa: ASYNC109 - a contract
        """Run a program on the host; its exit code is the caller's to judge."""

    async def close(self) -> None:
        """End the connection."""


class Fleet(Protocol):
    """Gives channels to hosts and keeps them until it is closed."""

    async def channel(self, host: Host) -> HostChannel:
        """The channel to that host, connected; the same one each time."""

    async def close(self) -> None:
        """End all connections."""


class FleetConnection(FleetKind):
    """A connection that says how hosts are reached."""

    def options(self) -> SshOptions:
        """What holds for hosts of which the inventory says nothing; plans freeze it with the hosts."""
        return SshOptions()

    @abstractmethod
    def open(self) -> Fleet:
        """The way to hosts; nobody is contacted yet."""
