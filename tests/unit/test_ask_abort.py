"""`gopub abort` is a word in the journal for a rollout that is under way, and refused for one that is over."""

from __future__ import annotations

import pytest

from gopub.errors import UsageError
from gopub.journal.reading import asked
from gopub.usecases.ask import LONGEST_REASON, ask_abort
from tests.unit.views_world import world


def test_it_is_asked_of_one_under_way(tmp_path):
    journal, _ = world(tmp_path)
    state = ask_abort(journal, "r-bake", "wrong day")
    assert (state.app, state.env) == ("orders", "prod")
    [one] = asked(journal, "r-bake")
    assert (one.what, one.reason) == ("abort", "wrong day")


@pytest.mark.parametrize(("rollout", "how"), [("r-done", "promoted"), ("r-back", "rolled back")])
def test_one_that_is_over_is_not_asked(tmp_path, rollout, how):
    journal, _ = world(tmp_path)
    with pytest.raises(UsageError, match=rf"GP943 rollout {rollout} is over \({how}\)\nhint: see `gopub rollback`"):
        ask_abort(journal, rollout, "too late")
    assert asked(journal, rollout) == ()


@pytest.mark.parametrize(("long", "kept"), [
    (LONGEST_REASON, "x" * LONGEST_REASON),
    (LONGEST_REASON + 1, "x" * (LONGEST_REASON - 1) + "…"),
    (2_000_000, "x" * (LONGEST_REASON - 1) + "…"),
])  # fmt: skip
def test_of_a_reason_that_is_a_book_the_beginning_is_kept_and_it_goes_back_all_the_same(tmp_path, long, kept):
    journal, _ = world(tmp_path)
    ask_abort(journal, "r-bake", "x" * long)
    [one] = asked(journal, "r-bake")
    assert (one.what, one.reason) == ("abort", kept)
