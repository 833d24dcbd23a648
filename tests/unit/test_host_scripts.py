"""Services that are scripts: whose process is an interpreter, and what proves which file it runs."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chance import seed
from tests.support.switching import SHELLS, SwitchingHost

LINE = "#!@I@"
SOAK = bool(os.environ.get("GOPUB_SOAK"))


@pytest.fixture(params=sorted(SHELLS))
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SwitchingHost]:
    made = SwitchingHost(tmp_path / "host", str(request.param))
    yield made
    made.close()


@pytest.mark.parametrize("mode", ["restart", "socket", "handover", "reload"])
def test_a_script_is_switched_and_proven_in_every_mode(host: SwitchingHost, mode: str) -> None:
    one, two = host.release("a", mode=mode, line=LINE), host.release("b", mode=mode, line=f"{LINE} -u")
    assert host.do("switch", one).ok
    for verb, name in (("switch", two), ("rollback", one), ("switch", two)):
        record = host.do(verb, name)  # type: ignore[arg-type]
        assert (record.ok, record.values.get("way")) == (True, mode), record
        assert host.is_one() == name
        proof = host.do("verify", name, settle="0")
        assert proof.ok, proof
        assert proof.values["unit.exe"] == str(host.home / "releases" / name / "bin/web")
        assert proof.values["unit.interpreter"] == str(host.interpreter)
        assert proof.values["check.exe"] == proof.values["unit.exe_digest"]
        facts = host.do("facts", name).values
        assert facts["unit.exe_digest"] == facts["current_digest"]


@pytest.mark.parametrize("mode", ["handover", "reload"])
def test_killed_at_any_step_a_script_is_one_release_whole(tmp_path: Path, mode: str) -> None:
    host = SwitchingHost(tmp_path / "host")
    one, two = (host.release(letter, mode=mode, line=LINE) for letter in "ab")
    assert host.do("switch", one).ok
    assert host.do("switch", two).ok
    steps = range(1, host.steps + 1)
    died = 0
    for step in steps if SOAK else sorted(random.Random(seed()).sample(steps, 3)):
        assert host.do("rollback", one).ok
        order = host.order("switch", two)
        died += host.run(order, kill_at=step) is None
        record = host.run(order)
        assert record is not None
        assert record.ok, (step, record)
        assert host.is_one() == two, step
        assert host.do("verify", two, settle="0").ok
    host.close()
    assert died


def test_control_a_process_that_only_moves_to_the_new_folder_does_not_run_it(host: SwitchingHost) -> None:
    one, two = (
        host.release("a", mode="reload", line=LINE, how="chdirs"),
        host.release("b", mode="reload", line=LINE),
    )
    assert host.do("switch", one).ok
    record = host.do("switch", two, within="2")
    assert (record.ok, record.code) == (False, "GP536"), record
    assert host.current == one


WRONG = {
    "another interpreter": "#!/bin/busybox sh",
    "no interpreter": "#!/nowhere/python3",
    "a word of the interpreter": "#!@I@ -e",
    "not a script": ": ",
    "one that env does not find": "#!/usr/bin/env no-such-interpreter",
    "options of env": "#!/usr/bin/env -S @I@",
}


def test_what_the_first_line_does_not_start_is_no_proof(host: SwitchingHost) -> None:
    """Whoever starts the script by other words, as a unit of one's own may, runs who knows what."""
    name = host.release("a", mode="restart", line=LINE)
    assert host.do("switch", name).ok
    file = host.home / "releases" / name / "bin/web"
    text = file.read_text()
    for what, line in WRONG.items():
        file.write_text(text.replace(f"#!{host.interpreter}", line.replace("@I@", str(host.interpreter)), 1))
        record = host.do("verify", name, settle="0", within="0")
        assert (record.ok, record.code) == (False, "GP444"), record
        assert f"runs {host.interpreter} with digest" in record.message, what
        assert (f"has the words {file}" in record.message) == (what != "not a script"), record.message
    file.write_text(text + "#")
    record = host.do("verify", name, settle="0", within="0")
    assert (record.ok, record.code) == (False, "GP444"), "a file that was altered under the process"
    file.write_text(text)
    assert host.do("verify", name, settle="0", within="0").ok


def test_what_env_finds_is_what_systemd_finds(tmp_path: Path) -> None:
    host = SwitchingHost(tmp_path / "host")
    name = host.release("a", mode="restart", line="#!/usr/bin/env dash")
    try:
        host.do("switch", name)
        record = host.do("verify", name, settle="0", within="0")
        assert (record.ok, record.values["unit.interpreter"]) == (True, os.path.realpath("/usr/bin/dash")), record
    finally:
        os.kill(host.main, 9)
