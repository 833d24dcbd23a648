"""`gopub abort` is a word in the journal for a rollout that is under way, and refused for one that is over."""

from __future__ import annotations

import pytest

from gopub.errors import UsageError
from gopub.journal.reading import asked
from gopub.usecases.ask import ask_abort
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
