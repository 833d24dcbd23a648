"""What each env runs and what is under way, as rows for people and programs."""

from __future__ import annotations

from datetime import UTC, datetime

from gopub.clock import SystemClock
from gopub.journal.reading import asked, read_state
from gopub.journal.state import EnvState, State, fold_env, next_action
from gopub.journal.store import Entry, Journal
from gopub.judge.gates import hold_of
from gopub.views.standing import held, standing


def _row(journal: Journal, stream: str) -> dict[str, object]:
    _, app, env = stream.split("/", 2)
    entries = journal.read(stream)
    state = fold_env(entry.event for entry in entries)
    return {
        "app": app,
        "env": env,
        "stable": state.stable_version or None,
        "release": state.stable[:12] or None,
        "since": _when(entries),
        "active": _active(journal, state, app, env),
        "quarantined": sorted(release[:12] for release in state.quarantine),
        "automatic_rollbacks_in_a_row": state.automatic_rollbacks,
        "owed_edges": list(state.owed_edges),
    }


def _active(journal: Journal, env_state: EnvState, app: str, env: str) -> dict[str, object] | None:
    if not env_state.active:
        return None
    state: State = read_state(journal, env_state.active)
    seated, said = journal.seated(app, env), asked(journal, env_state.active)
    return {
        "rollout": env_state.active,
        "version": state.release_version,
        "next": next_action(state).value if state.rollout else "admit",
        "step": state.step.says if state.plan and state.step else None,
        "observed": _observed(state),
        "waiting": state.waiting or None,
        "held": held(state, hold_of(said)),
        "until": standing(state, said, SystemClock().now()).until or None,
        "verdict": f"{state.verdict.kind} by rule {state.verdict.rule}: {state.verdict.reason}"
        if state.verdict
        else None,
        "driver": seated[0].holder if seated else None,
        "driver_alive": bool(seated and seated[1]),
        "owed": list(state.owed),
    }


def _observed(state: State) -> dict[str, float] | None:
    """How many seconds of the step's bake were observed, as of the last verdict, and how many are needed."""
    if state.step is None or state.step.index not in state.reached:
        return None
    return {"seconds": state.observed.get(state.step.index, 0.0), "needed": state.step.bake}


def _when(entries: list[Entry]) -> str | None:
    at = entries[-1].at if entries else None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") if at else None
