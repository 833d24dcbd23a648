"""What a mode of switching is, and the service that it is asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gopub.fleet.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Service:
    """What a unit says of a service; ``drain`` is how long it may take to end, in seconds.

    Without ``user`` the service runs as a user that exists only while it runs (``DynamicUser``); its files are
    then readable by every user of the host. With ``user``, only that user's group can read them. ``ports`` are those
    that it listens on: that of the traffic first, then that of the health check; side by side those of the two slots,
    and ``slot`` is the one that is meant.
    """

    instance: str
    app: str
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    drain: float = 20.0
    mode: str = "restart"
    ports: Sequence[int] = ()
    runtime: Runtime = field(default_factory=Runtime)
    slot: str = ""

    @property
    def unit(self) -> str:
        """The unit's name."""
        return f"{self.instance}@{self.slot}.service" if self.slot else f"{self.instance}.service"

    @property
    def socket(self) -> str:
        """The name of the unit that listens for it, where one does."""
        return f"{self.instance}.socket"


class Mode(Protocol):
    """One mode: what it asks of a release, and what it is to people."""

    @property
    def name(self) -> str:
        """What ``switch:`` says."""

    @property
    def says(self) -> str:
        """What happens to a host, for the plan and the docs."""

    @property
    def needs(self) -> str:
        """What the service has to do for it."""

    @property
    def keeps(self) -> str:
        """What is not lost by it."""

    @property
    def proves(self) -> str:
        """What is proven beside what every switch has to prove."""

    @property
    def mixes(self) -> bool:
        """Whether old and new process live at the same time, so that what they share must be understood by both."""

    def unit_lines(self, service: Service, /) -> tuple[str, ...]:
        """Further lines of the default unit's part [Unit]."""

    def service_lines(self, service: Service, /) -> tuple[str, ...]:
        """The default unit's ``Type=`` and what else belongs to it."""

    def files(self, service: Service, /) -> Mapping[str, str]:
        """Files of systemd that gopub writes beside the unit, where the team brings none of that name."""

    def lacks(self, service: Service, units: Mapping[str, str], /) -> tuple[str, ...]:
        """What the units that a host would get do not say and must, for people; ``units`` by their names."""
