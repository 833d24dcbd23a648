"""`gopub history`: past rollouts, the newest first, and bounded; what is damaged is named and hides nothing."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gopub.cli import main
from gopub.clock import ManualClock
from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.store import open_journal
from gopub.plan.model import Outcome
from gopub.views.history import MOST_TEXT, past_lines
from gopub.views.past import History, read_history
from tests.unit.views_world import NEW, world

NEWEST_FIRST = ["r-back", "r-done", "r-new", "r-blind", "r-wait", "r-held", "r-bake"]
BACK = [
    "2023-11-14 22:13:34Z  orders 2.0.0 into lab: rolled back by rule 3 after 1s",
    "    r-back, asked by ann: because | of <it>",
    "    errors *rise*",
    "    owed: app1, edge edge1",
]


def listed(folder: Path, *, most: int = 20, app: str = "", env: str = "") -> History:
    """What is read of the world in a folder."""
    journal, clock = world(folder) if not (folder / "journal.db").exists() else (_again(folder), ManualClock())
    return read_history(journal, clock.now(), app, env, most=most)


def _again(folder: Path) -> Any:
    return open_journal(str(folder / "journal.db"), ManualClock())


def damage(folder: Path, *streams: str) -> None:
    """Write over what these streams hold."""
    with closing(sqlite3.connect(folder / "journal.db")) as db:
        for stream in streams:
            assert db.execute("UPDATE journal SET data = '{' WHERE stream = ?", (stream,)).rowcount
        db.commit()


def names(history: History) -> list[str]:
    """The ids in their order."""
    return [past.rollout for past in history.rollouts]


def test_the_newest_comes_first_with_how_it_ended_who_asked_and_why(tmp_path):
    found = listed(tmp_path)
    assert names(found) == NEWEST_FIRST
    assert (found.older, found.lost) == (0, ())
    rows = {past.rollout: past for past in found.rollouts}
    assert past_lines(rows["r-back"]) == BACK
    assert (rows["r-back"].outcome, rows["r-back"].rule, rows["r-back"].seconds) == ("rolled back", 3, 1.0)
    assert (rows["r-done"].outcome, rows["r-done"].rule, rows["r-done"].reason) == ("promoted", 7, "")
    standing = {name: (rows[name].outcome, rows[name].ended) for name in NEWEST_FIRST[2:]}
    assert standing == {"r-new": ("active", ""), "r-blind": ("active", ""), "r-wait": ("waiting", ""),
                        "r-held": ("held", ""), "r-bake": ("active", "")}  # fmt: skip
    assert rows["r-new"].asked_by == "ann", "its own stream has no entry yet: the env's tells"


def test_at_most_so_many_and_only_of_this_app_and_env(tmp_path):
    found = listed(tmp_path, most=2)
    assert (names(found), found.older) == (NEWEST_FIRST[:2], 5)
    assert names(listed(tmp_path, app="orders")) == ["r-back", "r-held", "r-bake"]
    assert names(listed(tmp_path, app="hello", env="lab")) == ["r-done"]


def test_a_damaged_rollout_is_named_and_what_its_env_tells_stands(tmp_path):
    whole = listed(tmp_path)
    damage(tmp_path, "rollout/r-back", "asked/r-held")
    found = listed(tmp_path)
    assert names(found) == NEWEST_FIRST
    damaged = {past.rollout: past for past in found.rollouts if past.damage}
    assert set(damaged) == {"r-back", "r-held"}
    back = damaged["r-back"]
    assert (back.app, back.outcome, back.release, back.asked_by) == ("orders", "rolled back", NEW[:12], "ann")
    assert "GP703" in past_lines(back)[-1]
    assert (damaged["r-held"].outcome, damaged["r-held"].version) == ("cannot be told", "2.0.0")
    others = [past.rollout for past in found.rollouts if not past.damage]
    assert others == [past.rollout for past in whole.rollouts if past.rollout not in damaged], "control: as before"


def test_an_env_whose_stream_is_damaged_is_named_and_its_rollouts_are_found_by_their_own(tmp_path):
    listed(tmp_path)
    damage(tmp_path, "env/orders/lab", "env/orders/prod", "rollout/r-bake")
    found = listed(tmp_path)
    assert [(one.app, one.env, one.damage.code) for one in found.lost] == [
        ("orders", "prod", "GP703"), ("orders", "lab", "GP703")]  # fmt: skip
    assert sorted(names(found)) == sorted(NEWEST_FIRST)
    rows = {past.rollout: past for past in found.rollouts}
    own = "2023-11-14 22:13:35Z  orders 2.0.0 into lab: rolled back by rule 3 after 0s"
    assert past_lines(rows["r-back"]) == [own, *BACK[1:]], "when the env opened it nobody tells"
    bake = rows["r-bake"]
    assert (bake.app, bake.damage.code if bake.damage else "") == ("", "GP703"), "nobody tells whose it is"
    assert names(listed(tmp_path, app="hello")) == [name for name in NEWEST_FIRST if name in
                                                    {"r-done", "r-new", "r-blind", "r-wait"}]  # fmt: skip


def test_what_others_wrote_is_one_line_of_bounded_length(tmp_path):
    journal = open_journal(str(tmp_path / "journal.db"), ManualClock())
    evil = "\x1b]0;t\a\nand " + "long " * 100
    journal.append("env/a/b", 0, [ev.EnvOpened("r1", NEW)], actor="eve\x1b[2J")
    journal.append("rollout/r1", 0, [ev.Opened("r1", "a", "b", NEW, "1\x9b", evil)], actor="eve\x1b[2J")
    journal.append("rollout/r1", 1, [ev.Refused(("no",)), ev.Closed(Outcome.REFUSED, "no\u202e\r\n" + evil)], actor="x")
    (past,) = read_history(journal, 0.0, most=1).rollouts
    lines = past_lines(past)
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert "\\u001b]0;t\\u0007\\nand " in lines[1] and "eve\\u001b[2J" in lines[1]
    assert max(len(past.because), len(past.reason)) == MOST_TEXT < len(evil)


def told(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    """What the command says, and its exit code."""
    monkeypatch.setenv("GOPUB_JOURNAL", str(folder / "journal.db"))
    monkeypatch.setattr("sys.argv", ["gopub", "history", *options])
    try:
        main.run()
    except SystemExit as end:
        return end.code, *capsys.readouterr()
    return 0, *capsys.readouterr()


def test_the_command_prints_both_forms_and_ends_with_what_is_damaged(tmp_path, monkeypatch, capsys):
    world(tmp_path)
    code, said, err = told(tmp_path, monkeypatch, capsys, "-n", "1")
    assert (code, said.splitlines()) == (0, BACK)
    assert "6 older" in err
    code, said, _ = told(tmp_path, monkeypatch, capsys, "--json", "--app", "orders", "--env", "lab")
    document = json.loads(said)
    assert (code, document["schema_version"], document["older"], document["damaged_envs"]) == (0, 1, 0, [])
    (row,) = document["rollouts"]
    assert {name: row[name] for name in ("rollout", "outcome", "asked_by", "because", "reason", "rule", "seconds")} == {
        "rollout": "r-back", "outcome": "rolled back", "asked_by": "ann", "because": "because | of <it>",
        "reason": "errors *rise*", "rule": 3, "seconds": 1.0}  # fmt: skip
    assert (row["owed"], row["owed_edges"], "damaged" in row) == (["app1"], ["edge1"], False)
    damage(tmp_path, "rollout/r-back", "env/hello/lab")
    code, said, err = told(tmp_path, monkeypatch, capsys)
    assert (code, err.count("error: GP703")) == (1, 2)
    assert "hello 2.0.0 into lab: promoted by rule 7" in said, "control: it is told without its env"
    assert told(tmp_path, monkeypatch, capsys, "-n", "0")[0] == 2


def test_a_journal_that_cannot_be_read_is_no_damage_of_one_rollout(tmp_path):
    journal, clock = world(tmp_path)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        db.execute("ALTER TABLE journal RENAME TO diary")
        db.commit()
    with pytest.raises(GopubError, match="GP701"):
        read_history(journal, clock.now(), most=5)
