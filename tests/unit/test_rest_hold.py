"""POST /v1/hold and /v1/resume are words in the journal, for the rollout that is under way, with the token's name."""

from __future__ import annotations

import pytest

from gopub.journal import events as ev
from gopub.journal.store import Journal
from gopub.usecases.ask import standing_hold
from gopub.wiring import settings
from tests.unit.apikit import TOKENS, make_kit


@pytest.fixture
def journal(tmp_path, monkeypatch) -> Journal:
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    made = settings.journal()
    for env in ("prod", "staging"):
        opened = ev.Opened(f"r-{env}", "orders", env, "b" * 64, "2")
        made.append(f"env/orders/{env}", 0, [ev.EnvOpened(f"r-{env}", "b" * 64)], actor="test")
        made.append(f"rollout/r-{env}", 0, [opened], actor="test")
    return made


async def post(kit, what, caller="oncall", **body):
    auth = {"Authorization": f"Bearer {TOKENS[caller]}"}
    return await kit.client.post(f"/v1/{what}", json={"app": "orders", "env": "prod", **body}, headers=auth)


async def test_hold_and_resume(tmp_path, journal):
    kit = make_kit(tmp_path)
    held = await post(kit, "hold", reason="lunch")
    assert (held.status_code, held.json()["outcome"]) == (200, "held"), held.text
    assert held.json()["waits_for"].startswith("held by token:oncall since ")
    assert standing_hold(journal, "r-prod").reason == "lunch"
    assert standing_hold(journal, "r-staging") is None
    resumed = await post(kit, "resume")
    assert (resumed.status_code, resumed.json()["outcome"]) == (200, "active")
    again = await post(kit, "resume")
    assert (again.status_code, again.json()["code"]) == (409, "GP746")


async def test_what_is_refused_writes_nothing(tmp_path, journal):
    kit = make_kit(tmp_path)
    assert (await post(kit, "hold", caller="ci")).json()["code"] == "GP931"
    assert (await post(kit, "hold", env="nosuch")).json()["code"] == "GP932"
    assert (await post(kit, "hold", more=1)).json()["code"] == "GP933"
    assert (await post(kit, "hold", app="audit")).json()["code"] == "GP943"
    assert journal.streams("asked/") == []
