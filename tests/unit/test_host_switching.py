"""Handing over, reloading and restarting on a host, with real processes: killed at any step, refused, late, dead."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chance import seed
from tests.support.switching import SHELLS, SwitchingHost

SOAK = bool(os.environ.get("GOPUB_SOAK"))


@pytest.fixture(params=sorted(SHELLS))
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SwitchingHost]:
    made = SwitchingHost(tmp_path / "host", str(request.param))
    yield made
    made.close()


@pytest.mark.parametrize("mode", ["handover", "reload"])
def test_equal_units_are_handed_over_and_others_restart(host: SwitchingHost, mode: str) -> None:
    one, two, three = (
        host.release("a", mode=mode),
        host.release("b", mode=mode),
        host.release("c", mode=mode, unit="new"),
    )
    first = host.do("switch", one)
    assert (first.ok, first.values["way"], first.values["way_why"]) == (True, "restart", "nothing runs"), first
    assert host.is_one() == one
    assert host.do("switch", one).values.get("way") is None, "what is there is left alone"
    for verb, name in (("switch", two), ("rollback", one)):
        invocation = host.do("facts", name).values["unit.invocation"]
        record = host.do(verb, name)  # type: ignore[arg-type]
        assert (record.ok, record.values["way"], record.values.get("way_why")) == (True, mode, None), record
        assert record.values["invocation"] == invocation, "systemd started nothing"
        assert host.is_one() == name
        proof = host.do("verify", name, settle="0")
        assert proof.ok, proof
        assert proof.values["old_gone"] == ("true" if mode == "handover" else "false")
    other = host.do("switch", three)
    assert (other.values["way"], other.values["way_why"]) == ("restart", "the unit changes"), other
    assert host.is_one() == three
    assert host.do("facts", three).values["mode"] == mode


@pytest.mark.parametrize(("mode", "unit"), [("handover", ""), ("handover", "new"), ("reload", ""), ("socket", "new")])
@pytest.mark.parametrize("then", ["again", "back"])
def test_killed_at_any_step_one_release_is_whole_and_the_next_order_settles_it(
    tmp_path: Path, mode: str, unit: str, then: str
) -> None:
    counted = SwitchingHost(tmp_path / "counted")
    counted.do("switch", counted.release("a", mode=mode))
    assert counted.do("switch", counted.release("b", mode=mode, unit=unit)).ok
    steps = counted.steps
    counted.close()
    assert steps >= 8
    host = SwitchingHost(tmp_path / "host")
    one, two = host.release("a", mode=mode), host.release("b", mode=mode, unit=unit)
    died = 0
    every = range(1, steps + 1)
    tried = every if SOAK or (mode, unit) == ("handover", "") else sorted(random.Random(seed()).sample(every, 5))
    for step in tried:
        assert host.do("rollback", one).ok
        assert host.is_one() == one
        order = host.order("switch", two)
        died += host.run(order, kill_at=step) is None
        host.whole()
        record = host.run(order) if then == "again" else host.do("rollback", one)
        assert record is not None
        assert record.ok, (step, record)
        assert host.is_one() == (two if then == "again" else one), step
    host.close()
    assert died >= len(tried) - 2


def test_control_a_link_that_moves_before_its_unit_mixes_two_releases(tmp_path: Path) -> None:
    host = SwitchingHost(tmp_path / "host", without='place_unit "$1"')
    host.program.write_text(host.program.read_text().replace("    true\n", "    unit_changed=1\n", 1))
    good = SwitchingHost(tmp_path / "good")
    for one in (good, host):
        names = [one.release("a"), one.release("b", unit="new")]
        (one.root / "systemd/web.service").write_text(
            f"# Written by gopub for web; do not edit, the next switch writes it again\n"
            f"{(one.home / 'releases' / names[0] / 'web.service').read_text()}"
        )
        (one.home / "current").symlink_to(f"releases/{names[0]}")
        mixed = 0
        for step in range(1, 30):
            one.run(one.order("switch", names[1]), kill_at=step)
            try:
                one.whole()
            except AssertionError:
                mixed += 1
        assert bool(mixed) == (one is host)
        one.close()


WRONG = {
    "refuses": ("a", 8, "GP532", "does not hand over: process 7, which served before, still drains"),
    "deaf": ("a", 1, "GP534", "still serves after 1s"),
    "dead": ("b", 60, "GP533", "it died before it said ready"),
    "never": ("b", 8, "GP533", "still serves after 8s"),
}


@pytest.mark.parametrize("how", WRONG)
def test_one_that_does_not_take_over_leaves_the_old_one_serving(host: SwitchingHost, how: str) -> None:
    whose, within, code, text = WRONG[how]
    names = [host.release(letter, how=how if letter == whose else "") for letter in "ab"]
    host.do("switch", names[0])
    before = host.main
    record = host.do("switch", names[1], within=str(within))
    assert (record.ok, record.code) == (False, code), record
    assert text in record.message
    assert host.is_one() == names[0]
    assert host.main == before, "it was not restarted"
    assert host.alive() == [before], "nobody is left who could take over later"
    assert host.do("verify", names[0], settle="0").ok


@pytest.mark.parametrize("how", ["refuses", "deaf"])
def test_on_the_way_back_a_restart_is_the_last_resort_and_said(host: SwitchingHost, how: str) -> None:
    one, two = host.release("a"), host.release("b", how=how)
    host.do("switch", one)
    assert host.do("switch", two).values["way"] == "handover"
    back = host.do("rollback", one, within="1")
    assert (back.ok, back.values["way"]) == (True, "restart"), back
    assert back.values["way_why"].startswith(f"process {back.values['main_pid']}"[:8])
    assert host.is_one() == one
    assert host.do("verify", one, settle="0").ok


def test_a_slow_one_is_waited_for_and_one_that_lingers_is_told(host: SwitchingHost) -> None:
    one, late, lingers = host.release("a"), host.release("b", how="late"), host.release("c", how="lingers")
    host.do("switch", one)
    assert host.do("switch", late).ok
    old = host.main
    assert host.do("switch", lingers).ok
    proof = host.do("verify", lingers, settle="0")
    assert (proof.ok, proof.values["old_pid"], proof.values["old_gone"]) == (True, str(old), "false"), proof


def test_one_that_was_killed_in_the_middle_does_not_take_over_later(host: SwitchingHost) -> None:
    """The program dies after the signal, and the new process is slow: whoever went back must not find it there."""
    one, two = host.release("a"), host.release("b", how="late")
    host.do("switch", one)
    order = host.order("switch", two)
    for step in range(1, 40):
        if host.run(order, kill_at=step) is None and [pid for pid in host.alive() if pid != host.main]:
            break
        host.do("rollback", one)
        order = host.order("switch", two)
    assert host.do("rollback", one).ok
    assert host.is_one() == one


def test_a_file_that_only_a_start_reads_is_a_reason_to_restart(host: SwitchingHost) -> None:
    names = [host.release(letter) for letter in "abc"]
    for name, text in zip(names, ("X=1", "X=1", "X=2"), strict=True):
        place = host.home / "releases" / name
        (place / "env").write_text(text)
        unit = place / "web.service"
        unit.write_text(unit.read_text() + f"EnvironmentFile=-{host.home}/current/env\n")
    host.do("switch", names[0])
    assert host.do("switch", names[1]).values["way"] == "handover"
    record = host.do("switch", names[2])
    assert (record.values["way"], record.values["way_why"]) == (
        "restart", "env changes, which a process reads from its unit only",
    ), record  # fmt: skip


def test_a_binary_that_only_reads_its_configuration_anew_is_refused(host: SwitchingHost) -> None:
    (host.root / "app").write_text((host.root / "app").read_text().replace("trap 'next; exec ", "trap ': "))
    one, two = host.release("a", mode="reload"), host.release("b", mode="reload")
    host.do("switch", one)
    record = host.do("switch", two, within="1")
    assert (record.ok, record.code) == (False, "GP536"), record
    assert host.is_one() == one


def test_one_that_crashes_after_it_took_over_is_gone_back_from(host: SwitchingHost) -> None:
    one, two = host.release("a"), host.release("b", how="crash")
    host.do("switch", one)
    host.do("switch", two)
    assert not host.do("verify", two, settle="0", within="1").ok
    assert host.do("rollback", one).ok
    assert host.is_one() == one
