"""A seal vouches for one answer in one run about one step, for a day, and only the server can make one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from gopub.clock import ManualClock
from gopub.errors import RefusedError
from gopub.spec.people import People, Who
from gopub.usecases.seal import FIELD, Sealed, answer_digest, opened, seal
from tasks.answers import who_answered

KEY = "k" * 32
ANSWER = {"decision": "approve", "name": "bob", "reason": ""}
RUN = "0b6bb1f0-0000-4000-8000-000000000001"
MADE = Sealed(RUN, "r-1", 2, "ann", "X-Forwarded-User", 1000.0, answer_digest(ANSWER))


def of(text: str, key: str = KEY, now: float = 1000.0, step: int = 2) -> Sealed:
    return opened(key, text, run=RUN, rollout="r-1", step=step, answer={**ANSWER, FIELD: text}, now=now)


def test_the_server_vouches_for_the_login_whatever_name_was_typed():
    assert of(seal(KEY, MADE)) == MADE


@pytest.mark.parametrize(
    "forged",
    [
        lambda: seal("j" * 32, MADE),
        lambda: seal(KEY, replace(MADE, run="another")),
        lambda: seal(KEY, replace(MADE, rollout="r-2")),
        lambda: seal(KEY, replace(MADE, step=1)),
        lambda: seal(KEY, replace(MADE, answer=answer_digest({**ANSWER, "decision": "abort"}))),
        lambda: seal(KEY, replace(MADE, at=1000.0 - 2 * 86400)),
        lambda: seal(KEY, replace(MADE, at=1000.0 + 600)),
        lambda: seal(KEY, replace(MADE, login="eve")).partition(".")[0] + "." + seal(KEY, MADE).partition(".")[2],
        lambda: "." + seal(KEY, MADE),
        lambda: seal(KEY, MADE) + "0",
        lambda: seal(KEY, MADE).rpartition(".")[0],
        lambda: "ann",
        lambda: "\ud800.\ud800",
        lambda: "é.é",
    ],
)
def test_what_another_made_or_for_something_else_vouches_for_nothing(forged: Callable[[], str]):
    with pytest.raises(RefusedError, match="GP994"):
        of(forged())


def test_an_answer_is_its_logins_and_without_a_seal_it_is_a_typed_name():
    proxy = {"secret": {"env": "A"}, "seal": {"env": "GOPUB_TEST_SEAL"}}
    people = People.model_validate({"schema": "gopub-people/v1", "proxy": proxy})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOPUB_TEST_SEAL", KEY)
        clock = ManualClock()
        text = seal(KEY, replace(MADE, at=clock.now()))
        found = who_answered({**ANSWER, FIELD: text}, RUN, "r-1", 2, people, clock)
        assert found == Who("proxy", "ann", "login at the proxy, X-Forwarded-User")
        assert who_answered(ANSWER, RUN, "r-1", 2, people, clock) == Who("typed", "bob")
        with pytest.raises(RefusedError, match="GP994"):
            who_answered({**ANSWER, FIELD: "ann"}, RUN, "r-1", 2, people, clock)
        patch.setenv("GOPUB_TEST_SEAL", "short")
        with pytest.raises(Exception, match="GP990"):
            who_answered({**ANSWER, FIELD: text}, RUN, "r-1", 2, people, clock)
    assert who_answered({**ANSWER, FIELD: text}, RUN, "r-1", 2, None, clock) == Who("typed", "bob"), "no key here"
