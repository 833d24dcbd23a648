"""What gopub keeps is for its owner alone, whatever the umask; what an older version left open is closed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.deliveries import Deliveries
from gopub.clock import ManualClock
from gopub.evidence.keys import generate
from gopub.journal import events as ev
from gopub.journal.private import write_private
from gopub.journal.store import open_journal
from gopub.lab import state as labs
from gopub.lab.layout import Layout
from gopub.paths import private_file, private_folder, state_dir, state_folder
from gopub.wiring import settings


@pytest.fixture(autouse=True)
def careless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A umask that takes nothing away, and a state folder that is not there yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "share" / "state"))
    monkeypatch.delenv("GOPUB_JOURNAL", raising=False)
    before = os.umask(0)
    yield
    os.umask(before)


def loose(folder: Path) -> list[str]:
    """What others may do anything with, of a folder and all below it."""
    every = [folder, *folder.rglob("*")]
    return sorted(str(path.relative_to(folder)) for path in every if stat.S_IMODE(path.lstat().st_mode) & 0o077)


def test_without_care_files_would_be_open(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "file").touch()
    assert loose(tmp_path / "open") == [".", "file"]  # the control of all that follow


def test_journal_kits_and_keys_are_private_as_is_every_folder_that_was_made_for_them(tmp_path: Path) -> None:
    journal = settings.journal()
    journal.append("s", 0, [ev.Admitted()], actor="me")
    write_private(settings.kits_folder() / "a.json", b"kit")
    generate(state_folder("keys"))
    assert (state_dir() / "journal.db-wal").exists()
    assert [one for one in loose(tmp_path / "share") if not one.endswith(".pub")] == []  # a public key is public


def test_deliveries_are_private(tmp_path: Path) -> None:
    deliveries = Deliveries(tmp_path / "share" / "serve" / "deliveries.sqlite")
    deliveries.begin("k", "d", (), 0.0)
    assert (tmp_path / "share" / "serve" / "deliveries.sqlite-wal").exists()
    assert loose(tmp_path / "share") == []
    deliveries.close()


def test_a_journal_at_a_place_of_its_own_is_private_and_its_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    for url in (str(tmp_path / "team" / "a.db"), f"sqlite:///{tmp_path}/team/b.db"):
        open_journal(url, ManualClock()).append("s", 0, [ev.Admitted()], actor="me")
    assert loose(tmp_path / "team") == ["."]


def test_what_was_left_open_is_closed(tmp_path: Path) -> None:
    journal = settings.journal()
    journal.append("s", 0, [ev.Admitted()], actor="me")
    write_private(settings.kits_folder() / "a.json", b"kit")
    names = [state_dir(), settings.kits_folder(), *(state_dir() / f"journal.db{end}" for end in ("", "-wal", "-shm"))]
    for path in names:
        path.chmod(0o777 if path.is_dir() else 0o666)
    (settings.kits_folder() / "a.part").write_bytes(b"left by a crash")
    settings.journal()
    write_private(settings.kits_folder() / "a.json", b"kit")
    assert [path.name for path in names if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
    assert loose(settings.kits_folder()) == []


def test_a_lab_keeps_its_keys_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPUB_LAB_DIR", str(tmp_path / "share" / "labs"))
    labs.save(Layout("one", labs.home_of("one"), "198.18.0", (), ()))
    modes: list[int] = []
    renamed = Path.rename

    def seen(self: Path, target: Path) -> Path:
        modes.append(stat.S_IMODE(self.stat().st_mode))
        return renamed(self, target)

    monkeypatch.setattr(Path, "rename", seen)
    labs.write(labs.home_of("one") / "id", "key", 0o600)
    assert modes == [0o600]
    assert stat.S_IMODE(labs.lock_file("one").parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(labs.home_of("one").stat().st_mode) == 0o700


def test_a_folder_that_is_everybody_s_is_left_so(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    private_folder(shared)
    private_file(shared / "mine")
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    assert stat.S_IMODE((shared / "mine").stat().st_mode) == 0o600
