"""Every way to start a flow, on real parts: webhook, REST API, the UI's API, Prefect's command, the schedule, Cancel.

One service goes through all of it, so the tests stand in the order of its life: 1.0.0 comes by a webhook, 1.1.0 by
POST /v1/deploy, 1.0.0 again by the UI's form, back by `prefect deployment run`; 1.2.0 is cancelled while it bakes.
Beside it, 1.1.0 waits for the window of another environment.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from gopub.journal import events as ev
from gopub.journal.streams import stream_of
from gopub.lab.lab import Lab
from gopub.plan.model import Outcome
from tests.e2e.conftest import aside
from tests.e2e.trigger_ground import APP, HOOK, Triggers, triggers_on
from tests.flows.serverkit import PATIENCE, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.go,
    pytest.mark.s3,
    pytest.mark.prefect,
    # gopub.process.spawn starts programs that outlive us, and subprocess warns when it forgets one of them.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
TRACE = "0af7651916cd43dd8448eb211c80319c"
AHEAD = 180.0
"""Seconds until the window opens, at least: the rollout that waits for it must be there by then, which it is after what
takes as long as the first release took, and a little; five times that on a machine that is slow."""


@pytest.fixture(scope="module")
def triggers(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triggers]:
    with triggers_on(lab, tmp_path_factory.mktemp("triggers")) as made:
        yield made


@pytest.fixture(scope="module")
def first(triggers: Triggers) -> dict[str, Any]:
    """The run of 1.0.0, started by a delivery that came twice, after one with a wrong token."""

    async def deliver() -> dict[str, Any]:
        commit = await triggers.tag("1.0.0")
        refused = await triggers.hook(commit, "1.0.0", "d-0", token=HOOK[::-1])
        assert (refused.status_code, refused.json()["code"]) == (401, "GP938")
        assert await triggers.stack.runs_of("deploy/deploy") == []
        taken = await triggers.hook(commit, "1.0.0", "d-1")
        assert (taken.status_code, taken.json()["status"]) == (202, "queued"), taken.text
        runs = await triggers.started(taken)
        assert (await triggers.shown(taken.headers["location"]))["status"] == "started"
        again = await triggers.hook(commit, "1.0.0", "d-1")
        assert (again.status_code, again.json()["status"]) == (200, "repeated")
        assert again.json()["runs"] == runs
        return await triggers.stack.ended(runs[0]["id"])

    return aside(deliver)


@pytest.fixture(scope="module")
def opens(triggers: Triggers, first: dict[str, Any]) -> float:
    """When the window of `night` opens, for which 1.1.0 waits from now on."""
    took = _when(first, "end") - _when(first, "start")
    at = (int(time.time() + max(AHEAD, 5 * took)) // 60 + 1) * 60.0
    hours = [time.strftime("%H:%M", time.gmtime(moment)) for moment in (at, at + 7200)]
    aside(lambda: triggers.tag("1.1.0", window=f"{hours[0]}-{hours[1]} UTC"))
    return at


@pytest.fixture(scope="module")
def second(triggers: Triggers, opens: float) -> dict[str, Any]:
    """The run of 1.1.0, asked for twice with the same key, under traffic."""

    async def ask() -> dict[str, Any]:
        body = {"app": APP, "version": "1.1.0", "env": "prod", "reason": "hotfix 4711"}
        async with triggers.traffic() as traffic:
            taken, again = await triggers.deploy(body, "k-1", TRACE), await triggers.deploy(body, "k-1", "f" * 32)
            assert (taken.status_code, again.json()) == (202, taken.json()), taken.text
            await triggers.stack.ended(taken.json()["id"])
        assert (traffic.counts.lost, dict(traffic.counts.classes)) == (0, {"2xx": traffic.counts.sent})
        shown: dict[str, Any] = await triggers.shown(taken.headers["location"])
        return shown

    return aside(ask)


@pytest.fixture(scope="module")
def waiting(triggers: Triggers, second: dict[str, Any], opens: float) -> str:
    """The rollout of 1.1.0 that waits for the window of `night`, started from the UI's form; its id."""

    async def begin() -> str:
        started = await triggers.from_the_form("rollout", app=APP, env="night", version="1.1.0", project=folder)

        async def waits() -> bool:
            return bool((await triggers.stack.ask("GET", f"/flow_runs/{started}"))["state"]["name"] == "Waiting")

        await until("its run says that it waits", waits, within=opens - time.time())
        await triggers.stack.ended(await triggers.from_the_form("promote"))  # too early: it lets it wait
        return triggers.known("night").active

    folder = triggers.last_folder()
    assert time.time() < opens, "the machine was too slow for this test's window"
    return aside(begin)


async def test_a_tag_push_is_built_proven_and_rolled_out(triggers: Triggers, first: dict[str, Any]):
    assert (first["state_type"], first["state"]["name"]) == ("COMPLETED", "Promoted"), first["state"]
    assert first["name"] == "deploy-clock-v1.0.0-prod"
    assert len(await triggers.stack.runs_of("deploy/deploy")) == 1
    assert await triggers.runs("1.0.0"), "every host runs the signed bytes that MinIO holds"
    assert await triggers.answers() == "1.0.0"


async def test_its_pages_are_in_prefect(triggers: Triggers, first: dict[str, Any]):
    found = await triggers.stack.ask("POST", "/artifacts/filter", json={})  # in the order of their random ids
    pages = {one["key"]: one for one in sorted(found, key=lambda one: one["created"])}
    kinds = ("plan", "rollout", "progress")
    assert set(pages) == {"clock-release", *(f"clock-prod-{kind}" for kind in kinds)}
    assert all(one["description"] for one in pages.values())
    digests = set(re.findall(r"^([0-9a-f]{64})  linux/amd64  ", pages["clock-release"]["data"], re.MULTILINE))
    assert (await triggers.release("1.0.0")).targets["linux/amd64"].archive.digest in digests
    shown = pages["clock-prod-rollout"]["data"]
    assert shown.startswith("## promoted at ")
    assert "PROMOTE by rule 7" in shown
    assert "](data:image/svg+xml;base64," in shown
    _, _, hosts = shown.partition(
        "| host | runs | track | new release | last error |\n| --- | --- | --- | --- | --- |\n"
    )
    rows = [line.split(" | ") for line in hosts.partition("\n\n")[0].splitlines()]
    assert {(row[1].split()[0], row[2]) for row in rows} == {("1.0.0", "stable")}
    assert float(pages["clock-prod-progress"]["data"]) == 100


async def test_every_parameter_of_a_form_is_explained(triggers: Triggers):
    for name in ("deploy", "release", "rollout", "promote", "approve", "rollback", "recover"):
        shown = (await triggers.stack.deployment(f"{name}/{name}"))["parameter_openapi_schema"]["properties"]
        assert [field for field, shape in shown.items() if not shape.get("description")] == [], name


async def test_the_api_deploys_and_the_same_key_gives_the_same_run(triggers: Triggers, second: dict[str, Any]):
    assert (second["state"], second["final"], second["app"], second["env"]) == ("Promoted", True, APP, "prod")
    assert len(await triggers.stack.runs_of("deploy/deploy")) == 2
    assert await triggers.runs("1.1.0")
    assert await triggers.answers() == "1.1.0"


async def test_one_trace_is_found_wherever_a_release_went(triggers: Triggers, second: dict[str, Any]):
    found = await triggers.traces("1.1.0", second["rollout"], second["id"])
    assert found == {place: {TRACE} for place in found}, "from who asked for it to the process that serves and the edge"
    assert len(found) >= 6
    first = await triggers.traces("1.0.0", second["rollout"], second["id"])
    assert first["the provenance in the store"] != {TRACE}, "control: another release is in another one"


async def test_the_form_rolls_out_and_prefects_command_rolls_back(triggers: Triggers, waiting: str):
    async with triggers.traffic() as traffic:
        started = await triggers.from_the_form("rollout", app=APP, env="prod", version="1.0.0")
        ended = await triggers.stack.ended(started)
        assert ended["state"]["name"] == "Promoted", ended["state"]
        assert await triggers.runs("1.0.0")
        words = ("-p", f"app={APP}", "-p", "env=prod", "-p", "reason=by hand")
        await triggers.prefect("deployment", "run", "rollback/rollback", *words)
        [back] = await triggers.stack.runs_of("rollback/rollback")
        ended = await triggers.stack.ended(back["id"])
    assert (ended["state"]["name"], ended["state"]["message"]) == ("Rolled back", "by hand")
    assert await triggers.runs("1.1.0")
    assert (traffic.counts.lost, dict(traffic.counts.classes)) == (0, {"2xx": traffic.counts.sent})


async def test_cancel_takes_a_baking_canary_back(triggers: Triggers, second: dict[str, Any]):
    commit = await triggers.tag("1.2.0", bake="10m")

    async def bakes() -> str:
        active = triggers.known().active
        return active if active and triggers.state(active).reached else ""

    async with triggers.traffic() as traffic:
        [run] = await triggers.started(await triggers.hook(commit, "1.2.0", "d-2"))
        rollout = await until("1.2.0 bakes", bakes)
        assert (await triggers.table())["canary"], "there is something to guard"
        cancelling = {"state": {"type": "CANCELLING"}}
        await triggers.stack.ask("POST", f"/flow_runs/{run['id']}/set_state", json=cancelling)
        ended = await triggers.stack.ended(run["id"])
    assert ended["state_type"] == "CANCELLED"
    closed = triggers.state(rollout).closed
    assert closed and (closed.outcome, closed.owed) == (Outcome.WITHDRAWN, ()), closed
    assert (await triggers.table()).get("canary") is None
    assert await triggers.runs("1.1.0")
    assert (await triggers.release("1.2.0")).release_id not in triggers.known().quarantine
    assert (traffic.counts.lost, dict(traffic.counts.classes)) == (0, {"2xx": traffic.counts.sent})
    entries = triggers.journal().read(stream_of(rollout))
    assert sum(isinstance(entry.event, ev.SeatTaken) for entry in entries) == 1, "nobody else had to end it"


async def test_what_waits_is_promoted_inside_the_window_only(triggers: Triggers, waiting: str, opens: float):
    async def promoted() -> Any:
        return triggers.state(waiting).closed

    closed = await until("the window's rollout is over", promoted, within=opens - time.time() + PATIENCE)
    assert closed.outcome is Outcome.PROMOTED, closed
    entries = triggers.journal().read(stream_of(waiting))
    [woken] = [entry for entry in entries if isinstance(entry.event, ev.Woken)]
    assert woken.at >= opens
    since = next(entry.at for entry in entries if isinstance(entry.event, ev.Waiting))
    runs = [one for one in await triggers.stack.runs_of("promote/promote") if one["state_type"] == "COMPLETED"]
    early = [one for one in runs if since < _when(one, "start") and _when(one, "end") < opens]
    assert early, "the control: a run looked at it before, and let it wait"
    for wake in await triggers.wakes():
        assert 0 <= datetime.fromisoformat(wake["expected_start_time"]).timestamp() - opens <= 2, "a run for its moment"
    assert await triggers.runs("1.1.0", "night")


def _when(run: dict[str, Any], what: str) -> float:
    return datetime.fromisoformat(run[f"{what}_time"]).timestamp()
