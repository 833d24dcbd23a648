"""What the bodies of Prefect's page say was pressed, and the same with who pressed it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace

from deployments.reach import LARGEST
from gopub.canon import Json, JsonError, read_json
from gopub.telemetry import one_line
from gopub.usecases.pressing import Button, Pressed, about, label

_SET = re.compile(r"(?P<run>.*/flow_runs/[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})/set_state/?")
_BUTTONS: Mapping[str, Button] = {
    "CANCELLING": "cancel", "CANCELLED": "cancel", "PAUSED": "suspend", "SCHEDULED": "retry",
}  # fmt: skip
_DID: Mapping[Button, str] = {"cancel": "cancelled", "suspend": "suspended", "retry": "retried"}
_LONGEST = 500


def run_of(path: str) -> str:
    """The path of the run whose state is set; empty where none is."""
    found = _SET.fullmatch(path)
    return found["run"] if found else ""


def button_of(body: bytes) -> Button | None:
    """The button that sets this state; None where none does."""
    state = _fields(body).get("state")
    kind = state.get("type") if isinstance(state, dict) else None
    return _BUTTONS.get(kind) if isinstance(kind, str) else None


def says_who(body: bytes, button: Button, login: str, header: str) -> bytes:
    """The body, and the state's message says who it was: that is what stands on the run's page."""
    fields = _fields(body)
    state = fields.get("state")
    if not isinstance(state, dict):
        return body
    said = state.get("message")
    more = f": {one_line(said)[:_LONGEST]}" if isinstance(said, str) and said.strip() else ""
    message = f"{_DID[button]} by {login} (login at the proxy, {header}){more}"
    return json.dumps({**fields, "state": {**state, "message": message}}).encode()


def started_by(body: bytes, deployed: Json, what: Pressed, key: str) -> bytes:
    """The body of a start with the label that says whose it is, bound to a key of its own, form and what is entered.

    A run keeps the deployment's parameters with those that are given over them; the label is about both.
    """
    fields = _fields(body)
    given = fields.get("parameters") or {}
    own, which = (deployed.get("parameters"), deployed.get("id")) if isinstance(deployed, dict) else (None, None)
    if not isinstance(given, dict) or not isinstance(own, dict) or not isinstance(which, str):
        return body
    vouched = label(key, replace(what, about=about({**own, **given}, which)))
    return json.dumps({**fields, "idempotency_key": what.run, "labels": vouched}).encode()


def _fields(body: bytes) -> dict[str, Json]:
    try:
        fields = read_json(body, limit=LARGEST)
    except JsonError:
        return {}
    return fields if isinstance(fields, dict) else {}
