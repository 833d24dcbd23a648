"""What is only shown in Prefect keeps no rollout: without a server there is a line in the log, and that is all."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running

from gopub.clock import ManualClock
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.store import Journal, open_journal
from gopub.plan.model import Outcome
from gopub.views.runs import over_since, unseated
from tasks import marks


async def health(client: PrefectClient) -> str:
    """What the server says of itself."""
    return str(await client.api_healthcheck())


async def test_where_no_client_can_be_had_it_gives_what_was_said(caplog):
    """Prefect finds no server at all: it fails before there is a client to ask by."""
    with caplog.at_level(logging.WARNING), temporary_settings(restore_defaults={PREFECT_API_URL}):
        assert await marks.from_prefect("nothing is shown", health, "otherwise") == "otherwise"
    assert "nothing is shown: Prefect does not answer: " in caplog.text


async def test_what_the_work_gives_is_given_and_what_it_raises_is_a_line(caplog):
    async def fails(_: PrefectClient) -> str:
        raise LookupError("gone")

    async def works(client: PrefectClient) -> str:
        return str(client.api_url)

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert await marks.from_prefect("x", works, "") == "http://127.0.0.1:9/api/", "control"
        with caplog.at_level(logging.WARNING):
            assert await marks.from_prefect("it is not tagged", fails, "otherwise") == "otherwise"
    assert "it is not tagged: Prefect does not answer: gone" in caplog.text


async def test_outside_of_a_run_nothing_is_asked(caplog):
    """A plain call of the flow's function: Prefect would start a server of its own for the question."""
    with caplog.at_level(logging.WARNING), temporary_settings(restore_defaults={PREFECT_API_URL}):
        assert await marks.gone_on_with("hello", "lab") == ""
    assert "Prefect does not answer" not in caplog.text


SEATS = [
    Entry(n, "rollout/r-1", n, one, "", "", at, "")
    for n, (at, one) in enumerate([
        (100.0, ev.Opened("r-1", "hello", "prod", "b" * 64, "2.0.0")), (101.0, ev.SeatTaken(1, "a@one:1", run="first")),
        (200.0, ev.SeatTaken(2, "b@two:1", "recover", run="second")), (210.0, ev.StepPassed(0)),
    ], 1)
]  # fmt: skip


@pytest.mark.parametrize(
    ("run", "before", "gone"),
    [
        ("first", 260.0, True),
        ("first", 199.0, False),  # it may still be ending by itself
        ("second", 260.0, False),
        ("never sat there", 260.0, False),  # one that is on its way to the seat
    ],
)
def test_a_run_whose_seat_another_has_is_gone_after_a_while(run: str, before: float, gone: bool):
    assert unseated(SEATS, run, before) is gone


def test_who_sat_there_before_and_sits_there_again_is_not_gone():
    again = [*SEATS, Entry(5, "rollout/r-1", 5, ev.SeatTaken(3, "a@one:9", "resume", run="first"), "", "", 300.0, "")]
    assert not unseated(again, "first", 400.0)
    assert unseated(again, "second", 400.0)


class Runs:
    """The server's runs, as far as they are swept."""

    def __init__(self, *there: FlowRun) -> None:
        self.there, self.ended = there, dict[UUID, State]()

    async def read_flow_runs(self, **_: object) -> list[FlowRun]:
        return list(self.there)

    async def read_task_runs(self, **_: object) -> list[object]:
        return []

    async def set_flow_run_state(self, which: UUID, state: State, *, force: bool) -> None:
        assert force
        self.ended[which] = state


def two_runs(tmp_path: Path) -> tuple[Journal, FlowRun, FlowRun]:
    """A rollout whose seat a second run has taken."""
    journal = open_journal(str(tmp_path / "journal.db"), ManualClock())
    first, second = (
        FlowRun(id=uuid4(), flow_id=uuid4(), deployment_id=uuid4(), state=Running(), tags=["gopub", "rollout:r-1"])
        for _ in range(2)
    )
    seats = [ev.SeatTaken(n, f"{n}@one:1", run=str(run.id)) for n, run in enumerate((first, second), 1)]
    journal.append("rollout/r-1", 0, [ev.Opened("r-1", "hello", "prod", "b" * 64, "2.0.0"), *seats], actor="me")
    return journal, first, second


async def test_it_is_marked_as_crashed_and_who_drives_now_is_left_alone(tmp_path):
    journal, first, second = two_runs(tmp_path)
    runs = Runs(first, second)
    assert await marks._bury_unseated(cast("PrefectClient", runs), journal) == 1
    assert {which: state.type for which, state in runs.ended.items()} == {first.id: StateType.CRASHED}


async def test_one_that_was_suspended_has_not_crashed_where_another_goes_on(tmp_path):
    """Its process had no time to say so: Prefect was slow, and it ended."""
    journal, first, second = two_runs(tmp_path)
    journal.append("asked/r-1", 0, [ev.Asked("hold", "suspended", "ann", 1.0, run=str(first.id))], actor="ann")
    runs = Runs(first, second)
    assert await marks._bury_unseated(cast("PrefectClient", runs), journal) == 1
    assert [(which, state.name) for which, state in runs.ended.items()] == [(first.id, "Gone on with")]
    assert str(second.id) in str(runs.ended[first.id].message)


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({}, True),
        ({"parent_task_run_id": uuid4(), "deployment_id": None}, True),
        ({"deployment_id": None}, False),  # a command's own run: it lives
        ({"state": Running(timestamp=datetime.fromtimestamp(2000.0, UTC))}, False),  # tried again: it has a process
        ({"tags": ["gopub"]}, False),
        ({"tags": ["gopub", "rollout:r-1", "rollout:r-2"]}, False),  # one of them goes on
    ],
)
async def test_one_that_still_runs_ends_as_its_rollout_did_a_while_ago(tmp_path, monkeypatch, changes, ends):
    url = str(tmp_path / "journal.db")
    monkeypatch.setenv("GOPUB_JOURNAL", url)
    journal = open_journal(url, ManualClock(1000.0))
    opened = ev.Opened("r-1", "hello", "prod", "b" * 64, "2.0.0")
    journal.append("rollout/r-1", 0, [opened, ev.Closed(Outcome.ROLLED_BACK, "it was lost")], actor="me")
    journal.append("rollout/r-2", 0, [replace(opened, rollout="r-2")], actor="me")
    state = Running(timestamp=datetime.fromtimestamp(990.0, UTC))
    one = FlowRun(id=uuid4(), flow_id=uuid4(), deployment_id=uuid4(), state=state, tags=["gopub", "rollout:r-1"])
    runs = Runs(one.model_copy(update=changes))
    assert await marks.end_left(cast("PrefectClient", runs), journal) == int(ends)
    assert [state.name for state in runs.ended.values()] == ["Rolled back"] * ends


def test_a_rollout_is_over_once_a_while_has_passed():
    over = [*SEATS, Entry(5, "rollout/r-1", 5, ev.Closed(Outcome.PROMOTED, ""), "", "", 300.0, "")]
    assert over_since(over, 301.0) == 300.0
    assert (over_since(over, 300.0), over_since(SEATS, 900.0)) == (0.0, 0.0)
