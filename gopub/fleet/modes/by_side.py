"""The mode side-by-side: the new process starts on another port while the old one serves, and edges go over to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gopub.canon import sha256
from gopub.fleet.modes.protocol import Mode, Service
from gopub.fleet.modes.reading import triggers


@dataclass(frozen=True, slots=True)
class Side:
    """Works for any program that is told its port."""

    name: str = "side-by-side"
    says: str = "the new process starts on another port and is proven; then the edges send to it instead of the old one"
    needs: str = (
        "an edge, `service.ports: [a, b]`, a program that is told its port by `{{ port }}`, and on the host the memory "
        "for two; see [side by side](side-by-side.md)"
    )
    keeps: str = "all requests, without a host leaving the pool; the old process runs on until the rollout is over"
    proves: str = "the new process on its own port, before anything else changes on the host"
    mixes: bool = True

    def unit_lines(self, service: Service) -> tuple[str, ...]:  # noqa: ARG002 - a contract
        """None: what says which slot starts is added on the host."""
        return ()

    def service_lines(self, service: Service) -> tuple[str, ...]:
        """Both slots share a state directory, so without a user of its own both run as one dynamic user."""
        return ("Type=exec", *(() if service.user else (f"User=gopub-{sha256(service.instance.encode())[:12]}",)))

    def files(self, service: Service) -> Mapping[str, str]:  # noqa: ARG002 - a contract
        """None."""
        return {}

    def lacks(self, service: Service, units: Mapping[str, str]) -> tuple[str, ...]:
        """A triggering condition of the team's own would let a slot start that does not serve."""
        if not triggers(units[service.unit]):
            return ()
        return (f"{service.unit} has a triggering condition (`|`) in [Unit], and which slot starts is one already",)


SIDE: Mode = Side()
