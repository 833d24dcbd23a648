"""A plan says which hosts are handed over and which restart, and why; and it says so of a real plan."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gopub.canon import sha256
from gopub.fleet.facts import HostFacts, ReleaseDir
from gopub.plan.ways import restarts_for_files, ways
from gopub.rollout.payload import render_for
from gopub.rollout.plan import make_plan
from tests.releases import a_plan, prepare
from tests.support.rollout_world import World, in_memory

RUNS = ReleaseDir("1" * 64, "2" * 64, "3" * 64)


def fact(mode: str = "handover", unit: str = "u", *, runs: bool = True) -> HostFacts:
    return HostFacts("h", "m", current=RUNS if runs else None, mode=mode, unit_raw=unit)


def told(mode: str, **facts: HostFacts) -> str:
    return "".join(ways(mode, facts, dict.fromkeys(facts, "u")))


@pytest.mark.parametrize("mode", ["handover", "reload"])
def test_a_host_whose_unit_changes_restarts_and_the_plan_names_it(mode: str) -> None:
    assert told(mode, a=fact(mode), b=fact(mode)) == f"switch: {mode} on every host"
    said = told(mode, a=fact(mode), b=fact(mode, "other"), c=fact(mode, "third"), d=fact("restart"))
    other = f"d restarts: what runs there was not released for a {mode}"
    assert said == f"switch: {mode} on a; b, c restart: the unit changes; {other}"
    assert told(mode, a=fact(runs=False), b=fact(mode, "x")) == (
        f"switch: {mode} on no host; a restarts: nothing runs there yet; b restarts: the unit changes"
    )
    assert told(mode, a=fact(runs=False)) == "", "a first release"
    assert "the unit changes" not in told(mode, a=fact("", "")), "an older program tells nothing: no reason is made up"


def test_a_socket_that_is_new_is_told() -> None:
    assert told("socket", a=fact("socket", "x")) == "switch: socket on every host"
    assert "b restarts: its socket is new" in told("socket", a=fact("socket"), b=fact("restart"))


def test_a_restart_says_nothing() -> None:
    assert told("restart", a=fact()) == ""


def test_many_hosts_are_counted() -> None:
    facts = {f"h{n}": fact("handover", "other") for n in range(8)}
    assert "h0, h1, h2, h3, h4 and 3 more restart: the unit changes" in told("handover", **facts)


def test_a_real_plan_compares_the_units_that_hosts_have_with_those_that_they_would_get(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    world = World(tmp_path)
    release = asyncio.run(prepare(tmp_path, a_plan(tmp_path))).release
    world.environment = world.environment.model_copy(update={"switch": "handover"})
    ports = world.ports()
    hosts = tuple(replace(host, variables={"port": 8080}) for host in ports.hosts)
    ports = replace(ports, hosts=hosts)
    rendered = render_for(release, "lab", ports.environment, hosts[0])
    same = sha256(rendered.files[f"{ports.environment.instance}.service"])
    facts = {name: replace(machine.facts(), mode="handover", unit_raw=same) for name, machine in world.machines.items()}
    changed = {**facts, hosts[1].name: replace(facts[hosts[1].name], unit_raw="0" * 64)}
    for given, text in ((facts, "on every host"), (changed, f"{hosts[1].name} restarts: the unit changes")):
        notes = asyncio.run(make_plan("r2", release, "lab", ports, given)).notes
        assert [note for note in notes if note.startswith("switch: handover") and text in note], notes


def changing(*, binary: str = "4" * 64, file: str = "new", runs: bool = True, hosts: int = 1) -> str:
    """A file that is taken in without a restart changes on the first of these hosts."""
    facts = {f"h{n}": replace(fact(runs=runs), arch="amd64", files=(("hot", "old"),)) for n in range(hosts)}
    files = {name: {"hot": file if name == "h0" else "old"} for name in facts}
    return restarts_for_files(facts, files, {"linux/amd64": binary})


def test_a_plan_says_why_files_that_could_be_taken_in_start_a_new_process_and_what_to_do() -> None:
    said = changing()
    assert said.startswith("every host starts a new process although files with `apply: reload` change: another commit")
    assert "`gopub deploy --config-only`" in said
    assert changing(hosts=2).startswith("h0 starts a new process")
    assert changing(binary=RUNS.binary) == "", "the same program takes them in"
    assert changing(file="old") == "", "none of them changes"
    assert changing(runs=False) == "", "a first release"
