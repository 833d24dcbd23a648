"""Enrolled hosts and a Prefect worker whose connections are Blocks alone, the key of orders under a passphrase.

One service goes through all of it, so the tests stand in the order of its life: a worker without the passphrase; 1.0.1
by a webhook; 1.1.0 by a webhook into a window that the schedule opens, past a step that somebody approves.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from deployments import server as prefect
from gopub.journal import events as ev
from gopub.journal.streams import stream_of
from gopub.plan.model import Outcome
from tests.e2e.conftest import aside
from tests.e2e.enrolled_ground import Enrolled
from tests.e2e.enrolled_worker import ASKS, VARIABLE, ByBlocks, by_blocks
from tests.flows.serverkit import PATIENCE, until

pytest_plugins = ("tests.e2e.enrolled_fixtures",)
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.go,
    pytest.mark.s3,
    pytest.mark.prefect,
    # gopub.process.spawn starts programs that outlive us, and subprocess warns when it forgets one of them.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
AHEAD = 75.0
"""Seconds until the window opens, at least, or thrice what 1.0.1 took: what waits for it is there by then."""
OF_THE_COMMIT = {"git", "bwrap", "go", "vet", "compile", "asm", "cgo", "link"}
"""Programs that handle what was pushed."""


@dataclass
class Watched:
    """What was seen of processes while somebody looked."""

    secret: str
    in_argv: set[str] = field(default_factory=set)
    in_environment: set[str] = field(default_factory=set)
    argv: set[str] = field(default_factory=set)

    def look(self) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                argv = (process / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                self.argv.add(Path(argv[0]).name)
                if any(self.secret in word for word in argv):
                    self.in_argv.add(" ".join(argv))
                if self.secret.encode() in (process / "environ").read_bytes():
                    self.in_environment.add(Path(argv[0]).name)


@asynccontextmanager
async def watching(secret: str) -> AsyncIterator[Watched]:
    """Look at every process, again and again."""
    seen = Watched(secret)

    async def on() -> None:
        while True:
            await asyncio.to_thread(seen.look)
            await asyncio.sleep(0.3)

    task = asyncio.create_task(on())
    try:
        yield seen
    finally:
        task.cancel()


@pytest.fixture(scope="module")
def house(enrolled: Enrolled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ByBlocks]:
    with by_blocks(enrolled, tmp_path_factory.mktemp("worker")) as made:
        yield made


@pytest.fixture(scope="module")
def forgetful(house: ByBlocks) -> dict[str, Any]:
    """The run of 1.0.0 on a worker whose environment has no passphrase."""

    async def deliver() -> dict[str, Any]:
        worker = await house.work("forgetful")
        commit = await house.tagged("1.0.0")
        [run] = await house.started(await house.hook(commit, "1.0.0", "d-0"))
        ended = await house.stack.ended(run["id"])
        await prefect.stop(worker)
        return ended

    return aside(deliver)


@pytest.fixture(scope="module")
def first(house: ByBlocks, forgetful: dict[str, Any]) -> tuple[dict[str, Any], Watched]:
    """The run of 1.0.0 on one that has it, and what was seen of processes meanwhile."""

    async def deliver() -> tuple[dict[str, Any], Watched]:
        await house.work("worker", **{VARIABLE: house.passphrase})
        commit = await house.tagged("1.0.1")
        async with watching(house.passphrase) as seen:
            [run] = await house.started(await house.hook(commit, "1.0.1", "d-1"))
            return await house.stack.ended(run["id"]), seen

    return aside(deliver)


async def test_a_worker_without_the_passphrase_says_which_variable_it_misses(house: ByBlocks, forgetful):
    assert forgetful["state_type"] == "FAILED"
    said = forgetful["state"]["message"]
    assert "GP142" in said, said
    assert VARIABLE in said, said
    assert str(house.key) in said, said
    runs = await house.stack.ask("POST", "/flow_runs/filter", json={})
    assert [one["name"] for one in runs if "1.0.0" in one["name"]] == ["deploy-clock-v1.0.0-prod"], "nothing was built"


async def test_a_push_reaches_enrolled_hosts_by_blocks_alone(house: ByBlocks, first):
    run, _ = first
    assert (run["state_type"], run["state"]["name"]) == ("COMPLETED", "Promoted"), run["state"]
    assert await house.every_host_runs("1.0.1")
    assert await house.answers() == "1.0.1"


async def test_the_passphrase_is_on_no_command_line_and_unknown_to_what_works_on_the_commit(house: ByBlocks, first):
    _, seen = first
    assert seen.argv & OF_THE_COMMIT, "control: what the run started was looked at"
    assert not seen.in_argv
    assert any(name.startswith("python") for name in seen.in_environment), "control: a worker's own process is found"
    assert not seen.in_environment & OF_THE_COMMIT


async def test_the_schedule_opens_the_window_and_somebody_approves(house: ByBlocks, first):
    run, _ = first
    took = when(run, "end") - when(run, "start")
    opens = (int(time.time() + max(AHEAD, 3 * took)) // 60 + 1) * 60.0
    hours = [time.strftime("%H:%M", time.gmtime(moment)) for moment in (opens, opens + 7200)]
    commit = await house.tagged("1.1.0", window=f"{hours[0]}-{hours[1]} UTC", steps=ASKS)
    [begun] = await house.started(await house.hook(commit, "1.1.0", "d-2"))

    async def waits() -> bool:
        return bool((await house.stack.ask("GET", f"/flow_runs/{begun['id']}"))["state"]["name"] == "Waiting")

    await until("it waits for its window", waits, within=opens - time.time())
    rollout = house.known().active
    assert await house.every_host_runs("1.0.1"), "nothing is switched before"

    async def over() -> Any:
        return house.state(rollout).closed

    async with house.traffic() as traffic:
        form = await house.asked()
        state = house.state(rollout)
        assert sum(host.track == "canary" for host in state.hosts.values()) == 1, "the canary alone was switched"
        said = {"decision": "approve", "name": "ann", "reason": "looks good"}
        answer = await house.stack.ask("POST", f"/flow_runs/{form['id']}/resume", json={"run_input": said})
        assert answer["status"] == "ACCEPT", answer
        assert (await until("1.1.0 is over", over, within=PATIENCE)).outcome is Outcome.PROMOTED
    assert (traffic.counts.lost, dict(traffic.counts.classes)) == (0, {"2xx": traffic.counts.sent})
    assert await house.every_host_runs("1.1.0")
    entries = house.journal().read(stream_of(rollout))
    [woken] = [entry for entry in entries if isinstance(entry.event, ev.Woken)]
    assert woken.at >= opens
    await house.wakes()


async def test_the_passphrase_is_in_nothing_that_the_server_keeps(house: ByBlocks, first):
    """After all of it: the database, the logs of server, worker and `gopub serve`, journal and kit."""
    kept = [await house.stack.ask("POST", f"/{what}/filter", json={}) for what in
            ("logs", "artifacts", "flow_runs", "task_runs", "block_documents")]  # fmt: skip
    told = json.dumps(kept)
    assert VARIABLE in told, "control: the Block is there, with the variable's name"
    assert house.passphrase not in told
    files = [path for path in house.folder.rglob("*") if path.is_file()]
    assert any(VARIABLE.encode() in contents(path) for path in files), "control: the kit names the variable"
    assert [path for path in files if house.passphrase.encode() in contents(path)] == []


def contents(path: Path) -> bytes:
    """What lies there; one that is let go of takes files of its own away."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def when(run: dict[str, Any], what: str) -> float:
    return datetime.fromisoformat(run[f"{what}_time"]).timestamp()
