"""Everybody is told once of what became of a rollout, whoever drives, dies or hangs meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.fleet.host import Host
from gopub.journal import events as ev
from gopub.journal import notices
from gopub.journal.entry import Entry
from gopub.journal.kit import Kit, write_kit
from gopub.journal.outbox import CLAIM, PAUSES, letters, opens_at, ready
from gopub.journal.store import Journal
from gopub.journal.streams import told_of
from gopub.notify.backends.apprise import WITHIN
from gopub.notify.message import Tone
from gopub.notify.protocol import Answer
from gopub.telemetry import REDACTOR
from gopub.usecases import rollback
from gopub.usecases.doctor import Severity, examine
from gopub.usecases.doctor_facts import Facts, JournalSeen
from gopub.usecases.post import FINISH, LOOKED_BACK, Post, carry_all
from gopub.usecases.try_notify import try_notify
from gopub.usecases.wakes import something_to_look_after
from gopub.views.messages import trial
from gopub.views.untold import read_untold
from gopub.wiring.project import open_project
from gopub.wiring.told import SENT_WITHIN, Told
from tasks.storytelling import known, people, telling
from tests.support.memory import EARS, Ear
from tests.support.rollout_world import NEW, OLD, World, chart, drive, reach
from tests.support.told_world import told_in_a_room

DUE = notices.NoticeDue("ended", "room", "t", "b")


def at(*events: tuple[float, ev.Event]) -> dict[tuple[str, str], object]:
    return letters([Entry(n, "told/r", n + 1, event, "", "", when, "") for n, (when, event) in enumerate(events)])  # type: ignore[return-value]


def test_an_attempt_is_nobody_elses_until_its_time_is_over():
    found = at((0.0, DUE), (1.0, notices.NoticeTried("ended", "room")))
    assert ready(found, 1.0 + CLAIM - 0.1) == []  # type: ignore[arg-type]
    assert len(ready(found, 1.0 + CLAIM)) == 1  # type: ignore[arg-type]
    assert opens_at(found) == 1.0 + CLAIM  # type: ignore[arg-type]


def test_what_was_taken_or_given_up_is_closed_and_what_failed_is_tried_again_with_longer_pauses():
    tried, taken = notices.NoticeTried("ended", "room"), notices.NoticeTaken("ended", "room")
    assert opens_at(at((0.0, DUE), (1.0, tried), (2.0, taken))) is None  # type: ignore[arg-type]
    lost = notices.NoticeLost("ended", "room", "503", PAUSES[0])
    assert opens_at(at((0.0, DUE), (1.0, tried), (2.0, lost))) == 2.0 + PAUSES[0]  # type: ignore[arg-type]
    assert opens_at(at((0.0, DUE), (1.0, tried), (2.0, notices.NoticeLost("ended", "room", "503")))) is None  # type: ignore[arg-type]
    assert list(PAUSES) == sorted(PAUSES)


@pytest.fixture
def ear() -> Iterator[Ear]:
    made = Ear()
    EARS["room"] = made
    return made  # type: ignore[return-value]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ear: Ear) -> World:
    return told_in_a_room(tmp_path, monkeypatch)


def carry(world: World) -> float | None:
    return asyncio.run(Post(world.journal, "r1", clock=world.clock).carry())


def test_an_end_is_told_once_whoever_looks_again(world: World, ear: Ear):
    drive(world, "bad")
    assert carry(world) is None
    assert [one.title for one in ear.came] == ["hello 2 in lab: rolled back"]
    assert carry(world) is None
    asyncio.run(carry_all(world.journal, world.clock.now()))
    assert len(ear.came) == 1
    kinds = [type(entry.event) for entry in world.journal.read(told_of("r1"))]
    assert kinds == [notices.NoticeDue, notices.NoticeTried, notices.NoticeTaken]


def test_several_who_look_at_once_tell_it_once(world: World, ear: Ear):
    drive(world, "bad")

    async def four() -> None:
        await asyncio.gather(*(Post(world.journal, "r1", clock=world.clock).carry() for _ in range(4)))

    asyncio.run(four())
    assert len(ear.came) == 1


def test_one_who_died_with_it_in_his_hands_leaves_it_to_the_next(world: World, ear: Ear):
    drive(world, "bad")
    ear.hangs = asyncio.Event()

    async def dies() -> None:
        task = asyncio.create_task(Post(world.journal, "r1", clock=world.clock).carry())
        await ear.arrived.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(dies())
    ear.hangs = None
    assert carry(world) == world.clock.now() + CLAIM, "nobody repeats it while it may be under way"
    assert len(ear.came) == 1
    asyncio.run(world.clock.sleep(CLAIM))
    assert carry(world) is None
    assert len(ear.came) == 2


def test_what_is_refused_is_tried_again_and_given_up_in_the_end(
    world: World, ear: Ear, caplog: pytest.LogCaptureFixture
):
    secret = "of-the-room-s3cret"
    REDACTOR.learn(secret)
    drive(world, "bad")
    ear.says = f"503 for {secret}"
    for pause in PAUSES:
        assert carry(world) == world.clock.now() + pause
        assert carry(world) == world.clock.now() + pause, "control: not before its time"
        asyncio.run(world.clock.sleep(pause))
    assert carry(world) is None
    assert len(ear.came) == len(PAUSES) + 1
    assert carry(world) is None and len(ear.came) == len(PAUSES) + 1
    assert "given up" in caplog.text
    (letter,) = letters(world.journal.read(told_of("r1"))).values()
    assert letter.given_up and letter.tries == len(PAUSES) + 1
    assert secret not in caplog.text and secret not in letter.why


def test_a_plug_in_that_breaks_is_an_attempt_that_failed_and_others_are_told(world: World, ear: Ear):
    drive(world, "bad")
    ear.breaks = ValueError("of-the-room-s3cret")
    assert carry(world) == world.clock.now() + PAUSES[0]
    (one,) = read_untold(world.journal, world.clock.now())
    assert "ValueError" in one.why
    project = open_project(Path(world.project))
    ((_, answer),) = asyncio.run(try_notify(project, "lab", lambda lang: trial("hello", "lab", lang)))
    assert not answer.taken
    answer = asyncio.run(Told("room", (), "en", ear).send(trial("hello", "lab", "en")))
    assert answer == Answer(taken=False, says="it failed with ValueError"), "its words may hold a secret"


def test_many_messages_go_out_one_after_the_other_in_their_order(world: World, ear: Ear):
    """Each is a process: a room that was away for a while must not bring the machine to its knees."""
    drive(world, "bad")
    many = [notices.NoticeDue(f"stuck/{n}", "room", f"n{n}", "b") for n in range(30)]
    world.journal.append(told_of("r1"), 0, many, actor="a")
    assert carry(world) is None
    assert [one.title for one in ear.came][:30] == [one.title for one in many]
    assert ear.most == 1
    assert all(one.taken and one.tries == 1 for one in letters(world.journal.read(told_of("r1"))).values())


def test_who_does_not_take_one_is_not_asked_for_the_others_at_once(world: World, ear: Ear):
    drive(world, "bad")
    world.journal.append(told_of("r1"), 0, [notices.NoticeDue("stuck/1", "room", "first", "b")], actor="a")
    ear.says = "503"
    assert carry(world) == 0.0, "the second is still ready"
    assert [one.title for one in ear.came] == ["first"]
    ear.says = None
    assert carry(world) == world.clock.now() + PAUSES[0]
    assert len(ear.came) == 2


def test_an_attempt_ends_before_anybody_stops_waiting_for_it():
    """Else one that hangs would be left without an end each time, and never be given up."""
    assert WITHIN < SENT_WITHIN < FINISH < CLAIM


def test_what_is_old_news_is_told_to_nobody(world: World, ear: Ear):
    drive(world, "bad")
    asyncio.run(world.clock.sleep(LOOKED_BACK + 1))
    assert carry(world) is None
    assert ear.came == []


def test_one_that_hangs_delays_no_driver(world: World, ear: Ear):
    """The driver's own body ends while a message hangs; only the bounded end of it waits."""
    ear.hangs = asyncio.Event()

    async def driving() -> None:
        run = world.driver()
        post = Post.beside(run, None)
        assert post
        async with post.carrying():
            await chart(run, "bad")
            post.heard(world.journal.read("rollout/r1")[-1])
            await ear.arrived.wait()
            assert run.state.closed, "it went on to its end"
            assert ear.hangs is not None
            ear.hangs.set()

    asyncio.run(driving())
    (letter,) = letters(world.journal.read(told_of("r1"))).values()
    assert letter.taken


def test_a_journal_that_is_away_for_a_moment_loses_nothing(world: World, ear: Ear):
    drive(world, "bad")

    class Away(Journal):
        down = True

        def append_all(self, *args, **kwargs):
            if self.down:
                raise GopubError("GP701", "the journal cannot be written: locked")
            return super().append_all(*args, **kwargs)

    journal = Away(world.journal._engine, world.clock)
    post = Post(journal, "r1", clock=world.clock)
    assert asyncio.run(post.carry()) is None
    assert ear.came == []
    journal.down = False
    asyncio.run(post.carry())
    assert len(ear.came) == 1


def test_a_project_that_cannot_be_read_or_is_anothers_tells_nobody(
    world: World, ear: Ear, caplog: pytest.LogCaptureFixture
):
    drive(world, "bad")
    file = Path(world.project) / "gopub.yaml"
    whole = file.read_text()
    file.write_text("app: [")
    assert carry(world) is None
    assert "could not be told" in caplog.text
    file.write_text(whole.replace("app: hello", "app: other"))
    assert carry(world) is None
    assert ear.came == []
    file.write_text(whole)
    carry(world)
    assert len(ear.came) == 1


def test_a_release_that_became_stable_is_good_news(world: World, ear: Ear):
    drive(world, "good")
    carry(world)
    assert [(one.title, one.tone) for one in ear.came] == [("hello 2 in lab: promoted", Tone.GOOD)]


def test_who_rolls_back_by_hand_tells_people_too(world: World, ear: Ear):
    run = world.driver()
    asyncio.run(reach(run, 1))
    kit = Kit(run.seat.epoch, run.plan, run.ports.hosts, world.environment, (Host("edge1", "198.18.0.100"),),
              world.edges_known, (("1", OLD), ("2", NEW)), fleet=world.way)  # fmt: skip
    write_kit(world.kits, kit)
    asyncio.run(rollback.take_back("hello", "lab", reason="<b>too slow</b>"))
    (told,) = ear.came
    assert told.title == "hello 2 in lab: rolled back"
    assert "‹b›too slow‹/b›" in told.body


def test_an_environment_that_names_nobody_costs_a_driver_nothing(world: World):
    run = world.driver()
    assert Post.beside(run, None), "control"
    world.environment = world.environment.model_copy(update={"notify": ()})
    assert Post.beside(world.driver(), None) is None


def test_status_tells_who_was_not_told(world: World, ear: Ear):
    drive(world, "bad")
    ear.says = "503 from the room"
    carry(world)
    (one,) = read_untold(world.journal, world.clock.now())
    assert one.says(world.clock.now()).startswith(
        "room was not told: hello 2 in lab: rolled back; tried once: 503 from the room; tried again at "
    )
    assert one.to_json()["given_up"] is False
    for pause in PAUSES:
        asyncio.run(world.clock.sleep(pause))
        carry(world)
    (one,) = read_untold(world.journal, world.clock.now())
    assert one.says(world.clock.now()).endswith("; given up")
    assert read_untold(world.journal, world.clock.now(), env="other") == []


def test_a_flow_tells_people_beside_its_driver(world: World, ear: Ear):
    async def driving() -> None:
        run = world.driver()
        async with people(run) as others, telling(run, known(run), *others):
            await chart(run, "bad")

    asyncio.run(driving())
    assert [one.title for one in ear.came] == ["hello 2 in lab: rolled back"]


def test_recover_looks_again_as_long_as_somebody_is_still_to_be_told(world: World, ear: Ear):
    world.clock._now = SystemClock().now()  # the journal's hours are those of this machine
    drive(world, "bad")
    ear.says = "503"
    carry(world)
    assert something_to_look_after(world.journal)
    ear.says = None
    asyncio.run(world.clock.sleep(PAUSES[0]))
    carry(world)
    assert not something_to_look_after(world.journal), "control: it was taken"


def test_the_doctor_names_who_was_not_told(world: World, ear: Ear):
    drive(world, "bad")
    ear.says = "503 from the room"
    carry(world)
    (one,) = read_untold(world.journal, world.clock.now())
    seen = JournalSeen("/j", untold=(one.says(world.clock.now()),))
    (finding,) = [found for found in examine(Facts("1", journal=seen)) if found.check == "people"]
    assert (finding.severity, finding.do[:17]) == (Severity.WARN, "gopub notify test")
    assert "503 from the room" in finding.seen
    assert [found for found in examine(Facts("1", journal=JournalSeen("/j"))) if found.check == "people"] == []
