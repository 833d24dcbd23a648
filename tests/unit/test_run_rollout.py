"""Which rollout a run drives is found in the journal from the id of the run that somebody started."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.engine import _with_rollout
from deployments.journal import SKEW, rollout_of_run
from deployments.starter import RunView
from gopub.clock import ManualClock
from gopub.journal import events as ev
from gopub.journal.store import Journal
from gopub.views.reading import rollout_of
from gopub.views.runs import SeatView, seats_of
from tests.unit.views_world import OTHER, RUN, moving, world

THIRD = "33333333-3333-4333-8333-333333333333"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Journal, ManualClock]:
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    return world(tmp_path)


def opened_at(journal: Journal, env: str) -> float:
    return journal.read(f"env/{env}")[0].at


def test_each_run_that_drove_it_names_it_and_no_other_does(here):
    journal, _ = here
    assert rollout_of(journal, "orders", "dev", (RUN,)) == "r-held"
    assert rollout_of(journal, "orders", "dev", (OTHER,)) == "r-held", "it went on with it"
    assert rollout_of(journal, "orders", "dev", (THIRD, OTHER)) == "r-held"
    assert rollout_of(journal, "orders", "dev", (THIRD,)) == ""
    assert rollout_of(journal, "orders", "prod", (OTHER,)) == "", "control: it drove none there"
    assert rollout_of(journal, "hello", "new", (RUN,)) == "", "its env is opened, and nobody sits there yet"
    assert rollout_of(journal, "nobody", "nowhere", (RUN,)) == ""


def test_the_newest_of_several_is_the_one(here):
    journal, _ = here
    journal.append("env/hello/lab", 2, [ev.EnvOpened("r-again", "c" * 64)], actor="ann")
    assert rollout_of(journal, "hello", "lab", (RUN,)) == "r-done", "the newest has no driver yet"
    assert rollout_of(journal, "hello", "lab", (RUN,), most=1) == "", "only the newest was looked at"
    assert rollout_of(journal, "hello", "lab", (RUN,), most=2) == "r-done"
    journal.append("rollout/r-again", 0, moving("r-again", "hello", "lab"), actor="ann")
    assert rollout_of(journal, "hello", "lab", (RUN,)) == "r-again"


def test_what_was_opened_before_the_run_was_made_is_not_looked_at(here):
    journal, _ = here
    at = opened_at(journal, "orders/dev")
    assert rollout_of(journal, "orders", "dev", (RUN,), at) == "r-held"
    assert rollout_of(journal, "orders", "dev", (RUN,), at + 0.5) == "", "control: later than that"
    assert rollout_of_run("orders", "dev", RUN, at + SKEW) == "r-held", "as far as clocks may differ"
    assert rollout_of_run("orders", "dev", RUN, at + SKEW + 0.5) == ""


def test_a_run_shows_as_it_sat_there_last():
    history = [ev.SeatTaken(1, "a"), ev.SeatTaken(2, "b", run=RUN), ev.SeatTaken(3, "c", "go on", OTHER),
               ev.SeatTaken(4, "d", "go on", RUN)]  # fmt: skip
    assert seats_of(history) == (SeatView(RUN, "go on", 4, "d"), SeatView(OTHER, "go on", 3, "c"))


async def test_rest_finds_it_where_the_run_bears_no_tag_and_heeds_the_tag_where_it_does(here):
    journal, _ = here
    run = RunView(RUN, "deploy-orders", "Running", "orders", "dev")
    assert (await _with_rollout(run)).rollout == "r-held"
    tagged = RunView(RUN, "deploy-orders", "Running", "orders", "dev", rollout="r-tagged")
    assert await _with_rollout(tagged) is tagged
    late = RunView(RUN, "deploy-orders", "Running", "orders", "dev", created="2024-01-01T00:00:00.000+00:00")
    assert opened_at(journal, "orders/dev") < 1_704_067_200.0
    assert (await _with_rollout(late)).rollout == "", "control: what is older than the run is not its own"


async def test_a_journal_that_does_not_answer_leaves_it_empty(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path))  # a folder
    run = RunView(RUN, "deploy-orders", "Running", "orders", "dev")
    assert (await _with_rollout(run)).rollout == ""
    assert "which rollout run" in caplog.text
