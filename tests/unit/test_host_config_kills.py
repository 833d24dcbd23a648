"""Config that is taken in, with real processes: killed at any step, and where systemd did not read all of its unit."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from gopub.canon import sha256
from tests.support.chance import seed
from tests.support.switching import SHELLS, SwitchingHost

SOAK = bool(os.environ.get("GOPUB_SOAK"))
HOLDS = ' || ! holds_files "$1"'


def is_one(host: SwitchingHost) -> str:
    """What systemd would start, what the link names and what the process holds are one release; gives it."""
    host.settles()
    host.whole()
    text = (host.home / "current/config").read_text()
    assert host.holds() == sha256(text.encode()), (host.current, text)
    return host.current


@pytest.mark.parametrize("shell", sorted(SHELLS))
def test_another_file_of_the_same_binary_is_taken_in_whatever_release_it_is_of(tmp_path: Path, shell: str) -> None:
    """As where two releases have one binary: what counts is its digest."""
    host = SwitchingHost(tmp_path / "host", shell)
    one, two, other = host.holding("a", "1"), host.holding("b", "2"), host.holding("c", "3", program="y")
    assert host.do("switch", one).values["way"] == "restart"
    began = host.main
    for verb, name in (("switch", two), ("rollback", one), ("switch", two)):
        record = host.do(verb, name)  # type: ignore[arg-type]
        assert (record.ok, record.values["way"]) == (True, "config"), record
        assert is_one(host) == name
        assert host.main == began
        assert host.do("verify", name, settle="0").values["check.config"] == "ok"
    assert host.do("switch", other).values["way"] == "restart", "the control: another binary"
    assert is_one(host) == other
    host.close()


@pytest.mark.parametrize("stale", [False, True], ids=["taken in", "restarted"])
@pytest.mark.parametrize("way", ["there", "and back"])
def test_killed_at_any_step_it_ends_whole_and_the_process_says_so(tmp_path: Path, way: str, *, stale: bool) -> None:
    mixed, died, tried = killed(SwitchingHost(tmp_path / "host"), way, stale=stale)
    assert mixed == []
    assert died >= tried - 2


def test_control_who_asks_for_the_binary_alone_mixes(tmp_path: Path) -> None:
    """The process was started by that very release, and took other files in since."""
    host = SwitchingHost(tmp_path / "host")
    text = host.program.read_text()
    assert HOLDS in text
    host.program.write_text(text.replace(HOLDS, ""))
    mixed, _, _ = killed(host, "there", stale=True, every=True)
    assert mixed


def killed(
    host: SwitchingHost, way: str, *, stale: bool, every: bool = SOAK
) -> tuple[list[tuple[int, str, str]], int, int]:
    """What was mixed after which step, how often the program died, and how many steps were tried."""
    chance = random.Random(seed())
    one, two = host.holding("a", "1"), host.holding("b", "2")
    start, aim = (one, two) if way == "there" else (two, one)
    host.do("switch", one)

    def begin() -> None:
        assert host.do("switch", start).ok
        assert is_one(host) == start
        if stale:  # somebody changed a drop-in: what serves is restarted, for it was started with another one
            (host.root / "sd/drop-in").touch()

    begin()
    assert host.do("switch", aim).values["way"] == ("restart" if stale else "config")
    steps = range(1, host.steps + 1)
    tried = steps if every else sorted(chance.sample(steps, 6))
    mixed, died = [], 0
    for step in tried:
        begin()
        order = host.order("switch" if way == "there" else "rollback", aim)
        died += host.run(order, kill_at=step) is None
        then = "again" if every else chance.choice(["again", "back"])
        try:
            host.whole()
            record = host.run(order) if then == "again" else host.do("rollback", start)
            assert record is not None
            assert record.ok, record
            assert is_one(host) == (aim if then == "again" else start)
            assert host.do("verify", host.current, settle="0").ok
        except AssertionError as error:
            mixed.append((step, then, str(error)))
    host.close()
    return mixed, died, len(tried)
