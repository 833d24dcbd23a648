"""Whose word a pressed button of Prefect's page is, by what the server wrote beside it (`gopub.usecases.pressing`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect.client.schemas.objects import FlowRun

from gopub.errors import GopubError
from gopub.spec.people import People, Who
from gopub.telemetry import log
from gopub.usecases.approvers import Word, word_by
from gopub.usecases.pressing import NEAR, START, Button, about, who_pressed
from gopub.wiring.people import house

_log = log("logins")


def word_of(run: FlowRun | None, button: Button, *, since: float = 0.0) -> Word:
    """The word of who pressed this button of this run; of somebody, where nothing vouches for who it was.

    A button counts where it was pressed for what the run shows: a suspension for the pause that stands, whatever was
    pressed ``since`` for the rest. It is only told: whatever is wrong here keeps nobody from going back.
    """
    try:
        return _word_of(run, button, since) if run else word_by(None, None)
    except Exception as error:  # noqa: BLE001 - a canary waits for this
        _log.warning("who pressed %s is not known: %r", button, error)
        return word_by(None, None)


def _word_of(run: FlowRun, button: Button, since: float) -> Word:
    people = _house()
    found = who_pressed(people, run.labels, button, str(run.id))
    if found is None:
        return word_by(None, people)
    who, at = found
    fits = abs(_stands_since(run) - at) <= NEAR if button == "suspend" else at >= since - NEAR
    return word_by(who if fits else None, people)


def started_by(run: FlowRun) -> Word | None:
    """The word of who filled in the form that started this run; None where nothing vouches for who it was."""
    who = starter_of(run)
    return word_by(who, _house()) if who else None


def starter_of(run: FlowRun) -> Who | None:
    """Who filled in the form that started this run, by the proxy's login.

    A run that was deleted leaves its key free: whoever reaches the API could start the same once more, by a copy of its
    label. When a run was made, the server alone says, and the label has to be of that moment.

    What a server wrote that is older than this worker names no deployment; it is read still.
    """
    people, ways = _house(), (about(run.parameters, str(run.deployment_id)), about(run.parameters))
    asked = (who_pressed(people, run.labels, START, str(run.idempotency_key), one) for one in ways)
    found = next(filter(None, asked), None)
    if found is None or run.created is None:
        return None
    who, at = found
    return who if abs(run.created.timestamp() - at) <= NEAR else None


def _house() -> People | None:
    try:
        return house()
    except GopubError as error:
        _log.warning("people.yaml does not say who pressed it: %s", error.problem)
        return None


def _stands_since(run: FlowRun) -> float:
    at: Any = run.state.timestamp if run.state else None
    return float(at.timestamp()) if isinstance(at, datetime) else 0.0
