"""A hold as people and programs are told of it: by whom, why, since when, until when. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from gopub.canon import Json
from gopub.rollout import events as ev
from gopub.rollout.gates import held_until
from gopub.rollout.machine import State


def until(state: State, hold: ev.Asked) -> str:
    """When a held rollout is withdrawn; empty while there is no plan that says so."""
    return moment(held_until(state.plan, state.reached, hold)) if state.plan else ""


def held(state: State, hold: ev.Asked | None) -> dict[str, Json] | None:
    """The hold as JSON; None where nobody holds."""
    if hold is None:
        return None
    return {"by": hold.actor, "reason": hold.reason, "since": moment(hold.at), "until": until(state, hold) or None}


def moment(at: float) -> str:
    """RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
