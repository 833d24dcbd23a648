"""What two environments cannot have both on the same hosts: a folder with its unit, and a port.

Only those that name the same hosts in the same words are seen here; of all others the hosts themselves tell (GP455).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from gopub.spec.models import Environment
from gopub.spec.tree import Path, dotted


def same_place(environments: Mapping[str, Environment]) -> Iterator[tuple[Path, str, str, str]]:
    """Where an environment takes the place of one before it, with code, text and hint."""
    instances: dict[tuple[str, ...], str] = {}
    ports: dict[tuple[str, ...], str] = {}
    for name, environment in environments.items():
        hosts = (environment.inventory, environment.hosts)
        if (other := instances.setdefault((*hosts, environment.instance), name)) != name:
            text = f"has the hosts and the instance of `{dotted(('environments', other))}`"
            hint = "choose other hosts, or another `instance`: one directory holds one release"
            yield ("environments", name, "instance"), "GP138", text, hint
            continue  # its ports are told once it has a place of its own
        for port, path in _listens(environment).items():
            at = ports.setdefault((*hosts, _address(environment), str(port)), name)
            if at != name:
                text = f"{port} is a port of `{dotted(('environments', at))}`, which has the same hosts"
                hint = "choose other hosts, or another port: two services cannot listen on one"
                yield ("environments", name, *path), "GP138", text, hint


def _listens(environment: Environment) -> dict[int, Path]:
    """The ports of the service, and the key that names each."""
    found: dict[int, Path] = {environment.health.port: ("health",)}
    if environment.traffic:
        found.setdefault(environment.traffic.port, ("traffic", "port"))
    for index, port in enumerate(environment.service.ports or ()):
        found.setdefault(port, ("service", "ports", index))
    return found


def _address(environment: Environment) -> str:
    """Where the service listens, as far as the health check tells; every loopback is one, and every other its own."""
    host = urlsplit(environment.health.http).hostname or ""
    return "loopback" if host in {"127.0.0.1", "localhost", "::1"} else host
