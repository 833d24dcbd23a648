"""What a real Prefect server still shows as running inside of what has ended.

These come before the stories by name: what they mark, they mark on the whole server.
"""

from __future__ import annotations

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks import marks
from tests.flows.held.shown import Shown

pytestmark = pytest.mark.prefect


async def test_what_runs_inside_a_run_that_has_ended_is_marked_and_nothing_else(shown: Shown, monkeypatch):
    monkeypatch.setattr(marks, "SETTLED", -5.0)
    with temporary_settings({PREFECT_API_URL: shown.stack.server.url}):
        dead, alive = await family(shown, "CRASHED"), await family(shown, "RUNNING")
        assert await marks.sweep() >= 3
    assert [await shown.kind(what, which) for what, which in dead] == ["CRASHED"] * 4
    assert [await shown.kind(what, which) for what, which in alive] == ["RUNNING"] * 4


async def family(shown: Shown, kind: str) -> list[tuple[str, str]]:
    """A flow run in this state with a subflow that runs, and a task that runs in that: outermost first."""
    flow = await shown.stack.ask("POST", "/flows/", json={"name": "family"})

    async def flow_run(parent: str | None, tags: list[str]) -> str:
        body = {"flow_id": flow["id"], "tags": tags, "parent_task_run_id": parent, "state": {"type": "RUNNING"}}
        made = await shown.stack.ask("POST", "/flow_runs/", json=body)
        return str(made["id"])

    async def task_run(inside: str) -> str:
        body = {"flow_run_id": inside, "task_key": "t", "dynamic_key": "0", "state": {"type": "RUNNING"}}
        made = await shown.stack.ask("POST", "/task_runs/", json=body)
        return str(made["id"])

    root = await flow_run(None, ["gopub"])
    stand_in = await task_run(root)
    inner = await flow_run(stand_in, [])
    baking = await task_run(inner)
    if kind != "RUNNING":
        await shown.set_state(root, kind, kind.capitalize())
    return [("flow_runs", root), ("task_runs", stand_in), ("flow_runs", inner), ("task_runs", baking)]
