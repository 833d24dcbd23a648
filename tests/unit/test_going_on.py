"""One rollout's trouble, or its long bake, keeps no other one from its driver: in the flows, and in `gopub recover`."""

from __future__ import annotations

import asyncio

import pytest

from gopub.clock import ManualClock
from gopub.errors import GopubError, UsageError
from gopub.journal import events as ev
from gopub.journal.store import Journal, open_journal
from gopub.plan.model import Outcome
from gopub.usecases.recover import Found, orphans
from tasks.going_on import go_on
from tests.support.engine_home import EngineHome

MISSING = UsageError("GP110", "/gone/gopub.yaml: no such file")


def found(*envs: str) -> list[Found]:
    return [Found("hello", env, "2", f"/{env}", f"r-{env}") for env in envs]


class Rollouts:
    """The flow `rollout`: that of `gone` fails at once, that of `slow` bakes until that of `quick` has ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.quick = asyncio.Event()

    async def __call__(self, app, env, version, project, *, rollout_id):
        if env.startswith("gone"):
            raise MISSING
        if env == "slow":
            await asyncio.wait_for(self.quick.wait(), 60)
        if env == "quick":
            self.quick.set()
        self.ended.append(rollout_id)
        return {"app": app, "env": env, "version": version, "outcome": "withdrawn" if env == "slow" else "promoted"}


async def test_a_rollout_that_fails_and_one_that_bakes_for_long_hold_up_no_other_one():
    rollouts = Rollouts()
    with pytest.raises(UsageError, match="GP110"):
        await go_on(rollouts, found("gone", "slow", "quick"))
    assert rollouts.ended == ["r-quick", "r-slow"]


async def test_several_that_fail_are_told_together():
    with pytest.raises(GopubError, match=r"GP953 2 of 3 .*r-gone1: GP110 .*; r-gone2: GP110") as caught:
        await go_on(Rollouts(), found("gone1", "quick", "gone2"))
    assert "\n" not in caught.value.problem


async def test_what_came_of_each_is_given_in_order():
    ended = await go_on(Rollouts(), found("slow", "quick"))
    assert [(one["env"], one["outcome"]) for one in ended] == [("slow", "withdrawn"), ("quick", "promoted")]


def orphan(journal: Journal, env: str) -> None:
    opened = ev.Opened(f"r-{env}", "hello", env, "b" * 64, "2", "", f"/{env}")
    parts: list[tuple[str, int, list[ev.Event]]] = [
        (f"env/hello/{env}", 0, [ev.EnvOpened(f"r-{env}", "b" * 64)]),
        (f"rollout/r-{env}", 0, [opened]),
    ]
    journal.append_all(parts, actor="me")


@pytest.fixture
def journal(tmp_path, monkeypatch) -> Journal:
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # none is started, and none is asked
    return open_journal(str(tmp_path / "journal.db"), ManualClock())


@pytest.mark.parametrize(("envs", "code"), [(["gone", "slow", "quick"], 2), (["slow", "quick"], 7), (["quick"], 0)])
async def test_gopub_recover_goes_on_with_all_and_ends_with_the_code_of_the_worst(journal, tmp_path, envs, code):
    for env in envs:
        orphan(journal, env)
    engine = EngineHome(tmp_path / "engine")
    said = await engine.gopub("recover", cwd=tmp_path, env={"GOPUB_JOURNAL": str(tmp_path / "journal.db")})
    assert said.code == code, said
    assert {given["rollout_id"] for _, given in engine.told} == {f"r-{env}" for env in envs if env != "gone"}
    assert ("hello 2 in quick: promoted" in said.text, b"GP110" in said.err) == (True, "gone" in envs)


def test_a_stream_that_is_damaged_hides_no_other_orphan(journal):
    orphan(journal, "prod")
    orphan(journal, "staging")
    journal.append("rollout/r-prod", 1, [ev.Closed(Outcome.WITHDRAWN), ev.Settling()], actor="a fault of ours")
    assert [one.rollout for one in orphans(journal)] == ["r-staging"]
