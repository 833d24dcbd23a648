"""An env whose entries are damaged says so in its row, hides no other, and is an error of `gopub status` at its end."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gopub.cli import main
from gopub.errors import GopubError
from gopub.usecases.recover_edges import debts
from gopub.views.reading import read_envs
from gopub.views.status import cells
from tests.unit.views_world import world

_ILLEGAL = "UPDATE journal SET type = 'Settling', data = '{}' WHERE type = 'Admitted' AND stream = ?"
_STRANGER = """UPDATE journal SET data = replace(data, '"app1"', '"z"') WHERE type = 'HostStaged' AND stream = ?"""
_NO_JSON = "UPDATE journal SET data = '{' WHERE stream = ?"
DAMAGES = {
    "rollout/r-bake": (_ILLEGAL, "GP702"),
    "rollout/r-held": (_STRANGER, "GP733"),
    "asked/r-held": (_NO_JSON, "GP703"),
    "env/hello/lab": (_NO_JSON, "GP703"),
}
ENV_OF = {
    "rollout/r-bake": ("orders", "prod"), "rollout/r-held": ("orders", "dev"), "asked/r-held": ("orders", "dev"),
    "env/hello/lab": ("hello", "lab"),
}  # fmt: skip


def damage(folder: Path, *streams: str) -> None:
    """Write over what these streams hold."""
    with closing(sqlite3.connect(folder / "journal.db")) as db:
        for stream in streams:
            assert db.execute(DAMAGES[stream][0], (stream,)).rowcount
        db.commit()


def status(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    """What the command says, and its exit code."""
    monkeypatch.setenv("GOPUB_JOURNAL", str(folder / "journal.db"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr("sys.argv", ["gopub", "status", *options])
    try:
        main.run()
    except SystemExit as end:
        return end.code, *capsys.readouterr()
    return 0, *capsys.readouterr()


@pytest.mark.parametrize("stream", DAMAGES)
def test_a_damaged_env_says_so_and_hides_no_other(tmp_path, monkeypatch, capsys, stream):
    world(tmp_path)
    code, whole, _ = status(tmp_path, monkeypatch, capsys, "--json")
    before = {(row["app"], row["env"]): row for row in json.loads(whole)["envs"]}
    assert (code, len(before)) == (5, 7), "something is owed to orders in lab"
    damage(tmp_path, stream)
    code, said, err = status(tmp_path, monkeypatch, capsys, "--json")
    after = {(row["app"], row["env"]): row for row in json.loads(said)["envs"]}
    mine, wrong = ENV_OF[stream], DAMAGES[stream][1]
    damaged = after.pop(mine)
    assert (code, damaged["damaged"].partition(" ")[0]) == (1, wrong)
    assert f"error: {wrong}" in err
    assert after == {key: row for key, row in before.items() if key != mine}, "control: the others are as they were"
    if not stream.startswith("env/"):
        was = before[mine]["active"]
        told = damaged["active"]
        assert all(told[name] == was[name] for name in ("rollout", "driver", "driver_alive")) and was["driver"]
        assert (told["version"], told["step"], told["verdict"]) == (None, None, None)
        assert {**damaged, "active": was} == {**before[mine], "damaged": damaged["damaged"]}


def test_the_table_and_every_error_of_several(tmp_path, monkeypatch, capsys):
    world(tmp_path)
    damage(tmp_path, "rollout/r-bake", "env/hello/lab")
    code, said, err = status(tmp_path, monkeypatch, capsys)
    table = said.partition("\n\n")[0]
    rows = {tuple(line.split()[:2]): " ".join(line.split()) for line in table.splitlines()}
    assert len(rows) == 8  # with the head
    assert "r-bake: cannot be told: GP702" in rows["orders", "prod"]
    assert "cannot be told: GP703" in rows["hello", "lab"]
    assert "held by ann" in rows["orders", "dev"]
    assert (code, err.count("error: GP702"), err.count("error: GP703")) == (1, 1, 1)


def test_whoever_asks_for_a_healthy_env_alone_meets_no_error(tmp_path, monkeypatch, capsys):
    world(tmp_path)
    damage(tmp_path, "rollout/r-bake")
    assert status(tmp_path, monkeypatch, capsys, "--app", "hello")[0] == 0
    assert status(tmp_path, monkeypatch, capsys, "--app", "orders")[0] == 1


def test_a_journal_that_cannot_be_read_is_no_damage_of_one_env(tmp_path):
    journal, clock = world(tmp_path)
    assert {len(cells(row)) for row in read_envs(journal, clock.now())} == {6}
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        db.execute("ALTER TABLE seats RENAME TO chairs")
        db.commit()
    with pytest.raises(GopubError, match="GP701"):
        read_envs(journal, clock.now())


def test_what_is_owed_elsewhere_is_mended_beside_a_damaged_env(tmp_path, caplog):
    journal, _ = world(tmp_path)
    owing = [(debt.rollout.app, debt.rollout.env) for debt in debts(journal)]
    assert owing == [("orders", "lab")], "control"
    damage(tmp_path, "env/hello/lab")
    assert [(debt.rollout.app, debt.rollout.env) for debt in debts(journal)] == owing
    assert "what is owed of hello in lab cannot be told: GP703" in caplog.text
