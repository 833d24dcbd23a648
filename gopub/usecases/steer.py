"""What somebody decides of the rollout under way in Prefect's form: it goes on, stands still, or goes back."""

from __future__ import annotations

from collections.abc import Callable

from gopub.errors import UsageError
from gopub.journal.reading import asked
from gopub.journal.store import Journal
from gopub.spec.people import People, Who
from gopub.telemetry import log
from gopub.usecases.approvers import word_by
from gopub.usecases.ask import ask, ask_hold, ask_promote, ask_resume, under_way
from gopub.views.forms import DECISIONS
from gopub.wiring.people import house

_log = log("approvals")


def steer(
    journal: Journal, app: str, env: str, decision: str, *, reason: str, who: Who,
    people: Callable[[], People | None] = house,
) -> str:  # fmt: skip
    """Write the decision about the rollout of ``app`` under way in ``env``; gives what came of it.

    Everybody may hold and abort; resume ends a hold and approves nothing. To promote ends a bake or approves a step:
    where typed names approve nothing, none does it, and the people of an approval are asked for as everywhere.

    Raises:
        UsageError: GP943 nothing is under way, or there is nothing to go on to. GP746 nobody holds it.
        RefusedError: GP745 somebody holds it; GP991, GP992, GP993 it is not his to promote.
    """
    if decision not in DECISIONS:
        raise UsageError("GP943", f"{decision!r} is no decision", hint=f"choose {', '.join(DECISIONS)}")
    rollout, why = under_way(journal, app, env), " ".join(reason.split())
    if decision == "promote":
        if known := people():
            known.insist(who, app, env)
        ask_promote(journal, rollout, why, who=who, people=people)
        return f"{rollout} is promoted"
    word = word_by(who, _known(people))
    if decision == "hold":
        ask_hold(journal, rollout, why, word=word)
    elif decision == "resume":
        ask_resume(journal, rollout, why, word=word)
    elif not any(one.what == "abort" for one in asked(journal, rollout)):
        ask(journal, rollout, "abort", f"{why or 'no reason given'}, says {word.actor}", word=word)
    done = {"hold": "held", "resume": "resumed", "abort": "aborted"}[decision]
    return f"{rollout} is {done} by {word.actor}"


def _known(people: Callable[[], People | None]) -> People | None:
    """Whom a house knows; one whose file is broken keeps nobody from going back."""
    try:
        return people()
    except Exception as error:  # noqa: BLE001 - the safe way stays open
        _log.warning("people.yaml does not say who decides: %r", error)
        return None
