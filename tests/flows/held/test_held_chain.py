"""A chain of environments on a real server: what was promoted in one starts once in the next, whoever reads it."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments import server
from deployments.deliveries import Deliveries
from gopub.clock import new_token
from gopub.journal import events as ev
from gopub.journal.seat import Seat
from gopub.journal.store import Journal
from gopub.journal.streams import env_stream, stream_of
from gopub.plan.model import Outcome
from tests.flows.held.shown import Shown
from tests.flows.serverkit import PLAIN, until
from tests.support.rollout_world import NEW
from tests.unit.views_world import went_back

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.timeout(3600),  # on a machine that is busy, several waits follow each other, each for minutes
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
TOKEN = secrets.token_hex(16)
PROJECTS = f"""apps:
  hello:
    repository: /nowhere/hello.git
    project: /nowhere
    envs: [staging, prod, audit]
    rules:
      - when: {{source: gopub, type: rollout.promoted, match: {{env: staging, payload.version: "2*"}}}}
        env: prod
        reason: "{{payload.version}} was good in {{env}}"
      - {{when: {{source: gopub, type: rollout.promoted, match: {{env: prod}}}}, env: audit}}
tokens: {{ci: {{sha256: {hashlib.sha256(TOKEN.encode()).hexdigest()}}}}}
"""


async def delivery(serving: str, env: str) -> dict[str, Any]:
    """What `gopub serve` tells of the end in an env; empty while there is no row of it."""
    key = f"gopub:r-{env}:rollout.promoted"
    async with httpx.AsyncClient(base_url=serving, verify=PLAIN, trust_env=False) as http:
        answer = await http.get(f"/v1/deliveries/{key}", headers={"Authorization": f"Bearer {TOKEN}"})
    return dict(answer.json()) if answer.is_success else {}


async def sent_on(shown: Shown, env: str) -> list[dict[str, Any]]:
    """The runs into an env."""
    runs = await shown.stack.runs_of("rollout/rollout")
    return [run for run in runs if run["parameters"]["env"] == env]


@contextmanager
def another_rollout(journal: Journal, env: str) -> Iterator[None]:
    """One that somebody drives there, from a machine that is none of ours, until the body ends."""
    stream, rollout = env_stream("hello", env), f"r-before-{env}"
    seat = journal.take_seat(Seat("hello", env, 0, new_token(), "ann@elsewhere:1"), rollout=rollout, lease=3000.0)
    opened = ev.Opened(rollout, "hello", env, "c" * 64, "1")
    journal.append_all([(stream, 0, [ev.EnvOpened(rollout, "c" * 64)]), (stream_of(rollout), 0, [opened])], actor="ann")
    yield
    ends: list[ev.Event] = [ev.Refused(("not signed",)), ev.Closed(Outcome.REFUSED, "not signed")]
    closed = ev.EnvClosed(rollout, Outcome.REFUSED)
    journal.append_all([(stream_of(rollout), 1, ends), (stream, 1, [closed])], actor="ann")
    journal.renew_seat(seat, 0.0)


def quarantined(journal: Journal, env: str) -> None:
    """The release that goes through the chain was rolled back in this env before."""
    closed = ev.EnvClosed("r-bad", Outcome.ROLLED_BACK, quarantined=NEW)
    events: list[ev.Event] = [ev.EnvOpened("r-bad", NEW), closed]
    parts = [(stream_of("r-bad"), 0, went_back("r-bad", "hello", env)), (env_stream("hello", env), 0, events)]
    journal.append_all(parts, actor="ann")


async def test_what_is_promoted_starts_once_in_the_next_environment(shown: Shown, tmp_path: Path) -> None:
    projects = tmp_path / "projects.yaml"
    projects.write_text(PROJECTS)
    serving = await shown.stack.serve(projects, {"GOPUB_JOURNAL": os.environ["GOPUB_JOURNAL"]})
    stream = env_stream("hello", "staging")

    async def waits_for_ends() -> bool:
        return f"rules wait for rollouts that end in {stream}" in (shown.stack.folder / "serve.log").read_text()

    await until("the rules wait for staging", waits_for_ends)
    quarantined(shown.journal, "audit")
    with another_rollout(shown.journal, "prod"):
        await shown.baking("staging")
        assert (await shown.closed("staging")).outcome is Outcome.PROMOTED
        await it_waits_its_turn(shown, serving)
    run = await until("prod is started", lambda: started(serving, "staging"))
    assert (await shown.closed("prod")).outcome is Outcome.PROMOTED
    [there] = await sent_on(shown, "prod")
    assert there["id"] == run["id"]
    told = {name: there["parameters"][name] for name in ("version", "actor", "reason", "automatic")}
    assert told == {"version": "2", "actor": "gopub:r-staging", "reason": "2 was good in staging", "automatic": True}
    await a_quarantined_release_goes_no_further_and_the_runs_page_says_so(shown, serving)
    await the_same_end_twice_and_a_restart_start_nothing(shown, projects)


async def started(serving: str, env: str) -> Any:
    """The run that the end there started."""
    return next(iter((await delivery(serving, env)).get("runs", ())), None)


async def it_waits_its_turn(shown: Shown, serving: str) -> None:
    async def queued() -> Any:
        return (await delivery(serving, "staging")).get("waits_for")

    why = await until("it is told what is waited for", queued)
    assert why.startswith("rollout r-before-prod of hello in prod is active (ann@elsewhere:1 holds the seat")
    assert (await delivery(serving, "staging"))["status"] == "queued"
    assert not await sent_on(shown, "prod")


async def a_quarantined_release_goes_no_further_and_the_runs_page_says_so(shown: Shown, serving: str) -> None:
    run = await until("audit is started", lambda: started(serving, "prod"))
    ended = await shown.stack.ended(run["id"])
    assert ended["state_type"] == "FAILED"
    assert ended["state"]["message"].startswith("GP721 release bbbbbbbbbbbb (2) was rolled back in audit")
    assert "--clear-quarantine" in ended["state"]["message"]
    assert len(shown.journal.read(env_stream("hello", "audit"))) == 2, "nothing was begun there"
    assert (await delivery(serving, "prod"))["status"] == "started"


async def the_same_end_twice_and_a_restart_start_nothing(shown: Shown, projects: Path) -> None:
    """The end stands in the journal once more, and another process reads it, which has the file of before."""
    stream = env_stream("hello", "staging")
    entries = shown.journal.read(stream)
    again = [entry.event for entry in entries if isinstance(entry.event, ev.EnvOpened | ev.EnvClosed)]
    await server.stop(shown.stack.others.pop())
    shown.journal.append(stream, len(entries), again, actor="ann")
    await shown.stack.serve(projects, {"GOPUB_JOURNAL": os.environ["GOPUB_JOURNAL"]})

    async def read() -> bool:
        return len(shown.journal.read(stream)) == places(shown)

    await until("it read on to the end", read)
    assert len(await sent_on(shown, "prod")) == 1


def places(shown: Shown) -> int | None:
    """Up to which entry of staging `gopub serve` has read."""
    with closing(Deliveries(shown.stack.folder / "state" / "gopub" / "deliveries.sqlite")) as kept:
        return kept.place_of(env_stream("hello", "staging"))
