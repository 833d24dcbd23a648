"""What a real Prefect server shows of a rollout, and what its Pause, Suspend and Resume do to it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from gopub.clock import SystemClock
from gopub.journal import events as ev
from gopub.journal.reading import read_state
from gopub.journal.state import State
from gopub.journal.store import Journal, open_journal
from gopub.journal.streams import stream_of
from gopub.plan.model import Outcome
from gopub.usecases.ask import ask, standing_hold
from tasks import marks
from tests.flows.memory import BAKE
from tests.flows.serverkit import CLOCK, Stack, changes, run_sync, start, until

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]


class Shown:
    """The server, a worker that rolls out in memory, and the journal that both write."""

    def __init__(self, stack: Stack, journal: Journal, bad: Path) -> None:
        self.stack, self.journal, self.bad = stack, journal, bad

    async def baking(self, env: str, flow: str = "rollout") -> str:
        """Start a rollout as the form does; gives its run once it bakes."""
        one = await self.stack.deployment(f"{flow}/{flow}")
        parameters = {"env": env, "version": "2", "project": "/nowhere", "app": "hello"}
        if flow == "deploy":
            parameters["repository"] = "/nowhere"
        made = await self.stack.ask(
            "POST", f"/deployments/{one['id']}/create_flow_run", json={"parameters": parameters}
        )

        async def bakes() -> bool:
            state = self.state(env)
            return bool(state.reached or state.waiting)

        await until(f"{env} bakes", bakes)
        return str(made["id"])

    def state(self, env: str) -> State:
        return read_state(self.journal, f"r-{env}")

    def events(self, env: str) -> list[ev.Event]:
        return [entry.event for entry in self.journal.read(stream_of(f"r-{env}"))]

    async def set_state(self, run: str, kind: str, name: str) -> None:
        body = {"state": {"type": kind, "name": name}, "force": True}
        await self.stack.ask("POST", f"/flow_runs/{run}/set_state", json=body)

    async def run(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.stack.ask("GET", f"/flow_runs/{run}")
        return found

    async def kind(self, what: str, which: str) -> str:
        """The type of the state of a flow run or a task run."""
        return str((await self.stack.ask("GET", f"/{what}/{which}"))["state_type"])

    async def held(self, env: str) -> ev.Held:
        async def written() -> Any:
            return self.state(env).held

        held: ev.Held = await until(f"{env} is held", written, within=30)
        return held

    async def closed(self, env: str, within: float = 90) -> ev.Closed:
        async def over() -> Any:
            return self.state(env).closed

        closed: ev.Closed = await until(f"{env} is over", over, within)
        return closed

    async def named(self, run: str, *names: str, within: float = 60) -> dict[str, Any]:
        async def so() -> Any:
            found = await self.run(run)
            return found if found["state"]["name"] in names else None

        found: dict[str, Any] = await until(f"{run} is {names}", so, within)
        return found

    async def not_passed(self, env: str) -> None:
        """Well past the bake nothing has grown, and it is still looked at."""
        await CLOCK.sleep(BAKE * 2)
        state = self.state(env)
        assert (state.passed, state.back, state.closed) == (frozenset(), None, None)
        seated = self.journal.seated("hello", env)
        assert seated and seated[1], "the canary is guarded"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("held")
    bad = folder / "bad"
    bad.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOPUB_JOURNAL", str(folder / "journal.db"))
        patch.setenv("GOPUB_TEST_BAD", str(bad))
        stack: Stack = run_sync(start(folder))
        try:
            changes(run_sync(stack.gopub("setup", "--server", stack.server.ui, "--json")))
            run_sync(in_memory(stack))
            run_sync(stack.worker("worker"))
            yield Shown(stack, open_journal(os.environ["GOPUB_JOURNAL"], SystemClock()), bad)
        finally:
            run_sync(stack.stop())


async def in_memory(stack: Stack) -> None:
    for flow in ("rollout", "deploy"):
        one = await stack.deployment(f"{flow}/{flow}")
        await stack.ask("PATCH", f"/deployments/{one['id']}", json={"entrypoint": f"tests/flows/memory.py:{flow}"})


async def test_what_nobody_holds_is_promoted_and_its_run_bears_its_tags(shown: Shown):
    """The control of all that follows."""
    run = await shown.baking("plain")
    assert (await shown.closed("plain")).outcome is Outcome.PROMOTED
    ended = await shown.stack.ended(run)
    assert ended["state"]["name"] == "Promoted"
    assert set(ended["tags"]) == {"gopub", "app:hello", "env:plain", "rollout:r-plain"}
    tasks = await shown.stack.ask("POST", "/task_runs/filter", json={"flow_runs": {"id": {"any_": [run]}}})
    assert {tag for one in tasks for tag in one["tags"]} == set()


async def test_suspend_holds_and_resume_goes_on(shown: Shown):
    run = await shown.baking("suspended")
    await shown.set_state(run, "PAUSED", "Suspended")
    held = await shown.held("suspended")
    assert held.by == "Prefect"
    assert "was suspended in Prefect" in held.reason
    await shown.not_passed("suspended")
    assert (await shown.run(run))["state"]["name"] == "Suspended"
    await shown.stack.ask("POST", f"/flow_runs/{run}/resume", json={})
    assert (await shown.closed("suspended", within=150)).outcome is Outcome.PROMOTED
    assert any(isinstance(event, ev.Resumed) for event in shown.events("suspended"))
    await shown.named(run, "Promoted", "Gone on with")


async def test_suspend_as_prefects_own_command_does_it_holds_and_resume_goes_on(shown: Shown):
    """Such a run is scheduled again when it is resumed: the same run, in another process."""
    run = await shown.baking("rescheduled")
    body = {"state": {"type": "PAUSED", "name": "Suspended", "state_details": {"pause_reschedule": True}}}
    await shown.stack.ask("POST", f"/flow_runs/{run}/set_state", json=body)
    await shown.held("rescheduled")
    await shown.not_passed("rescheduled")
    await shown.stack.ask("POST", f"/flow_runs/{run}/resume", json={})
    assert (await shown.closed("rescheduled", within=150)).outcome is Outcome.PROMOTED
    await shown.named(run, "Promoted")


async def test_pause_holds_and_resume_goes_on_in_the_same_process(shown: Shown):
    run = await shown.baking("paused")
    await shown.set_state(run, "PAUSED", "Paused")
    await shown.held("paused")
    await shown.not_passed("paused")
    await shown.stack.ask("POST", f"/flow_runs/{run}/resume", json={})
    assert (await shown.closed("paused")).outcome is Outcome.PROMOTED
    await shown.named(run, "Promoted")
    assert sum(isinstance(event, ev.SeatTaken) for event in shown.events("paused")) == 1


async def test_a_suspended_run_takes_a_bad_canary_back(shown: Shown):
    run = await shown.baking("bad")
    await shown.set_state(run, "PAUSED", "Suspended")
    await shown.held("bad")
    (shown.bad / "bad").touch()
    assert (await shown.closed("bad", within=30)).outcome is Outcome.ROLLED_BACK
    await shown.named(run, "Rolled back", within=150)


async def test_a_hold_by_command_stands_on_the_runs_page(shown: Shown):
    run = await shown.baking("asked")
    ask(shown.journal, "r-asked", "hold", "lunch", actor="ann", clock=CLOCK)
    found = await shown.named(run, "Held", within=20)
    assert "held by ann since" in found["state"]["message"]
    assert ": lunch" in found["state"]["message"]
    assert found["state_type"] == "RUNNING"
    ask(shown.journal, "r-asked", "resume", "", actor="ann", clock=CLOCK)
    assert (await shown.closed("asked")).outcome is Outcome.PROMOTED
    await shown.named(run, "Promoted")


async def test_what_waits_is_not_over_and_ends_with_its_rollout(shown: Shown):
    run = await shown.baking("waits")
    found = await shown.named(run, "Waiting")
    assert found["state_type"] == "PAUSED"
    assert "waits for the window 00:00-00:01 UTC" in found["state"]["message"]
    assert standing_hold(shown.journal, "r-waits") is None
    ask(shown.journal, "r-waits", "abort", "no longer", actor="ann", clock=CLOCK)
    assert (await shown.closed("waits", within=150)).outcome is Outcome.WITHDRAWN
    await shown.named(run, "Withdrawn", within=150)


async def test_a_killed_run_leaves_nothing_running_and_both_runs_are_linked(shown: Shown):
    run = await shown.baking("killed")
    [seat] = [event for event in shown.events("killed") if isinstance(event, ev.SeatTaken)]
    assert seat.run == run
    os.kill(int(seat.driver.rpartition(":")[2]), signal.SIGKILL)
    assert (await shown.closed("killed", within=200)).outcome is Outcome.PROMOTED
    seats = [event for event in shown.events("killed") if isinstance(event, ev.SeatTaken)]
    assert len({event.run for event in seats}) == 2
    for event in seats:
        wanted = {"flow_runs": {"id": {"any_": [event.run]}}, "artifacts": {"key": {"any_": ["hello-killed-runs"]}}}
        [page] = await shown.stack.ask("POST", "/artifacts/filter", json=wanted)
        assert all(event.run in page["data"] for event in seats)
        assert "rollout:r-killed" in (await shown.run(event.run))["tags"]

    async def none_runs() -> bool:
        wanted = {"flow_runs": {"id": {"any_": [run]}}, "task_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
        return not await shown.stack.ask("POST", "/task_runs/filter", json=wanted)

    assert (await shown.run(run))["state_type"] == "CRASHED"
    await until("no task of the killed run runs", none_runs, within=200)


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
