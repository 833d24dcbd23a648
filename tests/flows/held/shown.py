"""A real Prefect server with a worker that rolls out in memory: what the stories of held runs share."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from uuid import uuid4

from gopub.journal import events as ev
from gopub.journal.reading import read_state
from gopub.journal.state import State
from gopub.journal.store import Journal
from gopub.journal.streams import stream_of
from tests.flows.memory import BAKE, bakes_of
from tests.flows.serverkit import CLOCK, PATIENCE, Stack, until

OF_THE_SERVER = {"gopub.runs", "gopub.pages"}
"""The loggers that warn where Prefect does not answer in time."""


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
        begun = {"parameters": parameters, "idempotency_key": str(uuid4())}  # it may be asked twice, see `Stack.ask`
        made = await self.stack.ask("POST", f"/deployments/{one['id']}/create_flow_run", json=begun)

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

    async def run_count(self, run: str, at_least: int) -> bool:
        """Whether this run was begun so often."""
        return int((await self.run(run))["run_count"]) >= at_least

    async def logged(self, run: str, last: str) -> list[tuple[str, int]]:
        """A run's log, oldest line first, as text and level; waits for a line that begins with ``last``.

        Left out are warnings of a server that had no time just then: they are of this machine and not of the rollout.
        """
        wanted = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}

        async def there() -> list[tuple[str, int]] | None:
            kept = await self.stack.ask("POST", "/logs/filter", json=wanted)
            lines = [
                (one["message"], one["level"])
                for one in kept
                if not (one["level"] == logging.WARNING and one["name"] in OF_THE_SERVER)
            ]
            return lines if any(text.startswith(last) for text, _ in lines) else None

        found: list[tuple[str, int]] = await until(f"the log of {run} has {last!r}", there)
        return found

    async def described(self, run: str, key: str, says: str) -> str:
        """What a run's page of this key is about, once it says this."""
        wanted = {"flow_runs": {"id": {"any_": [run]}}, "artifacts": {"key": {"any_": [key]}}}

        async def so() -> str | None:
            found = await self.stack.ask("POST", "/artifacts/filter", json=wanted)
            return next((str(one["description"]) for one in found if says in one["description"]), None)

        described: str = await until(f"{key} of {run} says {says!r}", so)
        return described

    async def told(self, rollout: str) -> list[str]:
        """The names of the events on the server of a rollout, in the order in which they happened."""
        resource = {"id": [f"gopub.rollout.{rollout}"]}
        wanted = {"filter": {"event": {"prefix": ["gopub."]}, "resource": resource, "order": "ASC"}, "limit": 50}
        found = await self.stack.ask("POST", "/events/filter", json=wanted)
        return [str(one["event"]) for one in found["events"]]

    async def kind(self, what: str, which: str) -> str:
        """The type of the state of a flow run or a task run."""
        return str((await self.stack.ask("GET", f"/{what}/{which}"))["state_type"])

    async def held(self, env: str) -> ev.Held:
        async def written() -> Any:
            return self.state(env).held

        held: ev.Held = await until(f"{env} is held", written)
        return held

    async def closed(self, env: str, *, within: float = PATIENCE) -> ev.Closed:
        async def over() -> Any:
            return self.state(env).closed

        closed: ev.Closed = await until(f"{env} is over", over, within)
        return closed

    async def named(self, run: str, *names: str) -> dict[str, Any]:
        async def so() -> Any:
            found = await self.run(run)
            return found if found["state"]["name"] in names else None

        found: dict[str, Any] = await until(f"{run} is {names}", so, seen=lambda: self.seen(run))
        return found

    async def seen(self, run: str) -> str:
        """How a run came to stand as it does, for a failure to tell: its states, its log, and what the worker wrote."""
        now = await self.run(run)
        states = await self.stack.ask("GET", "/flow_run_states/", params={"flow_run_id": run})
        wanted = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_DESC", "limit": 25}
        kept = await self.stack.ask("POST", "/logs/filter", json=wanted)
        worker = self.stack.others[0].log.read_text(errors="replace").splitlines()
        return "\n".join([
            f"{now['name']} ({run}) was begun {now['run_count']} times; its states:",
            *(f"  {one['timestamp']} {one['type']} {one['name']}: {one['message'] or ''}" for one in states),
            "its log, the newest line last:",
            *(f"  {one['timestamp']} {one['message']}" for one in reversed(kept)),
            "what the worker said of it:",
            *(f"  {line}" for line in worker if run in line or str(now["name"]) in line),
        ])  # fmt: skip

    async def not_passed(self, env: str) -> None:
        """Well past the bake nothing has grown, and it is still looked at."""
        await CLOCK.sleep(bakes_of(env)[0] + BAKE)
        state = self.state(env)
        assert (state.passed, state.back, state.closed) == (frozenset(), None, None)
        seated = self.journal.seated("hello", env)
        assert seated and seated[1], "the canary is guarded"
