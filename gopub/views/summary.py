"""What came of a rollout, as plain values, and the exit code that goes with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gopub.canon import Json
from gopub.errors import Exit
from gopub.journal.reading import read_state
from gopub.journal.state import State
from gopub.journal.store import Journal
from gopub.plan.model import Outcome
from gopub.rollout.run import Run
from gopub.views.verdict import because

WAITING = "waiting"
_CODES = {
    Outcome.PROMOTED: Exit.OK,
    Outcome.ROLLED_BACK: Exit.ROLLED_BACK,
    Outcome.WITHDRAWN: Exit.INCONCLUSIVE,
    Outcome.REFUSED: Exit.REFUSED,
    Outcome.FAILED: Exit.FAILED,
    Outcome.MENDED: Exit.OK,
}
NOTHING = "nothing to do"
_WELL = frozenset({Outcome.PROMOTED.value, Outcome.MENDED.value, WAITING, NOTHING, ""})


def summary(run: Run) -> dict[str, Json]:
    """App, env, version, outcome, reason, rule, what is owed and what a person must know."""
    return summary_of(run.state, run.alarms)


def summary_of(state: State, alarms: Sequence[str]) -> dict[str, Json]:
    """The same from a state alone. Pure."""
    closed, back, verdict = state.closed, state.back, state.verdict
    stable = state.plan.stable.version if state.plan and state.plan.stable else None
    promoted = closed is not None and closed.outcome is Outcome.PROMOTED
    return {
        "rollout": state.rollout,
        "app": state.app,
        "env": state.env,
        "version": state.release_version,
        "release": state.release,
        "outcome": closed.outcome.value if closed else WAITING if state.waiting else "active",
        "reason": because(verdict, closed.reason) if closed else state.waiting,
        "runs": state.release_version if promoted else stable,
        "rule": back.rule if back else verdict.rule if verdict else None,
        "owed": list(state.owed),
        "owed_edges": list(closed.owed_edges) if closed else [],
        "alarms": list(alarms),
        "left": _left(state),
    }


def _left(state: State) -> list[Json]:
    """The hosts on which a first release failed: they had nothing before, and hold it stopped."""
    if state.closed is None or state.closed.outcome is Outcome.PROMOTED or state.plan is None or state.plan.stable:
        return []
    held = [host.name for host in state.plan.hosts if not host.before and state.hosts[host.name].staged]
    return [name for name in held if name not in state.owed]


def read_summary(journal: Journal, rollout: str) -> dict[str, Json]:
    """The same by the journal.

    Raises:
        GopubError: the journal, or what it says of this rollout, cannot be read.
    """
    return summary_of(read_state(journal, rollout), ())


def summary_if_over(journal: Journal, rollout: str) -> dict[str, Json] | None:
    """The same of a rollout that has ended; None while it is under way."""
    state = read_state(journal, rollout)
    return summary_of(state, ()) if state.closed else None


def is_well(outcome: str) -> bool:
    """Whether an outcome of a rollout is no reason to look for what went wrong."""
    return outcome in _WELL


def exit_of(result: Mapping[str, Json]) -> Exit:
    """The exit code of a summary: what is owed outranks how it ended."""
    if result.get("owed") or result.get("owed_edges"):
        return Exit.PARTIAL
    outcome = result.get("outcome")
    if outcome in (WAITING, NOTHING):
        return Exit.OK
    known = {kind.value: code for kind, code in _CODES.items()}
    return known.get(str(outcome), Exit.FAILED)
