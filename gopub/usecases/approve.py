"""What somebody decided about an approval: written once, and only while somebody needs it."""

from __future__ import annotations

from collections.abc import Callable

from gopub.errors import UsageError
from gopub.journal.reading import asked, read_state
from gopub.journal.state import State
from gopub.journal.store import Journal
from gopub.spec.people import People, Who
from gopub.usecases.approvers import word_of
from gopub.usecases.ask import ask
from gopub.wiring.people import house


def decide(
    journal: Journal,
    rollout: str,
    step: int,
    *,
    approve: bool,
    who: Who,
    reason: str,
    people: Callable[[], People | None] = house,
) -> str:
    """Write what was decided about ``step``, counted from 1; gives what came of it. What is moot is not written.

    Everybody who can answer may abort; approve may whom the step names, where people.yaml says who that is.

    Raises:
        UsageError: GP943 there is no such rollout or step, or it asks for no approval.
        RefusedError: GP991, GP992, GP993, GP995 the step is not his to approve.
    """
    state = read_state(journal, rollout)
    if state.plan is None or not 0 < step <= len(state.plan.steps):
        raise UsageError("GP943", f"rollout {rollout} has no step {step}", hint="see `gopub status`")
    if why := _moot(journal, state, step):
        return why
    if approve and not state.plan.steps[step - 1].approve:
        what = f"step {step} of rollout {rollout} asks for no approval"
        raise UsageError("GP943", what, hint="`gopub promote` ends a bake by hand")
    word = word_of(who, state, step - 1 if approve else None, people() if approve else None)
    ask(journal, rollout, f"promote:{step - 1}" if approve else "abort", " ".join(reason.split()), word=word)
    return f"{'approved' if approve else 'aborted'} by {word.actor}"


def moot(journal: Journal, rollout: str, step: int) -> str:
    """Why nobody needs this approval any more; empty where somebody does."""
    return _moot(journal, read_state(journal, rollout), step)


def _moot(journal: Journal, state: State, step: int) -> str:
    if state.closed:
        return f"not needed any more: the rollout is {state.closed.outcome.value}"
    if state.back:
        return "not needed any more: the rollout goes back"
    wishes = {one.what for one in asked(journal, state.rollout)}
    if "abort" in wishes:
        return "not needed any more: the rollout was aborted"
    if step - 1 in state.passed or f"promote:{step - 1}" in wishes:
        return "not needed any more: the step was approved elsewhere"
    return ""
