"""Only the run that a worker executes ends in a state of its own name; who awaits a flow gets the plain result."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from prefect.client.schemas.objects import StateType
from prefect.states import State

from tasks import ends
from tasks.marks import ending

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
    assert (state.type, state.name, state.message, state.data) == (StateType.FAILED, "Rolled back", "errors", RESULT)


async def test_who_asks_for_a_rollback_is_not_told_that_it_failed(monkeypatch):
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "the-run")
    state = await ends.ended(RESULT, wanted="rolled back")
    assert isinstance(state, State)
    assert (state.type, state.name) == (StateType.COMPLETED, "Rolled back")


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ("promoted", StateType.COMPLETED),
        ("nothing to do", StateType.COMPLETED),
        ("mended", StateType.COMPLETED),
        ("rolled back", StateType.FAILED),
        ("withdrawn", StateType.FAILED),
        ("refused", StateType.FAILED),
        ("failed", StateType.FAILED),
    ],
)
def test_red_is_where_the_release_did_not_stay(outcome: str, kind: StateType):
    state = ending(outcome, "why")
    assert (state.type, state.name, state.message) == (kind, outcome.capitalize(), "why")


def test_the_seat_is_free_before_the_server_is_told_how_it_ended():
    """A server that was silent kept the seat for seconds, and of a rollout that waits for as long as it was silent."""
    tree = ast.parse((Path(__file__).parents[2] / "flows" / "rollout.py").read_text("utf-8"))
    within = {name for block in ast.walk(tree) if isinstance(block, ast.AsyncWith) for name in called(block)}
    assert {"must_wait", "go_back", "report"} <= within, "control: what needs the seat has it"
    assert "ended" in called(tree) - within


def called(tree: ast.AST) -> set[str]:
    """The methods that are called in it."""
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {func.attr for func in calls if isinstance(func, ast.Attribute)}
