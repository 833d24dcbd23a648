"""Who pressed a button in Prefect's page, or filled in one of its forms, as the server saw it: a label of the run.

A state that somebody sets has no room for who it was, and a worker writes the next over it. So the server writes beside
it, as a label of the run, which login the proxy named: under the key that only it and the workers have, bound to the
run, to what was pressed and to the time. Who reaches Prefect's API can take the label away or copy it; he cannot make
one, and a copy vouches for no other run and no other button.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from gopub.canon import Json, digest_of
from gopub.errors import GopubError
from gopub.spec.people import People, Who
from gopub.telemetry import log
from gopub.usecases.seal import read_signed, signed
from gopub.wiring.people import strong

Button = Literal["cancel", "suspend", "resume", "retry", "start"]
START: Button = "start"
LABEL = "gopub.pressed."
"""How the labels begin; the button follows."""
NEAR = 60.0
"""Seconds by which what was pressed may stand apart from what came of it: two clocks, and a server that is slow."""
_PURPOSE = b"gopub-pressed/v1\0"
_log = log("logins")


@dataclass(frozen=True, slots=True)
class Pressed:
    """What is vouched for: ``login`` pressed ``button`` of ``run``: its id, or the key under which it was started."""

    button: str
    run: str
    login: str
    by: str
    """What vouches: the proxy's header."""
    at: float
    about: str = ""
    """Of a start: the deployment, and the digest of its parameters."""


def about(parameters: Mapping[str, Json], deployment: str = "") -> str:
    """Of what a run is started with, and of which deployment; without it as older servers vouched for it.

    One form's answers may fit another form as well: the same app and environment, and something else comes of them.
    """
    digest = digest_of(dict(parameters))
    return f"{deployment.lower()}:{digest}" if deployment else digest


def label(key: str, what: Pressed) -> dict[str, str]:
    """The label that vouches for it."""
    return {LABEL + what.button: signed(key, _PURPOSE, asdict(what))}


def pressed(key: str, labels: Mapping[str, Json], button: Button, run: str, about: str = "") -> Pressed | None:
    """What a run's labels vouch for of this button; None where nothing does."""
    text = labels.get(LABEL + button)
    found = read_signed(key, _PURPOSE, text) if isinstance(text, str) else None
    try:
        one = Pressed(**found) if found is not None else None
    except TypeError:
        return None
    return one if one and (one.button, one.run, one.about) == (button, run, about) else None


def who_pressed(
    people: People | None, labels: Mapping[str, Json], button: Button, run: str, about: str = ""
) -> tuple[Who, float] | None:
    """Who pressed it, and when; None where nobody vouches for that. A key that cannot be had vouches for nobody."""
    if people is None or people.proxy is None:
        return None
    try:
        one = pressed(strong(people.proxy.seal), labels, button, run, about)
    except GopubError as error:
        _log.warning("who pressed %s is not known: %s", button, error.problem)
        return None
    return (Who("proxy", one.login, f"login at the proxy, {one.by}"), one.at) if one else None
