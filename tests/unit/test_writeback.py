"""Forges are told what became of pushes and rollouts: once, the last state, over restarts, in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deployments.api.parts import Parts
from deployments.starter import RunOrder, RunView
from deployments.writeback import keeping
from deployments.writeback.apis.protocol import Access
from deployments.writeback.deriving import of_order, place_of
from deployments.writeback.keeping import keep_telling
from deployments.writeback.model import CommitStatus, DeploymentRecord, Stand
from deployments.writeback.observing import Observing
from deployments.writeback.outbox import TAKEN_FOR, Outbox
from deployments.writeback.sending import GIVE_UP_AFTER, Sending
from gopub.journal import events as ev
from gopub.journal.reading import read_state
from gopub.journal.store import Journal, open_journal
from gopub.plan.model import Outcome
from gopub.rollout import back
from gopub.rollout.backwards import begin_backwards
from gopub.rollout.turn import turn_around
from gopub.spec.projects import parse_projects
from tests.support.forges import KNOWN, OLDER, OTHER, PROJECT, TOKEN, Forge, forge
from tests.support.rollout_world import NEW, OLD, World, chart, reach
from tests.unit.apikit import Kit, make_kit

PROJECTS = """
apps:
  hello:
    repository: https://git.example/trade/orders.git
    project: /srv/hello
    envs: [lab]
    rules: [{branch: "**", env: lab}]
gitlab: {token: {env: HOOK}}
ui_url: https://prefect.example/
"""
STREAM = "env/hello/lab"
PLACE = place_of(parse_projects(PROJECTS, "projects.yaml"), "hello", "lab")


@pytest.fixture
def github() -> Iterator[Forge]:
    with forge("github") as made:
        yield made


@dataclass
class Desk:
    """One `gopub serve` of a world, made anew with each restart."""

    parts: Parts
    world: World
    observing: Observing
    sending: Sending

    async def look(self) -> None:
        """Observe and send, as the tasks beside the answers do."""
        self.observing.rollouts(self.world.journal)
        await self.observing.deliveries()
        await self.sending.look()
        await self.sending.idle()


def desk(kit: Kit, world: World, there: Forge) -> Desk:
    access = Access(there.kind, there.url, PROJECT, TOKEN)
    parts = replace(kit.parts, forges={"hello": access}, clock=world.clock, journal=lambda: world.journal)
    outbox = Outbox(parts.deliveries)
    outbox.begin(world.clock.now())
    return Desk(parts, world, Observing(parts, outbox), Sending(parts, outbox))


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.commit = KNOWN
    return made


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return make_kit(tmp_path / "serve", projects=PROJECTS)


async def until(holds: Callable[[], bool]) -> None:
    """Let others work until something holds."""
    for _ in range(3000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to hold")


def promoted_before(world: World) -> None:
    """What is stable was promoted by this journal: from another commit."""
    release = OLD
    opened = ev.Opened("r0", "hello", "lab", release, "1", commit=OLDER)
    world.journal.append("rollout/r0", 0, [opened], actor="ann")
    closed = ev.EnvClosed("r0", Outcome.PROMOTED, stable=release, stable_version="1")
    world.journal.append(STREAM, 0, [ev.EnvOpened("r0", release), closed], actor="ann")


def pushed(kit: Kit, key: str, commit: str = KNOWN) -> RunOrder:
    kit.refs.push(commit)
    order = RunOrder("hello", "lab", key, {"repository": "/srv/hello", "ref": commit}, commit=commit)
    kit.parts.deliveries.begin(f"gitlab:{key}", "d", [order], kit.parts.clock.now())
    return order


def standing_of(there: Forge) -> list[tuple[str, list[str]]]:
    return [(one["ref"], one["standing"]) for one in there.deployments]


async def test_a_rollout_is_told_from_its_beginning_to_its_end(kit: Kit, world: World, github: Forge):
    serve = desk(kit, world, github)
    await serve.look()
    run = world.driver()
    await serve.look()
    await reach(run)
    await serve.look()
    assert github.told(KNOWN) == ["pending"], "one step more is news, one event more is none"
    world.journal.append("asked/r1", 0, [ev.Asked("hold", "a look at the logs", "ann", world.clock.now())], actor="ann")
    await serve.look()
    said = github.statuses[KNOWN, "gopub/lab"][-1]["description"]
    assert said.startswith("2 is held: ")
    assert "a look at the logs" in said
    world.journal.append("asked/r1", 1, [ev.Asked("resume", "", "ann", world.clock.now())], actor="ann")
    await chart(run, "good")
    await serve.look()
    assert github.told(KNOWN)[-1] == "success"
    ((_, stands),) = standing_of(github)
    assert (stands[0], stands[-1], set(stands)) == ("in_progress", "success", {"in_progress", "success"})
    before = len(github.requests)
    await serve.look()
    assert len(github.requests) == before, "nothing is told twice"


@pytest.mark.parametrize("outcome", [Outcome.ROLLED_BACK, Outcome.WITHDRAWN])
async def test_a_rollout_that_did_not_stay_is_told_as_failed(kit: Kit, world: World, github: Forge, outcome: Outcome):
    promoted_before(world)
    serve = desk(kit, world, github)
    await serve.look()
    run = world.driver()
    await reach(run)
    turn_around(run, outcome, 3, "errors")
    await back.go_back(run)
    await serve.look()
    assert github.told(KNOWN) == ["failure"]
    assert github.statuses[KNOWN, "gopub/lab"][0]["description"] == f"2 was {outcome.value}: errors"
    assert standing_of(github) == [(KNOWN, ["failure"])], "the one before was never replaced"


async def test_a_rollback_by_hand_makes_the_release_before_the_one_that_runs(kit: Kit, world: World, github: Forge):
    promoted_before(world)
    serve = desk(kit, world, github)
    await serve.look()
    await chart(world.driver(), "good")
    await serve.look()
    assert standing_of(github) == [(KNOWN, ["success"])]
    rolled_back_by_hand(world)
    await serve.look()
    assert dict(standing_of(github)) == {KNOWN: ["success", "inactive"], OLDER: ["success"]}
    assert github.told(KNOWN)[-1] == "failure"
    assert github.statuses[KNOWN, "gopub/lab"][-1]["description"] == "2 was rolled back: too slow"


def rolled_back_by_hand(world: World) -> None:
    plan, now, at = (
        replace(world.plan(), rollout="r-back", steps=()),
        world.clock.now(),
        len(world.journal.read(STREAM)),
    )
    begin_backwards(
        world.journal, plan, outcome=Outcome.ROLLED_BACK, reason="too slow", now=now, project=".", after=at,
        actor="ann", trace="7" * 32, owed=[],
    )  # fmt: skip
    at = len(world.journal.read("rollout/r-back"))
    world.journal.append("rollout/r-back", at, [ev.Closed(Outcome.ROLLED_BACK, "too slow")], actor="ann")
    closed = ev.EnvClosed("r-back", Outcome.ROLLED_BACK, stable=OLD, stable_version="1", quarantined=NEW)
    world.journal.append(STREAM, len(world.journal.read(STREAM)), [closed], actor="ann")


async def test_a_release_whose_commit_nobody_wrote_down_is_told_nowhere(kit: Kit, world: World, github: Forge):
    """It was opened by an older gopub."""
    world.commit = ""
    serve = desk(kit, world, github)
    await chart(world.driver(), "good")
    await serve.look()
    assert github.requests == []


async def test_the_journal_keeps_the_commit_that_a_rollout_is_of(world: World):
    world.driver()
    opened = world.journal.read("rollout/r1")[0].event
    assert isinstance(opened, ev.Opened)
    assert opened.commit == KNOWN


async def test_a_restart_repeats_nothing_and_forgets_nothing(tmp_path: Path, kit: Kit, world: World, github: Forge):
    serve = desk(kit, world, github)
    await serve.look()
    run = world.driver()
    await serve.look()
    told = len(github.requests)
    await desk(make_kit(tmp_path / "serve", projects=PROJECTS), world, github).look()
    assert len(github.requests) == told, "what was told is not told again"
    await chart(run, "good")  # with nobody there to see it
    again = desk(make_kit(tmp_path / "serve", projects=PROJECTS), world, github)
    await again.look()
    assert github.told(KNOWN)[-1] == "success"
    assert standing_of(github) == [(KNOWN, ["in_progress", "success"])]


async def test_killed_between_the_yes_and_its_row_it_is_told_again_and_is_no_second_record(
    tmp_path: Path, kit: Kit, world: World, github: Forge, monkeypatch: pytest.MonkeyPatch
):
    serve = desk(kit, world, github)
    world.driver()
    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "settle", lambda *_args, **_more: 1 / 0)
        await serve.look()
    assert len(github.requests) >= 1, "control: something was told"
    await world.clock.sleep(TAKEN_FOR + 1)
    for _ in range(3):
        await desk(make_kit(tmp_path / "serve", projects=PROJECTS), world, github).look()
        await world.clock.sleep(TAKEN_FOR + 1)
    assert len(github.deployments) == 1
    assert set(github.told(KNOWN)) == {"pending"}


async def test_two_processes_on_one_file_make_one_record(tmp_path: Path, kit: Kit, world: World, github: Forge):
    both = [desk(kit, world, github), desk(make_kit(tmp_path / "serve", projects=PROJECTS), world, github)]
    for one in both:
        await one.look()
    await chart(world.driver(), "good")
    await asyncio.gather(*(one.look() for one in both))
    assert standing_of(github) == [(KNOWN, ["success"])]
    assert github.told(KNOWN) == ["success"]


async def test_of_two_processes_one_goes_on_where_the_other_died(tmp_path: Path, kit: Kit, world: World, github: Forge):
    both = [desk(kit, world, github), desk(make_kit(tmp_path / "serve", projects=PROJECTS), world, github)]
    for one in both:
        await one.look()
    run = world.driver()
    await both[0].look()  # the other one sees the rollout's beginning only after this one has read it
    await both[1].look()
    await chart(run, "good")
    await both[1].look()
    assert github.told(KNOWN) == ["pending", "success"]


def test_a_record_that_is_inactive_stays_so(kit: Kit):
    """Who reads the journal late finds how it was once."""
    outbox, now = Outbox(kit.parts.deliveries), kit.clock.now()
    first, last = (DeploymentRecord(KNOWN, "lab", name, Stand.SUCCESS, "x") for name in ("r1", "r2"))
    for one in (first, last):
        assert outbox.want("hello", one, now)
        outbox.replace_others("hello", one, now)
    assert not outbox.want("hello", first, now)
    assert {one.report.state for one in outbox.due(now)} == {Stand.INACTIVE, Stand.SUCCESS}


async def test_a_forge_that_was_away_is_told_the_last_state_alone(kit: Kit, world: World, github: Forge):
    serve = desk(kit, world, github)
    github.answers += [(503, {}, {})] * 2
    run = world.driver()
    await serve.look()
    await reach(run)
    await serve.look()
    assert len(github.requests) == 1, "left alone for a while"
    await chart(run, "good")
    await world.clock.sleep(6)
    await serve.look()
    await world.clock.sleep(11)
    await serve.look()
    assert github.told(KNOWN) == ["success"]
    assert standing_of(github) == [(KNOWN, ["success"])]


async def test_pauses_grow_and_what_waited_a_day_is_given_up(kit: Kit, world: World, github: Forge, caplog):
    serve = desk(kit, world, github)
    github.answers += [(503, {}, {})] * 10_000
    world.driver()
    begun = world.clock.now()
    while world.clock.now() < begun + 3600:
        await serve.look()
        await world.clock.sleep(2)
    assert 8 <= len(github.requests) <= 20
    assert caplog.text.count("is told again later") <= 2, "told once, not at each try"
    await world.clock.sleep(GIVE_UP_AFTER)
    for _ in range(3):
        await serve.look()
        await world.clock.sleep(601)
    tried = len(github.requests)
    await serve.look()
    assert len(github.requests) == tried
    assert "given up after a day" in caplog.text


@pytest.mark.parametrize("answer", [(404, {}, {}), (301, b"", {"location": "https://x.example"}), (401, {}, {})])
async def test_what_is_refused_is_tried_once_for_each_state(kit: Kit, world: World, github: Forge, answer, caplog):
    serve = desk(kit, world, github)
    github.answers += [answer] * 1000
    run = world.driver()
    for _ in range(5):
        await serve.look()
        await world.clock.sleep(60)
    assert len(github.requests) == 2, "one status, one record"
    assert caplog.text.count("is not told any more") == 2
    github.answers.clear()
    await chart(run, "good")
    await serve.look()
    assert github.told(KNOWN) == ["success"]


async def test_what_was_refused_is_tried_once_more_after_a_restart(
    tmp_path: Path, kit: Kit, world: World, github: Forge
):
    """Somebody mended the token."""
    github.answers += [(401, {}, {})] * 2
    world.driver()
    await desk(kit, world, github).look()
    assert github.told(KNOWN) == []
    await desk(make_kit(tmp_path / "serve", projects=PROJECTS), world, github).look()
    assert github.told(KNOWN) == ["pending"]


async def test_one_forge_that_hangs_holds_up_no_other_and_no_start(
    tmp_path: Path, kit: Kit, world: World, github: Forge
):
    with forge("gitlab") as other:
        held, entered = asyncio.Event(), asyncio.Event()

        class Hangs:
            def takes(self, _report: object) -> bool:
                return True

            async def tell(self, *_args: object, **_more: object) -> object:
                entered.set()
                return await held.wait()

        serve = desk(kit, world, github)
        outbox, now = Outbox(serve.parts.deliveries), world.clock.now()
        parts = replace(serve.parts, forges={**serve.parts.forges,
                                             "audit": Access("gitlab", other.url, PROJECT, TOKEN)})  # fmt: skip
        sending = Sending(parts, outbox)
        sending._apis["hello"] = Hangs()  # type: ignore[assignment]
        outbox.want("hello", CommitStatus(KNOWN, "gopub/lab", Stand.RUNNING, "x"), now)
        outbox.want("audit", CommitStatus(OTHER, "gopub/lab", Stand.RUNNING, "x"), now)
        await sending.look()
        await entered.wait()
        await until(lambda: bool(other.told(OTHER)))
        pushed(kit, "d-1")
        await kit.settle()
        assert [one.key for one in kit.starter.orders] == ["d-1"]
        await sending.stop()


async def test_a_push_is_told_while_it_waits_and_until_its_rollout_begins(kit: Kit, world: World, github: Forge):
    serve = desk(kit, world, github)
    order = pushed(kit, "d-1")
    await serve.look()
    assert github.told(KNOWN) == ["pending"]
    assert github.statuses[KNOWN, "gopub/lab"][-1]["description"] == "waits to be started"
    kit.parts.deliveries.finish("gitlab:d-1", {"runs": [{"id": "run-1", "name": "x", "app": "hello", "env": "lab"}]})
    kit.starter.orders.append(order)
    await serve.look()
    last = github.statuses[KNOWN, "gopub/lab"][-1]
    assert (last["description"], last["target_url"]) == (
        "queued: waits for a worker", "https://prefect.example/runs/flow-run/run-1",
    )  # fmt: skip


async def test_a_push_that_starts_nothing_is_told_with_its_reason(kit: Kit, world: World, github: Forge):
    serve = desk(kit, world, github)
    pushed(kit, "d-1")
    refused = {"app": "hello", "env": "lab", "code": "GP934", "detail": "the repository has no such commit"}
    kit.parts.deliveries.finish("gitlab:d-1", {"runs": [], "refused": [refused]})
    await serve.look()
    (said,) = github.statuses[KNOWN, "gopub/lab"]
    assert said["state"] == "error"
    assert said["description"] == "not started (GP934): the repository has no such commit"
    before = len(github.requests)
    await serve.look()
    assert len(github.requests) == before


def run(state: str, rollout: str = "", message: str = "", *, final: bool = False) -> RunView:
    return RunView("run-1", "n", state, "hello", "lab", final=final, message=message, rollout=rollout)


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (run("Scheduled"), Stand.PENDING), (run("Late"), Stand.PENDING), (run("Running"), Stand.RUNNING),
        (run("Failed", message="tests failed", final=True), Stand.FAILED), (run("Crashed", final=True), Stand.FAILED),
        (run("Refused", final=True), Stand.FAILED), (run("Cancelled", final=True), Stand.CANCELED),
        (run("Nothing to do", final=True), Stand.SUCCESS), (run("Completed", final=True), Stand.SUCCESS),
    ],
)  # fmt: skip
def test_a_run_without_a_rollout_is_told_as_the_engine_shows_it(found: RunView, state: Stand):
    order = RunOrder("hello", "lab", "d", {}, commit=KNOWN)
    told = of_order(order, {"runs": []}, found, PLACE)
    assert told is not None
    assert told.state is state
    assert of_order(order, {"runs": []}, replace(found, rollout="r1"), PLACE) is None, "from then on the journal tells"


def test_apps_of_one_repository_have_names_of_their_own():
    another = "  audit: {repository: 'git@git.example:trade/orders', project: /p, envs: [lab]}\n"
    both = PROJECTS.replace("gitlab:", f"{another}gitlab:", 1)
    projects = parse_projects(both, "projects.yaml")
    assert [place_of(projects, app, "lab").context for app in projects.apps] == ["gopub/hello/lab", "gopub/audit/lab"]
    assert PLACE.context == "gopub/lab", "control: alone it needs none"


def test_a_clock_that_was_set_back_keeps_no_report_from_being_sent(kit: Kit):
    outbox, now = Outbox(kit.parts.deliveries), kit.clock.now()
    outbox.want("hello", CommitStatus(KNOWN, "gopub/lab", Stand.RUNNING, "x"), now)
    (letter,) = outbox.due(now)
    assert outbox.take(letter, now)
    assert outbox.due(now) == [], "control: somebody sends it"
    assert outbox.due(now - 3600) == [letter] or outbox.due(now - 3600)[0].tries == 1


def test_what_is_old_is_forgotten_but_for_what_runs(kit: Kit):
    outbox, now = Outbox(kit.parts.deliveries), kit.clock.now()
    outbox.want("hello", CommitStatus(KNOWN, "gopub/lab", Stand.SUCCESS, "x"), now)
    outbox.want("hello", DeploymentRecord(KNOWN, "lab", "r1", Stand.SUCCESS, "x"), now)
    outbox.want("hello", DeploymentRecord(OLDER, "lab", "r0", Stand.FAILED, "x"), now)
    outbox.begin(now + 8 * 86400)
    assert [one.report.commit for one in outbox.due(now)] == [KNOWN]
    outbox.replace_others("hello", DeploymentRecord(OTHER, "lab", "r2", Stand.SUCCESS, "x"), now)
    assert [one.report.state for one in outbox.due(now)] == [Stand.INACTIVE]


async def test_a_journal_that_is_away_is_asked_again_and_nothing_is_lost(
    tmp_path: Path, kit: Kit, world: World, github: Forge
):
    serve, calls = desk(kit, world, github), list[int]()

    def opened() -> Journal:
        calls.append(1)
        if len(calls) < 4:
            raise OSError("away")
        return open_journal(str(tmp_path / "journal.db"), world.clock)

    world.driver()
    task = asyncio.create_task(keep_telling(replace(serve.parts, journal=opened)))
    await until(lambda: bool(github.told(KNOWN)) or task.done())
    assert not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert len(calls) >= 4


async def test_where_no_forge_is_to_be_told_nothing_is_read(kit: Kit, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keeping, "Outbox", None)
    await keep_telling(kit.parts)


async def test_a_rollout_whose_entries_are_damaged_holds_up_no_other(kit: Kit, world: World, github: Forge, caplog):
    serve = desk(kit, world, github)
    await serve.look()
    world.journal.append(STREAM, 0, [ev.EnvOpened("r-bad", "b" * 64)], actor="ann")
    world.journal.append("rollout/r-bad", 0, [ev.Closed(Outcome.PROMOTED)], actor="ann")
    world.journal.append(STREAM, 1, [ev.EnvClosed("r-bad", Outcome.ROLLED_BACK)], actor="ann")
    await chart(world.driver(), "good")
    await serve.look()
    assert "no forge is told of r-bad" in caplog.text
    assert github.told(KNOWN) == ["success"]
    assert read_state(world.journal, "r1").closed
