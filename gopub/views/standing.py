"""How a rollout stands, as people and programs are told: held, waiting, under way or over, and until when. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gopub.canon import Json
from gopub.journal import events as ev
from gopub.journal.state import State
from gopub.journal.transitions import Phase
from gopub.judge.gates import held_until, hold_of, opens_at, say_hold
from gopub.units import say_about, say_seconds


@dataclass(frozen=True, slots=True)
class Standing:
    """``outcome``: active, held, waiting or how it ended; ``until``: RFC 3339, empty where only a person ends it."""

    rollout: str
    outcome: str
    waits_for: str = ""
    until: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True)
class HoldView:
    """Who holds a rollout and why; times are RFC 3339, ``until`` empty while there is no plan that says so."""

    by: str
    reason: str
    since: str
    until: str

    def to_json(self) -> dict[str, Json]:
        """As `gopub status --json` has it."""
        return {"by": self.by, "reason": self.reason, "since": self.since, "until": self.until or None}


def standing(state: State, asked: Sequence[ev.Asked], now: float) -> Standing:
    """How it stands by what the journal says of it and of what people asked."""
    if state.closed:
        return Standing(state.rollout, state.closed.outcome.value, final=True)
    if not state.back and (hold := hold_of(asked)):
        return Standing(state.rollout, "held", say_hold(hold), until(state, hold))
    if state.waiting and state.plan and state.step:
        opens = opens_at(state.plan, state.step.index, asked, now)
        return Standing(state.rollout, "waiting", state.waiting, moment(opens) if opens else "")
    return Standing(state.rollout, "active")


def says_watch(state: State) -> str:
    """``promoted, and watched until 14:05:10 UTC: 12m of 30m, good: …``; empty where no promoted release is watched.

    The time is watched time: it ends then where it is watched without a gap, and nobody holds it.
    """
    if state.phase is not Phase.WATCHING or state.watch is None:
        return ""
    seen = state.watched
    so_far = f"{say_about(seen.seconds) if seen else '0s'} of {say_seconds(state.watch.seconds)}"
    found = f", {seen.finding}: {seen.says}" if seen else ""
    does = "" if state.watch.then == "rollback" else "; a breach is told alone"
    left = state.watch.seconds - (seen.seconds if seen else 0.0)
    ends = datetime.fromtimestamp((seen.at if seen else state.watch.at) + left, UTC)
    when = f" until {ends:%H:%M:%S} UTC" if left > 0 else ""
    return f"promoted, and watched{when}: {so_far}{found}{does}"


def until(state: State, hold: ev.Asked) -> str:
    """When a held rollout is withdrawn; empty while there is no plan that says so, and of one that is promoted."""
    if state.plan is None or state.phase is Phase.WATCHING:
        return ""
    return moment(held_until(state.plan, state.reached, hold))


def hold_view(state: State, hold: ev.Asked | None) -> HoldView | None:
    """The hold as it is told; None where nobody holds."""
    return HoldView(hold.actor, hold.reason, moment(hold.at), until(state, hold)) if hold else None


def moment(at: float) -> str:
    """RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
