"""The engine room on a real server: what doctor finds, how quiet an idle house is, when it wakes, and an update."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployments import server as prefect
from gopub.journal import events as ev
from gopub.journal.streams import stream_of
from gopub.plan.model import Outcome
from gopub.usecases.ask import ask
from gopub.views.notices import notices
from tests.flows.held.shown import Shown
from tests.flows.memory import SOON
from tests.flows.serverkit import CLOCK, PATIENCE, changes, until

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.timeout(3600),  # on a machine that is busy, several waits follow each other, each for minutes
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]


async def doctor(shown: Shown) -> dict[str, dict[str, str]]:
    """What is not well, by what is said of it."""
    done = await shown.stack.gopub("doctor", "--json")
    assert done.out, done.complaint
    told = json.loads(done.text)["findings"]
    assert done.code == (1 if any(one["severity"] == "broken" for one in told) else 0)
    return {one["says"]: one for one in told if one["severity"] != "ok"}


async def test_doctor_finds_on_a_real_server_what_was_planted_and_nothing_before(shown: Shown) -> None:
    async def well() -> bool:
        return not any(one["severity"] == "broken" for one in (await doctor(shown)).values())

    await until("nothing is broken", well)
    stack, recover = shown.stack, await shown.stack.deployment("recover/recover")
    path = f"/deployments/{recover['id']}/schedules/{recover['schedules'][0]['id']}"
    await stack.ask("PATCH", "/work_pools/gopub/queues/urgent", json={"is_paused": True})
    await stack.ask("PATCH", path, json={"active": False})
    await stack.ask("PATCH", "/v2/concurrency_limits/gopub-build", json={"active_slots": 2})
    [watchdog] = [one for one in await stack.ask("POST", "/automations/filter", json={}) if "is gone" in one["name"]]
    await stack.ask("PATCH", f"/automations/{watchdog['id']}", json={"enabled": False})
    found = await doctor(shown)
    resume = f"prefect deployment schedule resume recover/recover {recover['schedules'][0]['id']}"
    wanted = {
        "the queue urgent is paused: nothing of it is taken up": "prefect work-queue resume urgent --pool gopub",
        "the deployment recover does not run by itself: what waits or was lost is not gone on with": resume,
        "an automation is switched off": f"prefect automation delete --id {watchdog['id']} && gopub setup",
    }
    assert wanted == {says: found[says]["do"] for says in wanted}
    assert "places of the limit gopub-build are held by runs that are gone" in found
    await stack.ask("PATCH", "/work_pools/gopub/queues/urgent", json={"is_paused": False})
    await stack.ask("PATCH", "/v2/concurrency_limits/gopub-build", json={"active_slots": 0})
    await stack.ask("PATCH", f"/automations/{watchdog['id']}", json={"enabled": True})


async def net(shown: Shown, *, active: bool) -> None:
    """Begin or stop the run that looks after what was lost, every five minutes."""
    recover = await shown.stack.deployment("recover/recover")
    path = f"/deployments/{recover['id']}/schedules/{recover['schedules'][0]['id']}"
    await shown.stack.ask("PATCH", path, json={"active": active})


async def test_an_idle_house_has_two_runs_in_five_minutes(shown: Shown) -> None:
    """Before, it had 120: both ran every minute. What the server made for half an hour ahead is counted."""
    await net(shown, active=True)
    begin = datetime.fromtimestamp(CLOCK.now(), UTC) + timedelta(minutes=1)
    end = begin + timedelta(minutes=30)
    between = {"after_": begin.isoformat(), "before_": end.isoformat()}
    scheduled = {"tags": {"all_": ["gopub"]}, "state": {"type": {"any_": ["SCHEDULED"]}}}
    wanted = {"flow_runs": scheduled | {"expected_start_time": between}}

    async def made() -> Any:
        found = await shown.stack.ask("POST", "/flow_runs/filter", json=wanted)
        return found if len(found) >= 10 else None

    found = await until("the server made the next runs", made)
    assert len(found) <= 12, [one["name"] for one in found]


async def wakes_of(shown: Shown, env: str) -> list[dict[str, Any]]:
    tags = {"tags": {"all_": ["gopub-wake", f"env:{env}"]}}
    found: list[dict[str, Any]] = await shown.stack.ask("POST", "/flow_runs/filter", json={"flow_runs": tags})
    return found


async def waits_for_a_moment(shown: Shown) -> tuple[str, dict[str, Any]]:
    """An env that waits for its window, and the run that is to wake it: the first whose moment was not over before."""
    for env in SOON:
        await shown.baking(env)

        async def settled(env: str = env) -> bool:
            return bool(await wakes_of(shown, env)) or shown.state(env).closed is not None

        await until("a run for its moment, or its end", settled, 3 * PATIENCE)
        if found := await wakes_of(shown, env):
            return env, found[0]
    raise AssertionError("every window was open before anybody waited for it")


async def test_what_waits_for_its_window_is_woken_at_its_moment_by_one_run(shown: Shown) -> None:
    """The net is off meanwhile: it may look at that very moment, and wakes it as well."""
    await net(shown, active=False)
    try:
        await woken_at_its_moment(shown)
    finally:
        await net(shown, active=True)


async def woken_at_its_moment(shown: Shown) -> None:
    env, wake = await waits_for_a_moment(shown)
    [waiting] = [event for event in shown.events(env) if isinstance(event, ev.Waiting)]
    assert "waits for the window" in waiting.why
    moment = datetime.fromisoformat(wake["expected_start_time"]).timestamp()
    closed = await shown.closed(env)
    assert closed.outcome is Outcome.PROMOTED
    entries = shown.journal.read(stream_of(f"r-{env}"))
    [woken] = [entry for entry in entries if isinstance(entry.event, ev.Woken)]
    assert woken.at >= moment - 2
    [wake] = await wakes_of(shown, env)  # one run, however often it was asked for
    driving = await shown.run(seats(shown, env)[-1])
    begun, made = (datetime.fromisoformat(text) for text in (wake["start_time"], driving["created"]))
    assert begun <= made, "it was this run that woke it"


def seats(shown: Shown, env: str = "updated") -> list[str]:
    """The runs that drove it, in their order."""
    return [event.run for event in shown.events(env) if isinstance(event, ev.SeatTaken)]


async def ended_as_by_systemd(worker: prefect.Running) -> None:
    """All of them are asked at once, and killed if they do not end (TimeoutStopSec is 90 seconds)."""
    for signalled, patience in ((signal.SIGTERM, 90.0), (signal.SIGKILL, PATIENCE)):
        for pid in (*prefect.descendants(worker.pid), worker.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signalled)
        end = CLOCK.now() + patience
        while prefect.alive(worker):
            if CLOCK.now() >= end:
                break
            await CLOCK.sleep(0.5)
        else:
            return
    raise AssertionError(f"worker {worker.pid} outlives SIGKILL")


async def crashed(shown: Shown, run: str) -> bool:
    return await shown.kind("flow_runs", run) == "CRASHED"


async def test_a_rollout_outlives_the_update_of_its_worker_and_of_the_server(shown: Shown) -> None:
    """The worker ends with all that it started, as systemd ends it; then the server is another process."""
    first = await shown.baking("updated")
    ask(shown.journal, "r-updated", "hold", "an update", actor="ann", clock=CLOCK)
    await shown.held("updated")
    [old] = shown.stack.others
    await shown.stack.worker("newer")
    await ended_as_by_systemd(old)

    async def taken_over() -> bool:
        return len(seats(shown)) >= 2  # on a busy machine one of the new worker's may have to take over from another

    await until("another worker drives it", taken_over, 3 * PATIENCE)
    await shown.not_passed("updated")

    await prefect.stop(shown.stack.server.running)
    await shown.not_passed("updated")
    await shown.stack.start_server_again()
    ask(shown.journal, "r-updated", "resume", "", actor="ann", clock=CLOCK)
    assert (await shown.closed("updated")).outcome is Outcome.PROMOTED
    second = seats(shown)[-1]
    await shown.named(second, "Promoted")
    await until("the run of the stopped worker does not run for ever", lambda: crashed(shown, first), 3 * PATIENCE)
    await shown.described(second, "hello-updated-rollout", "promoted at ")
    wanted = sorted(one.name for one in notices(shown.journal.read(stream_of("r-updated"))))

    async def all_told() -> bool:
        return sorted(await shown.told("r-updated")) == wanted

    await until("each of its events is there, once", all_told, 3 * PATIENCE)
    assert changes(await shown.stack.gopub("setup", "--server", shown.stack.server.ui, "--json"))
