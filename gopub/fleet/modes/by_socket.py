"""The mode socket: systemd listens, and the service is restarted behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gopub.fleet.modes.protocol import Mode, Service
from gopub.fleet.modes.reading import settings


@dataclass(frozen=True, slots=True)
class Socket:
    """Works for a program that takes its listeners from systemd."""

    name: str = "socket"
    says: str = "systemd listens; the old process ends, then the new one starts, and what comes meanwhile waits"
    needs: str = (
        "the program takes its listeners from systemd (`LISTEN_FDS`, descriptors from 3 on: the traffic's port first, "
        "then the health check's where it is another), and ends politely"
    )
    keeps: str = "new connections, also those of direct clients; one that is under way is the program's to end well"
    proves: str = "a new start; the socket listens; the health URL is answered. A port that is not asked is not proven"
    mixes: bool = False

    def unit_lines(self, service: Service, /) -> tuple[str, ...]:
        """Whatever starts the service starts the socket first; the socket is never enabled by itself."""
        return (f"Requires={service.socket}",)

    def service_lines(self, _service: Service, /) -> tuple[str, ...]:
        """It runs once its file does."""
        return ("Type=exec",)

    def files(self, service: Service, /) -> Mapping[str, str]:
        """The socket, with the service's ports on all addresses."""
        listens = "".join(f"ListenStream={port}\n" for port in dict.fromkeys(service.ports))
        text = f"[Unit]\nDescription={service.app} as {service.instance} listens, released by gopub\n"
        return {service.socket: f"{text}\n[Socket]\n{listens}Backlog=4096\n"}

    def lacks(self, service: Service, units: Mapping[str, str], /) -> tuple[str, ...]:
        """The unit has to require its socket, and the socket must be for it, on all connections, and not at boot."""
        found = []
        if service.socket not in " ".join(settings(units[service.unit], "Unit", "Requires", "BindsTo")).split():
            found.append(f"{service.unit} does not say Requires={service.socket} in [Unit]")
        socket = units[service.socket]
        if not settings(socket, "Socket", "ListenStream"):
            found.append(f"{service.socket} has no ListenStream= in [Socket]")
        if any(word.lower() in {"yes", "true", "1", "on"} for word in settings(socket, "Socket", "Accept")):
            found.append(f"{service.socket} says Accept=yes, which starts a process for each connection")
        if any(word != service.unit for word in settings(socket, "Socket", "Service")):
            found.append(f"{service.socket} is for another service than {service.unit}")
        return tuple(found)


SOCKET: Mode = Socket()
