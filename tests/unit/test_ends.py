"""Only the run that a worker executes ends in a state of its own name; who awaits a flow gets the plain result."""

from __future__ import annotations

from prefect.states import State

from tasks import ends

RESULT = {"outcome": "rolled back", "reason": "errors"}


async def test_who_awaits_the_flow_gets_the_result_itself(monkeypatch):
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    assert await ends.ended(RESULT) is RESULT


async def test_a_flow_inside_the_one_that_the_worker_executes_gives_its_result(monkeypatch):
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "the-outer-run")
    monkeypatch.setattr(ends.flow_run, "get_id", lambda: "the-inner-run", raising=False)
    assert await ends.ended(RESULT) is RESULT


async def test_the_run_of_a_worker_is_named_after_its_outcome(monkeypatch):
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "the-run")  # as a worker tells the process that it starts for it
    state = await ends.ended(RESULT)
    assert isinstance(state, State)
    assert (state.name, state.message, state.data) == ("Rolled back", "errors", RESULT)
