"""``queue: latest``: a newer push takes the place of one that waits, by the repository's word; of none that runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployments.api.pauses import LONGEST_PAUSE
from deployments.api.starting import Starting
from deployments.api.superseding import newest_push, newest_tag
from deployments.deliveries import Deliveries
from deployments.refs import Branch, GitRefs
from deployments.starter import LATEST, RunOrder, RunView
from gopub.canon import sha256
from gopub.errors import GopubError
from tests.unit.apikit import TOKENS, Kit, RecordingStarter, make_kit
from tests.unit.test_refs_git import commit, git

PROJECTS = f"""
apps:
  orders:
    repository: https://gitlab.example/trade/orders.git
    project: /srv/orders
    envs: [staging, prod]
    rules:
      - {{branch: "**", env: staging, queue: latest}}
      - {{tag: "v*", env: prod, queue: latest}}
gitlab: {{token: {{env: HOOK}}}}
tokens: {{oncall: {{sha256: {sha256(TOKENS["oncall"].encode())}}}}}
"""
ONE, TWO, THREE, FOUR = ("1" * 40, "2" * 40, "3" * 40, "4" * 40)
MAIN = "refs/heads/main"
AWAY = GopubError("GP918", "the Prefect server does not answer", hint="is it up?")


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return anew(tmp_path)


def anew(folder: Path) -> Kit:
    """The same server, started anew."""
    made = make_kit(folder, projects=PROJECTS)
    made.refs.history = [ONE, TWO, THREE, FOUR]
    made.refs.head = FOUR
    for one in made.refs.history:
        made.refs.push(one)
    return made


def order(key: str, commit: str, pushed: str = MAIN, queue: str = LATEST, env: str = "staging") -> RunOrder:
    ref = pushed if pushed.startswith("refs/tags/") else commit
    parameters: dict[str, Any] = {"repository": "https://gitlab.example/trade/orders.git", "ref": ref}
    return RunOrder("orders", env, key, parameters, commit=commit, pushed=pushed, queue=queue)


def deliver(kit: Kit, *orders: RunOrder) -> None:
    for one in orders:
        kit.parts.deliveries.begin(f"gitlab:{one.key}", "d", [one], kit.parts.clock.now())


def became(kit: Kit, key: str) -> dict[str, Any]:
    found = kit.parts.deliveries.find(f"gitlab:{key}")
    assert found is not None
    return found.outcome or {}


def started(kit: Kit) -> list[str]:
    return [one.key for one in kit.starter.orders]


def codes(kit: Kit, key: str) -> list[str]:
    return [one["code"] for one in became(kit, key).get("refused", [])]


async def test_of_a_burst_the_newest_push_alone_is_started_and_the_others_are_told(kit: Kit) -> None:
    deliver(kit, order("a", ONE), order("b", TWO), order("c", THREE), order("d", FOUR))
    assert await kit.settle() == 0
    assert started(kit) == ["d"]
    assert [codes(kit, key) for key in "abcd"] == [["GP738"], ["GP738"], ["GP738"], []]
    said = became(kit, "a")["refused"][0]["detail"]
    assert said == f"{FOUR[:12]} of main is newer than {ONE[:12]} of main and takes its place: the order d"
    assert kit.refs.asked == 1, "the repository is asked once for all of them"


async def test_without_the_rule_each_push_is_started(kit: Kit) -> None:
    deliver(kit, *(order(key, commit, queue="") for key, commit in zip("abcd", [ONE, TWO, THREE, FOUR], strict=True)))
    await kit.settle()
    assert started(kit) == ["a", "b", "c", "d"]


async def test_a_rule_names_it_and_the_order_carries_it(kit: Kit) -> None:
    body = (Path(__file__).parent / "webhooks" / "push.json").read_bytes()
    await kit.hook(body, x_gitlab_token="hook-token-1234", x_gitlab_event="Push Hook", x_gitlab_event_uuid="u-1")
    (waiting,) = kit.parts.deliveries.waiting()
    assert (waiting.orders[0].queue, waiting.orders[0].pushed.startswith("refs/heads/")) == (LATEST, True)


async def test_out_of_order_an_older_push_supersedes_no_newer_one(kit: Kit) -> None:
    deliver(kit, order("d", FOUR), order("a", ONE))
    await kit.settle()
    assert (started(kit), codes(kit, "a")) == (["d"], ["GP738"])


async def test_while_the_newest_was_not_delivered_yet_history_decides(kit: Kit) -> None:
    deliver(kit, order("c", THREE), order("b", TWO))
    await kit.settle()
    assert (started(kit), codes(kit, "b")) == (["c"], ["GP738"])


async def test_an_older_push_that_arrives_when_a_newer_one_was_started_takes_nothing_back(kit: Kit) -> None:
    deliver(kit, order("d", FOUR))
    await kit.settle()
    kit.starter.over.add("run-1")
    deliver(kit, order("b", TWO))
    await kit.settle()
    assert (started(kit), codes(kit, "b")) == (["d"], ["GP738"])
    assert became(kit, "b")["refused"][0]["detail"].endswith("takes its place: run run-1")


async def test_a_branch_that_was_put_back_is_released_as_it_stands(kit: Kit) -> None:
    deliver(kit, order("d", FOUR))
    await kit.settle()
    kit.starter.over.add("run-1")
    kit.refs.head = TWO
    deliver(kit, order("back", TWO))
    await kit.settle()
    assert started(kit) == ["d", "back"]


async def test_a_run_that_no_worker_took_up_gives_way_and_its_delivery_says_so(kit: Kit) -> None:
    deliver(kit, order("c", THREE))
    await kit.settle()
    deliver(kit, order("d", FOUR))
    await kit.settle()
    assert (started(kit), kit.starter.over) == (["c", "d"], {"run-1"})
    assert codes(kit, "c") == ["GP738"]
    assert [one["id"] for one in became(kit, "c")["runs"]] == ["run-1"], "the run is still told"


async def test_a_run_that_was_taken_up_is_waited_for(kit: Kit) -> None:
    deliver(kit, order("a", ONE))
    await kit.settle()
    kit.starter.begun.add("run-1")
    deliver(kit, order("b", TWO))
    assert await kit.settle() == 1
    deliver(kit, order("d", FOUR))
    assert await kit.settle() == 1
    assert (started(kit), codes(kit, "b")) == (["a"], ["GP738"])
    told = await kit.client.get("/v1/deliveries/gitlab:d", headers={"Authorization": f"Bearer {TOKENS['oncall']}"})
    assert told.json()["waits_for"] == "the run orders-staging into staging of orders, started before, is not over"
    kit.starter.over.add("run-1")
    await kit.settle()
    assert started(kit) == ["a", "d"]


async def test_two_branches_supersede_nothing_of_each_other(kit: Kit) -> None:
    deliver(kit, order("a", ONE, "refs/heads/release/1"), order("d", FOUR))
    await kit.settle()
    kit.starter.over |= {"run-1"}
    await kit.settle()
    assert started(kit) == ["a", "d"]
    assert codes(kit, "a") == codes(kit, "d") == []


async def test_other_environments_and_rules_without_it_are_left_alone(kit: Kit) -> None:
    deliver(kit, order("a", ONE, queue=""), order("b", TWO, env="prod"), order("d", FOUR))
    await kit.settle()
    assert sorted(started(kit)) == ["a", "b", "d"]


async def test_a_second_webhook_of_the_same_push_gets_its_run(kit: Kit) -> None:
    deliver(kit, order("d", FOUR))
    await kit.settle()
    kit.starter.begun.add("run-1")
    deliver(kit, order("again", FOUR))
    assert await kit.settle() == 0
    assert started(kit) == ["d"]
    assert [one["id"] for one in became(kit, "again")["runs"]] == ["run-1"]


async def test_of_tags_the_higher_version_supersedes_whichever_comes_first(kit: Kit) -> None:
    low, high = "refs/tags/v1.2.0", "refs/tags/v1.4.0"
    deliver(kit, order("high", TWO, high, env="prod"), order("low", FOUR, low, env="prod"))
    await kit.settle()
    assert (started(kit), codes(kit, "low")) == (["high"], ["GP738"])
    said = became(kit, "low")["refused"][0]["detail"]
    assert said == "v1.4.0 is newer than v1.2.0 and takes its place: run run-1"


async def test_killed_after_it_was_decided_and_before_it_was_told_it_is_not_started(tmp_path: Path, kit: Kit) -> None:
    deliver(kit, order("a", ONE), order("d", FOUR))
    finish = kit.parts.deliveries.finish
    kit.parts.deliveries.finish = lambda *_args: 1 / 0  # type: ignore[method-assign]
    await kit.settle()
    kit.parts.deliveries.finish = finish  # type: ignore[method-assign]
    again = anew(tmp_path)
    again.starter.orders = kit.starter.orders
    again.refs.head, again.refs.history = ONE, []  # whatever the repository says by now
    await again.settle()
    assert (started(again), codes(again, "a")) == (["d"], ["GP738"])


async def test_killed_between_superseding_a_run_and_starting_the_newer_one_it_is_started(
    tmp_path: Path, kit: Kit
) -> None:
    deliver(kit, order("c", THREE))
    await kit.settle()
    deliver(kit, order("d", FOUR))
    kit.parts.deliveries.decide = lambda *_args: 1 / 0  # type: ignore[method-assign,assignment]
    await kit.settle()
    assert kit.starter.over == {"run-1"}, "control: the older one was canceled"
    again = anew(tmp_path)
    again.starter.orders, again.starter.over = kit.starter.orders, kit.starter.over
    await again.settle()
    assert started(again) == ["c", "d"]


async def test_while_the_engine_is_away_nothing_is_lost_and_nothing_old_is_kept(kit: Kit) -> None:
    starting = Starting(kit.parts)

    async def look() -> None:
        await starting.look()
        await starting.idle()

    kit.starter.broken = AWAY
    deliver(kit, order("a", ONE))
    await look()
    deliver(kit, order("c", THREE), order("d", FOUR))
    kit.starter.broken = None
    for _ in range(4):
        await kit.clock.sleep(LONGEST_PAUSE + 1)
        await look()
    assert started(kit)[-1] == "d"
    assert codes(kit, "c") == ["GP738"]
    assert "run-1" in kit.starter.over or started(kit) == ["d"]
    assert kit.parts.deliveries.count() == 0


async def test_two_processes_on_one_file_never_both_start_and_supersede(tmp_path: Path, kit: Kit) -> None:
    other = anew(tmp_path)
    other.starter.orders, other.starter.over = kit.starter.orders, kit.starter.over
    both = [Starting(one.parts) for one in (kit, other)]
    deliver(kit, *(order(str(number), ONE) for number in range(5)), order("d", FOUR))
    for _ in range(3):
        await asyncio.gather(*(one.look() for one in both))
        await asyncio.gather(*(one.idle() for one in both))
    assert started(kit) == ["d"]
    for number in range(5):
        assert (codes(kit, str(number)), became(kit, str(number))["runs"]) == (["GP738"], [])


def test_none_is_superseded_by_one_that_is_superseded_itself(tmp_path: Path) -> None:
    """Two processes that saw the branch at two moments: each takes the other order for the newer one."""
    file = Deliveries(tmp_path / "deliveries.sqlite")
    assert file.decide("a", "why", 1.0, "d") == "why"
    assert file.decide("d", "why", 1.0, "a") == ""
    assert file.decided("d") is None, "it may still be started"


async def test_a_tag_that_is_gone_supersedes_nothing(kit: Kit) -> None:
    low, gone = "refs/tags/v1.2.0", "refs/tags/v9.0.0"
    deliver(kit, order("gone", TWO, gone, env="prod"), order("low", FOUR, low, env="prod"))
    await kit.settle()
    assert (started(kit), codes(kit, "gone")) == (["low"], ["GP934"])


def test_what_was_decided_first_stands(tmp_path: Path) -> None:
    file = Deliveries(tmp_path / "deliveries.sqlite")
    other = Deliveries(tmp_path / "deliveries.sqlite")
    assert file.decided("a") is None
    assert file.decide("a", "", 1.0) == ""
    assert other.decide("a", '{"code": "GP738"}', 2.0) == ""
    assert other.decided("a") == ""


async def test_a_run_that_begins_in_the_same_moment_is_not_superseded(kit: Kit) -> None:
    """The engine looked unbegun, and was taken up before it could be canceled."""
    deliver(kit, order("a", ONE))
    await kit.settle()

    class TakenUp(RecordingStarter):
        async def run(self, run_id: str) -> RunView | None:
            kit.starter.begun.add(run_id)
            return await kit.starter.run(run_id)

        async def cancel_unbegun(self, run_id: str, why: str) -> bool:
            return await kit.starter.cancel_unbegun(run_id, why)

    deliver(kit, order("d", FOUR))
    starting = Starting(replace(kit.parts, starter=TakenUp()))
    await starting.look()
    await starting.idle()
    assert kit.parts.deliveries.count() == 1
    assert (started(kit), codes(kit, "a")) == (["a"], [])


BRANCH = Branch(FOUR, frozenset([ONE, THREE, FOUR]), frozenset([FOUR]))


def test_which_push_is_the_newer_one() -> None:
    one, three, four = order("1", ONE), order("3", THREE), order("4", FOUR)
    assert newest_push(one, [three, four], BRANCH) is four
    assert newest_push(four, [one, three], BRANCH) is None
    before = Branch("9" * 40, frozenset([ONE, THREE]), frozenset([THREE]))
    assert newest_push(one, [three], before) is three, "the newest was not delivered yet"
    assert newest_push(one, [three], replace(before, ends=frozenset([ONE, THREE]))) is None, "neither holds the other"
    assert newest_push(one, [three], replace(BRANCH, head=ONE)) is None, "the branch stands there now"
    assert newest_push(one, [three], replace(before, held=frozenset([THREE]))) is None, "it is in the branch no more"
    assert newest_push(one, [three], Branch()) is None, "the branch is gone"


@pytest.mark.parametrize(
    ("mine", "others", "found"),
    [
        ("v1.0.0", ["v1.1.0", "v2.0.0", "v1.5.0"], "v2.0.0"), ("v2.0.0", ["v1.1.0"], None),
        ("v1.0.0-rc.1", ["v1.0.0"], "v1.0.0"),
        ("nightly", ["v1.0.0"], None), ("v1.0.0", ["nightly"], None),
    ],
)  # fmt: skip
def test_which_tag_is_the_newer_one(mine: str, others: list[str], found: str | None) -> None:
    orders = [order(tag, ONE, f"refs/tags/{tag}") for tag in others]
    newest = newest_tag(order("x", TWO, f"refs/tags/{mine}"), orders, "v{version}")
    assert (newest and newest.key) == found


@pytest.fixture
def refs(tmp_path: Path) -> GitRefs:
    return GitRefs(tmp_path / "histories")


@pytest.mark.parametrize("far", [True, False])
async def test_the_repository_says_where_a_branch_stands_and_which_commits_are_newest(
    tmp_path: Path, refs: GitRefs, *, far: bool
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    await git(there, "init", "-q", "-b", "main")
    await git(there, "config", "uploadpack.allowFilter", "true")
    first, second = await commit(there, "one"), await commit(there, "two")
    await git(there, "checkout", "-q", "-b", "side", first)
    side = await commit(there, "side")
    address = there.as_uri() if far else str(there)
    found = await refs.branch(address, MAIN, [first, second, side, "f" * 40])
    assert found == Branch(second, frozenset([first, second]), frozenset([second]))
    assert await refs.branch(address, "refs/heads/side", [first, second]) == Branch(side, *[frozenset([first])] * 2)
    assert await refs.branch(address, "refs/heads/gone", [first, side]) == Branch()
