"""A journal or a kit that cannot be opened is told in words, and `gopub rollback` does its work without the journal."""

from __future__ import annotations

import asyncio

import pytest

from gopub.clock import ManualClock
from gopub.errors import GopubError
from gopub.journal.adopt import spools
from gopub.journal.kit import Kit, kit_path, read_kit, write_kit
from gopub.journal.store import open_journal
from gopub.usecases import rollback
from gopub.wiring.backends import BACKENDS
from tests.support.rollout_world import NEW, OLD, World, chart, in_memory

POSTGRES = "postgresql+psycopg://USER@HOST"
PATH = "is the path writable"
FORM = "give a path, or a URL such as sqlite:////"


@pytest.mark.parametrize(
    ("url", "says", "hint"),
    [
        ("postgres://u:hunter2@db/j", "the journal at postgres://u:***@db/j cannot be opened: Can't load", POSTGRES),
        ("postgresql+pg8000://u:hunter2@db/j", "cannot be opened: No module named 'pg8000'", POSTGRES),
        ("sqlight:///journal.db", "cannot be opened: Can't load plugin", FORM),
        ("what is this://u:hunter2@db/j", "the journal at what is this:… cannot be opened: Could not parse", FORM),
        ("sqlite:///{}/none/journal.db", "cannot be opened: unable to open database file", PATH),
        ("{}/file/journal.db", "cannot be opened: [Errno 17] File exists", PATH),
        ("{}/file/in/journal.db", "cannot be opened: [Errno 20] Not a directory", PATH),
        ("/proc/nowhere/journal.db", "cannot be opened: [Errno 2] No such file", PATH),
    ],
)
def test_a_journal_that_cannot_be_opened_is_told_with_its_place_and_no_password(tmp_path, url, says, hint):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(GopubError) as caught:
        open_journal(url.format(tmp_path), ManualClock())
    assert caught.value.code == "GP701" and says in caught.value.problem and hint in caught.value.hint
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgres://u:hunter2@db/j", "postgresql+pg8000://u:hunter2@db/j"])
def test_a_rollback_goes_on_without_a_journal_whose_address_is_wrong(tmp_path, monkeypatch, url):
    in_memory(monkeypatch)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    world = World(tmp_path)
    run = world.driver()
    asyncio.run(chart(run, "good"))
    kits = tmp_path / "gopub" / "kits"
    known = (("1", OLD), ("2", NEW))
    write_kit(kits, Kit(run.seat.epoch, run.plan, world.ports().hosts, world.environment, known=known, fleet=world.way))
    monkeypatch.setenv("GOPUB_JOURNAL", url)
    (alarm,) = asyncio.run(rollback.take_back("hello", "lab", reason="bad"))["alarms"]
    assert alarm.startswith("the journal is down (the journal at postgres")
    assert "hunter2" not in alarm
    assert (set(world.running().values()), len(spools(kits))) == ({world.old}, 1)


def test_a_kit_that_is_there_and_cannot_be_read_is_told_so(tmp_path):
    kit_path(tmp_path, "hello", "lab").mkdir(parents=True)
    with pytest.raises(GopubError, match=r"GP717 the rollback kit .*hello-lab\.json cannot be read: Is a directory"):
        read_kit(tmp_path, "hello", "lab", BACKENDS)
