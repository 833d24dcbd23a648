"""`gopub setup` where there are many forms: what it asks about its own deployments does not grow with them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_CSRF_SUPPORT_ENABLED, temporary_settings

from deployments.setup.deploying import _ours

OURS = ("deploy", "order", "rollback")
PAGE = 200


class Full:
    """A Prefect server with a deployment for each of our flows, one of an older gopub, and so many forms."""

    def __init__(self, forms: int) -> None:
        self.flows = {name: str(uuid4()) for name in (*OURS, "canary")}
        names = [*((name, name) for name in self.flows), *((f"deploy app{n} to prod", "order") for n in range(forms))]
        self.deployments = [self.deployment(name, self.flows[flow]) for name, flow in names]
        self.asked: Counter[str] = Counter()

    @staticmethod
    def deployment(name: str, flow: str) -> dict[str, Any]:
        return {"id": str(uuid4()), "name": name, "flow_id": flow, "tags": ["gopub"]}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api")
        self.asked[f"{request.method} {path}"] += 1
        wanted = json.loads(request.content)
        assert wanted["deployments"]["tags"]["all_"] == ["gopub"]
        assert wanted["work_pools"]["name"]["any_"] == ["gopub"]
        if path == "/flows/filter":
            return httpx.Response(200, json=[{"id": one, "name": name} for name, one in self.flows.items()])
        names = (wanted["deployments"].get("name") or {}).get("any_")
        fit = [one for one in self.deployments if names is None or one["name"] in names]
        return httpx.Response(200, json=fit[wanted["offset"] :][:PAGE])


@pytest.mark.parametrize("forms", [0, 3600])
async def test_what_is_asked_of_our_own_is_two_requests_however_many_forms_there_are(forms: int) -> None:
    server = Full(forms)
    settings = {PREFECT_API_URL: "http://prefect.example:4200/api", PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False}
    with temporary_settings(settings):
        async with get_client(httpx_settings={"transport": httpx.MockTransport(server)}) as client:
            found = await _ours(client, "gopub")
    assert sorted(found) == ["canary/canary", "deploy/deploy", "order/order", "rollback/rollback"]
    assert server.asked == {"POST /flows/filter": 1, "POST /deployments/filter": 1}
