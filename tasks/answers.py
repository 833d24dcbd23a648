"""The form of an approval, and who answered it: a login that the server vouched for, or a typed name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from prefect.input import RunInput
from pydantic import ConfigDict, Field, ValidationError

from gopub.clock import Clock, SystemClock
from gopub.errors import GopubError, UsageError
from gopub.journal.store import Journal
from gopub.spec.people import People, Who
from gopub.telemetry import log
from gopub.usecases.approve import decide
from gopub.usecases.seal import FIELD, opened
from gopub.wiring.people import house, strong

_log = log("approvals")


class Decision(RunInput):
    """The form: everything in it is typed by whoever can open the page."""

    # What is more than the form has is let through: the server adds its seal.
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore")

    decision: Literal["approve", "abort"] = Field(description="approve: the step begins; abort: the rollout goes back.")
    name: str = Field(
        min_length=1,
        max_length=80,
        pattern=r"\S",
        description="Who decides. It is kept as typed, as not verified; a login that the server knows counts instead.",
    )
    reason: str = Field("", max_length=500, description="Why; it stands in the journal.")


def taken(answer: Any, run: str, rollout: str, step: int, journal: Journal, clock: Clock | None = None) -> str:
    """Write what was answered in this run; gives what came of it.

    Who wants back is kept up by nothing: not by a people.yaml that is broken, nor by a seal that does not fit.

    Raises:
        UsageError: GP970 it is no answer to the form.
        GopubError: it approves, and may not; see `who_answered` and `gopub.usecases.approve.decide`.
    """
    try:
        said = Decision.model_validate(answer)
    except ValidationError:
        raise UsageError("GP970", "what lies under this form is no answer to it",
                         hint="it was written past the page; another form comes") from None  # fmt: skip
    approve = said.decision == "approve"
    try:
        people = house()
        who = who_answered(answer, run, rollout, step, people, clock)
    except GopubError as error:
        if approve:
            raise
        _log.warning("who aborts is not known: %s", error.problem)
        people, who = None, Who("typed", said.name)
    return decide(journal, rollout, step, approve=approve, who=who, reason=said.reason, people=lambda: people)


def who_answered(
    answer: Mapping[str, Any], run: str, rollout: str, step: int, people: People | None, clock: Clock | None = None
) -> Who:
    """Who gave this answer in this run: the login under the server's seal, else whoever was typed.

    Raises:
        RefusedError: GP994 the seal vouches for something else.
        UsageError: GP142, GP990 the key cannot be had.
    """
    text, typed = answer.get(FIELD), Who("typed", str(answer.get("name", "")))
    if not isinstance(text, str) or not text:
        return typed
    if people is None or people.proxy is None:
        _log.warning("the server vouches for who answered, and people.yaml here names no proxy: the typed name is kept")
        return typed
    now = (clock or SystemClock()).now()
    key = strong(people.proxy.seal)
    found = opened(key, text, run=run, rollout=rollout, step=step, answer=answer, now=now)
    return Who("proxy", found.login, f"login at the proxy, {found.by}")
