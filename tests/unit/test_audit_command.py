"""`gopub audit verify` as it is typed: what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gopub.errors import Exit, UsageError
from gopub.journal.database import engine_of
from gopub.journal.enrolled import HostsEnrolled, TrustChanged
from gopub.journal.reading import read_env_state
from gopub.journal.streams import env_stream
from gopub.usecases.audit import moment
from tests.support.command import gopub
from tests.support.rewriting import rewritten
from tests.support.rollout_world import World, drive, in_memory


class Enrolled(World):
    """Its hosts check orders, and remember."""

    enrolled = True


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """After a rollout that was promoted, in the project's folder."""
    in_memory(monkeypatch)
    made = Enrolled(tmp_path)
    drive(made, "good")
    made.at_home(monkeypatch)
    return made


def rewrite(world: World) -> None:
    """As the database's owner would."""
    engine = engine_of(str(world.kits.parent / "journal.db"), 5.0)
    rewritten(engine, lambda rows: [{**row, "actor": "mallory"} for row in rows])
    engine.dispose()


def test_a_past_that_agrees_ends_well_and_the_chain_alone_says_no_less_of_a_false_one(world: World) -> None:
    ended = gopub("audit", "verify")
    assert (ended.code, ended.err) == (Exit.OK, "")
    entries = world.journal.verify()
    assert ended.out.splitlines()[0] == f"journal: {entries} entries, the chain holds"
    assert ended.out.splitlines()[1].startswith(f"app1 (lab): the same until entry {entries} as ")
    rewrite(world)
    assert gopub("status", "--verify").code == Exit.OK, "control: who looks at the chain alone is told that it holds"
    ended = gopub("audit", "verify", "--env", "lab")
    assert ended.code == Exit.REFUSED
    assert ended.err.startswith("error: GP488 history differs: app1 (lab): remembers entry ")


def test_programs_are_told_the_same(world: World) -> None:
    told = json.loads(gopub("audit", "verify", "--json").out)
    assert told["schema_version"] == 1
    assert (told["differs"], told["journal"]["vouched"]) == (False, told["journal"]["entries"])
    assert [one["stands"] for one in told["hosts"]] == ["agrees"] * 4
    rewrite(world)
    world.machines["app2"].enrolled = False
    ended = gopub("audit", "verify", "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["differs"]) == (Exit.REFUSED, True)
    assert [one["stands"] for one in told["hosts"]] == ["differs", "unpinned", "differs", "differs"]
    first = told["hosts"][0]["memory"]["first"]
    assert (first["rollout"], first["verb"], len(first["hash"])) == ("r1", "stage", 64)


def test_hosts_that_were_not_reached_are_no_success_and_no_alarm(world: World) -> None:
    world.machines["app3"].reachable = False
    ended = gopub("audit", "verify")
    assert ended.code == Exit.PARTIAL
    assert "app3 (lab): not asked: GP413 app3 cannot be reached" in ended.out
    for machine in world.machines.values():
        machine.reachable = False
    ended = gopub("audit", "verify")
    assert ended.code == Exit.INCONCLUSIVE
    assert ended.err.startswith("error: GP489 no host vouches for the journal: app1 (lab): not asked: ")


def test_a_time_is_one_with_its_zone(world: World) -> None:
    assert moment("2026-11-30T13:00:00+01:00") == "2026-11-30T12:00:00Z"
    for wrong in ("yesterday", "2026-11-30T12:00:00", "2026-13-30T12:00:00Z"):
        with pytest.raises(UsageError, match="GP489"):
            moment(wrong)
    rewrite(world)
    ended = gopub("audit", "verify", "--since", "2030-01-01T00:00:00Z")
    assert ended.code == Exit.INCONCLUSIVE, "what is left out vouches for nothing"


def test_who_changed_whom_hosts_trust_is_told_in_order(world: World) -> None:
    assert "nobody changed whom hosts trust" in gopub("audit", "trust").err
    stream, keys = env_stream("hello", "lab"), ("a" * 64, "b" * 64)
    events = [
        HostsEnrolled(("app1", "app2"), "audit of May", roots=("c" * 64,)),
        TrustChanged("rotate", intended=True, serial=2, controllers=keys),
        TrustChanged("rotate", ("app1",), ("app2",), serial=2, controllers=keys),
        TrustChanged("upgrade", ("app1", "app2"), program="d" * 64),
        HostsEnrolled(("app2",), undone=True),
    ]
    world.journal.append(stream, read_env_state(world.journal, "hello", "lab").version, events, actor="ann")
    told = gopub("audit", "trust", "--env", "lab")
    assert told.code == Exit.OK, told.err
    lines = told.out.splitlines()[1:]
    assert [line.split("ann", 1)[1].strip() for line in lines] == [
        f"enrolled app1, app2 under the roots {'c' * 16}: audit of May",
        f"rotate: list of roles 2, orders by {'a' * 16}, {'b' * 16}; brought from now on",
        f"rotate: list of roles 2, orders by {'a' * 16}, {'b' * 16}; taken by app1; owed to app2",
        f"upgrade: program {'d' * 16}; taken by app1, app2",
        "unenrolled app2",
    ]
    [first, *_] = json.loads(gopub("audit", "trust", "--json").out)["changes"]
    assert (first["actor"], first["event"]["data"]["hosts"]) == ("ann", ["app1", "app2"])
    assert gopub("explain").code == Exit.OK, "what else reads the stream goes on"


def changed(world: World, what: str) -> None:
    stream = env_stream("hello", "lab")
    version = read_env_state(world.journal, "hello", "lab").version
    world.journal.append(
        stream, version, [TrustChanged(what, ("app1",), serial=2, controllers=("a" * 64,))], actor="ann"
    )


def test_an_explanation_tells_whom_hosts_trusted_before_a_rollout_and_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory(monkeypatch)
    world = Enrolled(tmp_path)
    for what in ("roles", "rotate"):
        changed(world, what)
        asyncio.run(world.clock.sleep(10))
    drive(world, "good")
    asyncio.run(world.clock.sleep(10))
    world.at_home(monkeypatch)
    assert [one["event"]["data"]["what"] for one in json.loads(gopub("explain", "--json").out)["trust"]] == ["rotate"]
    changed(world, "revoke")
    told = gopub("explain").out
    assert "whom hosts trust was changed:" in told
    assert f"ann: rotate: list of roles 2, orders by {'a' * 16}; taken by app1" in told
    assert "revoke" not in told, "that was after its end"
    assert "revoke" in gopub("audit", "trust").out, "control"
