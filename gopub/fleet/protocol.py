"""What the rest of gopub knows of a fleet: channels to hosts that carry orders, and programs run on them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gopub.fleet.facts import HostFacts
from gopub.fleet.host import Host, SshOptions
from gopub.fleet.orders import Order, Record
from gopub.fleet.rootline import RootAnswer, RootVerb
from gopub.fleet.signed import OrderKey
from gopub.process import Result
from gopub.spec.kinds import FleetKind, SecretRef

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

    async def exec(
        self,
        argv: Sequence[str],
        stdin: bytes = b"",
        *,
        timeout: float = 30.0,  # noqa: ASYNC109 - a contract
        by_root: bool = False,
    ) -> Result:
        """Run a program on the host; its exit code is the caller's to judge.

        ``by_root`` is for what root does by hand: it runs on an enrolled host, too, where root may log in.

        Raises:
            GopubError: GP487 the host is enrolled: it runs no program of ours.
        """

    async def ask(self, order: Order, argv: Sequence[str], stdin: bytes = b"", *, timeout: float = 30.0) -> Result:  # noqa: ASYNC109
        """What the order's verb prints on an enrolled host, elsewhere what ``argv`` does; both get ``stdin``.

        ``order`` names the host, verb, instance, app, env and arguments; what else it takes the channel fills in.

        Raises:
            GopubError: as :meth:`exec`; the host's own code where it is enrolled and refuses the order.
        """

    async def enrolled(self, *, timeout: float = 30.0) -> bool:  # noqa: ASYNC109 - a contract
        """Whether the host obeys signed orders alone; asked once a connection, remembered.

        False where no key of orders is at hand: such a host then refuses whatever is asked of it.
        """

    async def root(self, verb: RootVerb, said: bytes = b"", *, timeout: float = 120.0) -> RootAnswer | None:  # noqa: ASYNC109
        """Bring an enrolled host a word of the roots, which needs no key of orders; None where it is not enrolled.

        Raises:
            GopubError: GP41x; what the host refuses is in its answer.
        """

    async def close(self) -> None:
        """End the connection."""


class Fleet(Protocol):
    """Gives channels to hosts and keeps them until it is closed."""

    async def channel(self, host: Host) -> HostChannel:
        """The channel to that host, connected; the same one each time."""

    async def close(self) -> None:
        """End all connections."""


@dataclass(frozen=True, slots=True)
class OrderSigning:
    """Where the key is that signs orders (PEM, private), what opens it, and the list of roles that says whose it is."""

    private: Path
    passphrase: SecretRef | None = None
    roles: Path | None = None


class FleetConnection(FleetKind):
    """A connection that says how hosts are reached."""

    def signing(self) -> OrderSigning | None:
        """What signs the orders of these hosts; None where they go unsigned, and no host is enrolled."""
        return None

    def authority(self) -> Path | None:
        """The SSH key whose certificates let user gopub in on enrolled hosts; None where a standing key does."""
        return None

    def options(self) -> SshOptions:
        """What holds for hosts of which the inventory says nothing; plans freeze it with the hosts."""
        return SshOptions()

    @abstractmethod
    def open(self) -> Fleet:
        """The way to hosts; nobody is contacted yet."""

    def open_signed(self, key: OrderKey) -> Fleet:  # noqa: ARG002 - for kinds that sign
        """As :meth:`open`, where :meth:`signing` says something."""
        return self.open()
