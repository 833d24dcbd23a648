"""Lines of a file on a host, by the program that is sent: rotated, cut short, torn, huge, or not there."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import ValidationError

from gopub.errors import GopubError
from gopub.health.backends.logfile import MOST_BYTES, MOST_LINES, FileSource, LogFile, parse_parts, to_read
from gopub.health.samples import NoData
from gopub.health.sources import BEFORE, LogTarget
from gopub.process import Result, run


@dataclass
class Host:
    """This machine, as a host is reached."""

    fails: BaseException | None = None
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def exec(self, argv, stdin=b"") -> Result:
        self.asked.append(tuple(argv))
        if self.fails:
            raise self.fails
        return await run(argv, stdin=stdin, check=False)


class World:
    """A file, and the source that reads it."""

    def __init__(self, folder: Path) -> None:
        self.host, self.file = Host(), folder / "hello.log"
        self.source = FileSource(f"{folder}/{{app}}.log", timeout=30)
        self.file.write_text("ERROR of long ago\n")

    def say(self, text: str) -> None:
        with self.file.open("a") as opened:
            opened.write(text)

    async def read(self, release: str = "c"):
        return await self.source.read(LogTarget("h1", release, "hello.service", self.host), 0.0)

    async def levels(self) -> int:
        found = await self.read()
        return found.classes.get("level:error", 0)


@pytest.fixture
async def world(tmp_path):
    """The first reading is over: it begins at the end."""
    world = World(tmp_path)
    assert await world.levels() == 0
    return world


async def test_each_line_is_counted_once_and_a_torn_one_waits_for_its_end(world):
    world.say("ERROR one\nERR")
    assert await world.levels() == 1
    world.say("OR two\nall well\n")
    assert (await world.read()).classes == {"level:error": 1, "template:ERROR two": 1}
    assert (await world.read()).lines == 0


async def test_a_file_that_is_turned_over_is_read_to_its_end_and_the_new_one_from_its_beginning(world):
    world.say("ERROR one\n")
    await world.read()
    world.say("ERROR two\n")
    world.file.rename(world.file.with_name("hello.log.1"))
    world.say("ERROR three\nERROR four\n")
    found = await world.read()
    assert found.classes == {"level:error": 3, **{f"template:ERROR {n}": 1 for n in ("two", "three", "four")}}
    assert (found.notes, (await world.read()).lines) == ((), 0)


async def test_a_file_that_was_turned_over_and_is_gone_loses_only_its_own(world):
    world.say("ERROR one\n")
    world.file.unlink()
    other = world.file.with_name("other")  # so that the new file does not get the inode of the old one
    other.write_text("x")
    world.say("ERROR two\n")
    found = await world.read()
    assert found.classes["level:error"] == 1
    assert found.notes == (f"h1: what stood last in the file that was {world.file} is gone",)
    assert (await world.read()).notes == ()


@pytest.mark.parametrize("folder", [True, False], ids=["no file", "no folder"])
async def test_a_file_that_comes_after_the_first_reading_is_read_from_its_beginning(world, folder):
    """A canary's host that never had the service: its first lines are the ones that count most."""
    world.file.unlink()
    if not folder:
        world.file.parent.rmdir()
    assert "No such file" in (await world.read("new")).reason
    assert isinstance(await world.read("new"), NoData)
    world.file.parent.mkdir(exist_ok=True)
    world.say("ERROR one\nERROR two\n")
    found = await world.read("new")
    assert (found.classes["level:error"], found.notes) == (2, ())
    assert (await world.read("other")).lines == 0, "control: where it was there before, reading begins at its end"


async def test_a_host_that_did_not_answer_at_first_is_read_from_the_end(world):
    """Whether the file was there is not known; what stood in it for years is no news."""
    world.host.fails = GopubError("GP410", "no route to h1")
    assert isinstance(await world.read("new"), NoData)
    world.host.fails = None
    world.say("ERROR old\n")
    assert (await world.read("new")).lines == 0


@pytest.mark.parametrize("lines", [MOST_LINES, MOST_LINES + 7])
async def test_lines_that_are_too_many_to_judge_are_told(world, lines):
    world.say("ERROR hidden\n" + "\n" * (lines - 1))
    found = await world.read()
    assert found.lines == lines
    over = lines - MOST_LINES
    assert found.notes == ((f"h1: {over} lines of {world.file} were skipped",) if over else ())
    assert found.classes.get("level:error", 0) == (0 if over else 1)


async def test_a_file_that_was_cut_short_is_read_from_its_beginning(world):
    world.say("INFO a long line that makes the file longer than what follows\n")
    await world.read()
    os.truncate(world.file, 0)
    world.say("ERROR one\n")
    assert await world.levels() == 1
    assert await world.levels() == 0


async def test_a_hole_before_a_line_hides_it_not(world):
    """``copytruncate`` under a program that does not append: it writes on where it was."""
    with world.file.open("r+b") as opened:
        opened.truncate(0)
        await world.levels()
        opened.seek(500_000)
        opened.write(b"ERROR one\n")
    assert (await world.read()).classes == {"level:error": 1, "template:ERROR one": 1}


async def test_of_a_flood_the_newest_bytes_are_read_and_the_rest_is_told(world):
    world.say("ERROR before\n" + "INFO well\n" * (MOST_BYTES // 10) + "ERROR last\n")
    found = await world.read()
    assert found.classes == {"level:error": 1, "template:ERROR last": 1}
    note, unread = found.notes
    assert unread == f"h1: {found.lines - MOST_LINES} lines of {world.file} were skipped"
    assert int(note.split()[1]) + found.lines * 10 == pytest.approx(world.file.stat().st_size, abs=60)
    world.say("ERROR after\n")
    assert (await world.read()).classes["template:ERROR after"] == 1


async def test_one_line_longer_than_a_reading_hides_no_later_one(world):
    world.say("x" * (2 * MOST_BYTES))
    assert (await world.read()).notes
    world.say("ERROR end of it\nERROR next\n")
    assert (await world.read()).classes["template:ERROR next"] == 1


async def test_a_service_cannot_speak_as_the_program_does(world):
    world.say("gopub 1 0 4 4\nERROR one\ngopub 9 9 9 9\n\x00\n")
    with world.file.open("ab") as opened:
        opened.write(b"ERROR \xff\xfe two\n")
    assert await world.levels() == 2
    assert await world.levels() == 0


async def test_a_dump_that_two_readings_share_is_one_event(world):
    world.say("panic: boom\n\ngoroutine 1 [running]:\n")
    assert (await world.read()).classes["error:panic"] == 1
    world.say("main.theError(...)\n\t/src/error.go:4 +0x1\n")
    assert (await world.read()).classes == {}


async def test_what_stood_there_before_is_learnt_where_it_is_asked_for(world):
    found = await world.read(f"c{BEFORE}")
    assert found.classes == {"level:error": 1, "template:ERROR of long ago": 1}
    assert await world.levels() == 0, "control: a rollout's own reading begins at the end"


async def test_what_cannot_be_read_says_why(world):
    world.file.unlink()
    assert "No such file" in (await world.read()).reason
    world.file.mkdir()
    assert "no such file" in (await world.read()).reason
    world.host.fails = GopubError("GP410", "no route to h1")
    assert (await world.read()) == NoData(f"{world.file} on h1 cannot be read: GP410 no route to h1")
    world.host.fails = TimeoutError()
    assert "was not read within" in (await world.read()).reason


async def test_a_pipe_in_the_file_s_place_holds_nobody_up(world):
    world.file.unlink()
    os.mkfifo(world.file)
    assert "no such file" in (await world.read()).reason


def test_an_answer_that_was_cut_off_ends_where_it_ends():
    (part,) = parse_parts(b"gopub 7 10 100 500\nhalf")
    assert (part.inode, part.start, part.data) == ("7", 10, b"half")
    assert parse_parts(b"sh: not found\n") == ()


def test_a_path_is_an_argument_and_no_part_of_the_program():
    words = to_read("/var/log/$(reboot) x.log", "", 0, 9).argv
    assert words[:4] == ("timeout", "3", "sh", "-c")
    assert words[5:] == ("gopub", "/var/log/$(reboot) x.log", "", "0", "9")
    assert "reboot" not in words[4]


@pytest.mark.parametrize("path", ["app.log", "", "/var/log/a\nb", "~/app.log"])
def test_only_a_whole_path_is_one(path):
    assert LogFile(path="/var/log/{app}.log").open()
    with pytest.raises((ValidationError, GopubError)):
        LogFile(path=path)


# --- links: whoever runs the service owns the folder of its log, and the reader may read more


SERVICE, OTHER = 65001, 65002


def given(path: Path, uid: int) -> Path:
    os.chown(path, uid, uid, follow_symlinks=False)
    return path


def linked(world: World, owner: int, target: Path, maker: int) -> None:
    """The log's folder is the service's, and its name leads to a file of ``owner`` over a link of ``maker``."""
    given(target, owner)
    world.file.unlink()
    world.file.symlink_to(target)
    given(world.file, maker)
    given(world.file.parent, SERVICE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
@pytest.mark.parametrize(
    ("owner", "maker", "is_read"),
    [(0, SERVICE, False), (OTHER, SERVICE, False), (SERVICE, SERVICE, True), (OTHER, 0, True), (OTHER, OTHER, True)],
)
async def test_a_link_to_the_file_of_another_user_is_not_followed(world, tmp_path_factory, owner, maker, is_read):
    target = tmp_path_factory.mktemp("elsewhere") / "shadow"
    target.write_text("ERROR of another user\n")
    linked(world, owner, target, maker)
    found = await world.read()
    if is_read:
        assert found.classes["template:ERROR of another user"] == 1
        return
    assert isinstance(found, NoData)
    assert "a link leads to another user's file" in found.reason
    assert "of another" not in found.reason


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
@pytest.mark.parametrize(("name", "is_read"), [("hello.log", False), ("other.log", True)])
async def test_a_folder_that_became_a_link_of_the_service_leads_nowhere(tmp_path, name, is_read):
    """Control: the file that has the name itself is read, whoever owns the folder."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "hello.log").write_text("")
    (tmp_path / "logs").symlink_to(secret)
    given(tmp_path / "logs", SERVICE)
    (tmp_path / "other.log").write_text("")
    path = tmp_path / "logs" / name if name == "hello.log" else tmp_path / name
    found = await FileSource(str(path), timeout=30).read(LogTarget("h1", "c", "hello.service", Host()), 0.0)
    assert isinstance(found, NoData) is not is_read


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
async def test_a_second_name_of_another_users_file_is_not_read(world, tmp_path_factory):
    target = tmp_path_factory.mktemp("elsewhere") / "shadow"
    target.write_text("ERROR of another user\n")
    world.file.unlink()
    os.link(target, world.file)
    given(world.file.parent, SERVICE)
    assert isinstance(await world.read(), NoData)
    given(target, SERVICE)
    assert (await world.read()).classes["level:error"] == 1, "control: a second name of its own"


@pytest.mark.parametrize("step", ["dated.log", "./dated.log", "../{folder}/dated.log", "{whole}/dated.log"])
async def test_a_link_of_ones_own_to_the_file_of_today_is_followed(world, step):
    folder = world.file.parent
    world.file.rename(folder / "dated.log")
    world.file.symlink_to(step.format(folder=folder.name, whole=folder))
    world.say("ERROR one\n")
    assert await world.levels() == 1
