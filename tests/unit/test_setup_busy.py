"""`gopub setup` on a Prefect server that is busy: what it turns away is tried again, and the end is one plain error."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_CSRF_SUPPORT_ENABLED,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from deployments.engine import answering
from deployments.lint import load_deployments
from deployments.setup.forms import Asked, ensure_forms
from gopub.errors import GopubError

ROOT = Path(__file__).parents[2]
APPS = {f"app{number}": ("staging", "prod") for number in range(20)}
FORMS = len(APPS) * 6
TURNED_AWAY = "too busy: again and again it answers 503 to POST /api/deployments/"


class Busy:
    """A Prefect server without forms, which answers each form so often with this before it takes it."""

    def __init__(self, times: int, status: int = 503) -> None:
        self.times, self.status = times, status
        self.asked: Counter[str] = Counter()
        self.taken: set[str] = set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api")
        if (request.method, path) == ("POST", "/deployments/"):
            return self.form(json.loads(request.content))
        known: dict[str, Any] = {"id": str(uuid4()), "name": "refresh", "flow_id": str(uuid4())}
        return httpx.Response(200, json=[] if path == "/deployments/filter" else known)

    def form(self, face: dict[str, Any]) -> httpx.Response:
        self.asked[face["name"]] += 1
        if self.asked[face["name"]] <= self.times:
            now = {"Retry-After": "0"}  # else Prefect's client waits for seconds before it gives up
            return httpx.Response(self.status, json={"exception_message": "Service Unavailable"}, headers=now)
        self.taken.add(face["name"])
        return httpx.Response(201, json={"id": str(uuid4())})


async def set_up(server: Busy) -> list[str]:
    """What a set-up says that it made; without the tries of Prefect's own client."""
    settings = {
        PREFECT_API_URL: "http://bob:hunter2@prefect.example:4200/api",
        PREFECT_CLIENT_MAX_RETRIES: 0,
        PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False,
    }
    with temporary_settings(settings), answering():
        async with get_client(httpx_settings={"transport": httpx.MockTransport(server)}) as client:
            done = await ensure_forms(client, load_deployments(ROOT), Asked("mine", APPS))
    return [one.name for one in done if one.did == "created"]


@pytest.mark.parametrize("times", [0, 1, 5])
async def test_what_a_busy_server_turns_away_is_tried_again_until_it_takes_it(times: int) -> None:
    server = Busy(times)
    assert len(await set_up(server)) == len(server.taken) == FORMS
    assert set(server.asked.values()) == {times + 1}, "control: one request for each where it has time"


async def test_a_server_that_stays_busy_is_one_plain_error_and_all_that_waits_is_left_out() -> None:
    server = Busy(times=10**6)
    with pytest.raises(GopubError) as caught:
        await set_up(server)
    assert (caught.value.code, TURNED_AWAY in caught.value.problem) == ("GP918", True), caught.value.problem
    assert "hunter2" not in str(caught.value)
    assert "repeat it" in caught.value.hint
    assert max(server.asked.values()) == 6
    assert len(server.asked) == 1, "the others were not asked for any more"


async def test_control_what_is_refused_is_not_tried_again_and_is_not_called_busy() -> None:
    server = Busy(times=10**6, status=409)
    with pytest.raises(GopubError, match=r"GP918 .* does not answer: .*409"):
        await set_up(server)
    assert max(server.asked.values()) == 1
