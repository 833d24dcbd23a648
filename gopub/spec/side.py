"""What ``switch: side-by-side`` asks of an environment: two ports; the first is the one that the rest names."""

from __future__ import annotations

from collections.abc import Iterator

from gopub.spec.models import Environment
from gopub.spec.tree import Path


def wrong_side(environment: Environment) -> Iterator[tuple[Path, str, str, str]]:
    """Where it is wrong, below the environment, with code, text and hint."""
    ports, side = environment.service.ports, environment.switch == "side-by-side"
    if not side:
        if ports is not None:
            hint = "leave it out, or write `switch: side-by-side`"
            yield ("service", "ports"), "GP545", "two ports are for two processes side by side", hint
        return
    if ports is None:
        hint = "write both ports: `service: {ports: [8080, 8081]}`, and give the program its own by `{{ port }}`"
        yield ("switch",), "GP545", "side by side each process needs a port of its own", hint
        return
    if ports[0] == ports[1]:
        yield ("service", "ports", 1), "GP545", f"{ports[1]} is the first port, too", "write two different ports"
    if environment.traffic is None:
        hint = "add `traffic: {router: NAME}`, or write another mode"
        yield ("switch",), "GP545", "without an edge nobody sends requests from one port to the other", hint
    elif environment.traffic.port != ports[0]:
        text = f"the traffic's port is {environment.traffic.port}, and the first of service.ports {ports[0]}"
        yield ("traffic", "port"), "GP545", text, "leave it out, or write the first port: the slot's takes its place"
    if environment.health.port != ports[0]:
        text = f"the health URL has port {environment.health.port}, and the first of service.ports is {ports[0]}"
        yield ("health",), "GP545", text, "write the first port: the slot's takes its place"
    for index, file in enumerate(environment.config):
        if file.apply == "reload":
            text = "side by side each change of a file starts a process of its own"
            yield ("config", index, "apply"), "GP545", text, "write restart, which costs no request in this mode"
