"""A rollback says what it does while it does it, host by host, with a journal and without."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
import typer

from gopub.cli import control
from gopub.clock import ManualClock
from gopub.errors import Exit, GopubError
from gopub.journal import events as ev
from gopub.journal.store import open_journal
from gopub.plan.model import Outcome
from gopub.usecases.rollback import take_back
from gopub.views.follow import line_printer
from tests.unit.test_rollback import Canary, garbage, promoted, world
from tests.unit.views_world import NEW_FOLDER, OLD_FOLDER, moving

__all__ = ["world"]


def told(**options: str) -> list[str]:
    """The lines of a rollback, without the tokens in names."""
    lines: list[str] = []
    asyncio.run(take_back("hello", "lab", tell=lines.append, **options))
    return [re.sub(r"[0-9a-f]{12}", "ID", re.sub(r"back-[0-9a-f]{6}", "back-X", line)) for line in lines]


CANARY_BACK = [
    "asking 4 hosts of hello in lab what they run",
    "4 of 4 hosts answered",
    "rollback r1: hello in lab from 2 to 1, 1 host to bring back",
    "traffic is off the canary",
    "bringing back app1",
    "app1 is back on 1 (ID) (1 of 1)",
    "rolled back: rollback asked for",
]


def test_the_canary_of_a_rollout_is_brought_back_in_words(world: Canary):
    first, *lines = told()
    assert [first, *(line for line in lines if "seat" not in line)] == CANARY_BACK


def test_without_its_journal_it_says_the_same(world: Canary, tmp_path: Path):
    garbage(tmp_path / "journal.db")
    lines = told()
    assert re.sub(r"rollback \S+:", "rollback r1:", "\n".join(lines)).splitlines() == CANARY_BACK


def test_every_host_is_told_with_how_many_there_are(world: Canary):
    promoted(world)
    counts = [re.findall(r"^(app\d) is back on 1 .*\((\d of \d)\)$", line) for line in told()]
    assert [found[0][1] for found in counts if found] == ["1 of 4", "2 of 4", "3 of 4", "4 of 4"]
    assert sorted(found[0][0] for found in counts if found) == ["app1", "app2", "app3", "app4"]


def test_nobody_who_listens_can_stop_it(world: Canary):
    def gone(_line: str) -> None:
        raise RuntimeError("the terminal is closed")

    assert asyncio.run(take_back("hello", "lab", tell=gone))["outcome"] == "rolled back"


def test_the_command_prints_it_with_the_time_of_day(world: Canary, capsys):
    with pytest.raises(typer.Exit) as ended:
        control.rollback("hello", "lab")
    out, err = capsys.readouterr()
    assert ended.value.exit_code == 0
    assert re.search(r"^\d\d:\d\d:\d\d  app1 is back on 1 \([0-9a-f]{12}\) \(1 of 1\)$", err, re.MULTILINE), err
    assert out == "hello 2 in lab: rolled back, 1 runs (rollback asked for)\n"


def test_a_rollout_counts_its_hosts_both_ways(tmp_path: Path):
    journal = open_journal(str(tmp_path / "journal.db"), ManualClock())
    events = [
        *moving("r-1", "hello", "prod"), ev.GoingBack(Outcome.WITHDRAWN, 0, "aborted"), ev.TrafficOff(1.0),
        ev.SwitchIntended(("app1",), OLD_FOLDER, "stable"), ev.HostSwitched("app1", OLD_FOLDER, "stable"),
    ]  # fmt: skip
    journal.append("rollout/r-1", 0, events, actor="ann")
    lines: list[str] = []
    show = line_printer(lines.append)
    for entry in journal.read("rollout/r-1"):
        show(entry)
    assert [line.partition("  ")[2] for line in lines if "app" in line] == [
        "staged on app1 (1 of 2)",
        "staged on app2 (2 of 2)",
        "app1 runs the new release, proven by its process (1 of 2)",
        "bringing back app1",
        f"app1 is back on 1.0.0 ({OLD_FOLDER[:12]}) (1 of 1)",
    ]
    assert NEW_FOLDER[:12] not in "".join(lines)


@pytest.mark.parametrize(("app", "env"), [("helo", "lab"), ("hello", "prod")])
def test_an_app_that_is_not_known_is_a_usage_mistake_with_what_there_is(world: Canary, app: str, env: str):
    with pytest.raises(GopubError, match=f"GP941 there is no rollout of {app} in {env}") as refused:
        control.rollback(app, env)
    assert refused.value.exit == Exit.USAGE
    assert refused.value.hint == "there are: hello in lab; if it was driven on another machine, run it there"


@pytest.mark.parametrize("lost", [False, True], ids=["the app is known", "its journal is gone as well"])
def test_a_known_app_without_its_kit_is_no_usage_mistake(world: Canary, tmp_path: Path, lost: bool):
    for kit in world.kits.glob("*.json"):
        kit.unlink()
    if lost:
        garbage(tmp_path / "journal.db")
    with pytest.raises(GopubError, match="GP716") as refused:
        control.rollback("hello", "lab")
    assert refused.value.exit == Exit.FAILED


def test_what_goes_wrong_on_a_wished_way_back_is_told_apart(world: Canary):
    """In the log of the flow: a host that stays owed is a warning, the way back itself is no alarm."""
    world.machines["app1"].reachable = False
    told, warned = list[str](), list[str]()
    asyncio.run(take_back("hello", "lab", tell=told.append, warn=warned.append))
    assert [line for line in warned if "owed" in line] != []
    assert not [line for line in told if "app1 is owed" in line]
    assert told[-1].startswith("rolled back")
