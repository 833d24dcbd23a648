"""Which release folders stay on a host: what was good is counted, and what a rollback would take stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopub.errors import GopubError
from gopub.fleet.facts import HostFacts, ReleaseDir
from gopub.fleet.keeping import Known, surplus
from gopub.fleet.orders import Order, Record
from gopub.journal import events as ev
from gopub.journal.good import known_at
from gopub.journal.kit import Kit
from gopub.journal.streams import env_stream
from gopub.plan.model import Outcome, ReleaseRef
from gopub.usecases.way_back import past_of, way_back
from tests.support.doubles import MemoryHost
from tests.support.rollout_world import OLD, World, drive, in_memory

UP, BACK, WITHDRAWN, REFUSED = Outcome.PROMOTED, Outcome.ROLLED_BACK, Outcome.WITHDRAWN, Outcome.REFUSED


def ident(letter: str) -> str:
    return letter * 64


def folder(letter: str, render: str = "0") -> str:
    return f"{letter * 12}-{render * 12}"


def letters(folders: Sequence[str]) -> str:
    return "".join(name[0] for name in folders)


def history(*ends: tuple[str, Outcome]) -> list[ev.Event]:
    """An env's stream: what was rolled out, in order, and how it ended."""
    told: list[ev.Event] = []
    stable = ""
    for number, (letter, outcome) in enumerate(ends):
        stable = letter if outcome is UP else stable
        bad = ident(letter) if outcome is BACK else ""
        told += [ev.EnvOpened(f"r{number}", ident(letter)),
                 ev.EnvClosed(f"r{number}", outcome, ident(stable) if stable else "", stable, bad)]  # fmt: skip
    return told


def gone(held: str, past: list[ev.Event], *, keep: int, now: str, before: str) -> str:
    """The letters that go of ``held``, which names folders from the newest to the oldest."""
    known = known_at([*past, ev.EnvOpened("now", ident(now))], ident(now), ident(before) if before else "")
    folders = [folder(letter) for letter in held]
    previous = folder(before) if before else ""
    return letters(surplus(folders, now=folder(now), previous=previous, keep=keep, known=known))


def test_four_failed_releases_push_no_good_one_out() -> None:
    past = history(("1", UP), ("2", UP), ("3", UP), ("4", UP), *((bad, BACK) for bad in "abcd"))
    assert gone("5dcba4321", past, keep=5, now="5", before="4") == "dcba"


@pytest.mark.parametrize("end", [BACK, WITHDRAWN, REFUSED])
def test_what_never_became_stable_goes_first_whatever_its_age(end: Outcome) -> None:
    past = history(("a", end), ("1", UP), ("2", UP))
    assert gone("321a", past, keep=5, now="3", before="2") == "a"


def test_good_ones_beyond_the_number_go_the_oldest_first() -> None:
    past = history(("1", UP), ("2", UP), ("3", UP))
    assert gone("4321", past, keep=2, now="4", before="3") == "21"
    assert gone("1234", past, keep=2, now="4", before="3") == "12", (
        "by the order of rollouts, not by the age of folders"
    )


def test_what_rollback_would_take_stays_even_where_only_one_is_kept() -> None:
    past = history(("1", UP), ("2", UP), ("3", UP))
    assert gone("4321", past, keep=1, now="4", before="3") == "21"


def test_a_stable_that_somebody_went_back_to_stays_beside_newer_ones() -> None:
    """1 is stable again by `rollback --to`; 2 to 5 are good, and cleared of the quarantine by a person."""
    past = history(*((letter, UP) for letter in "12345"))
    back = ev.EnvClosed("b", BACK, ident("1"), "1", ident("5"))
    past = [*past, ev.EnvOpened("b", ident("5")), back, ev.QuarantineCleared(ident("5"), "was the network")]
    assert gone("654321", past, keep=2, now="6", before="1") == "5432"


def test_a_release_that_was_good_and_is_quarantined_goes_first() -> None:
    past = history(("1", UP), ("2", UP), ("3", UP))
    past = [*past, ev.EnvOpened("b", ident("3")), ev.EnvClosed("b", BACK, ident("2"), "2", ident("3"))]
    assert gone("4321", past, keep=5, now="4", before="2") == "3"


def test_a_bad_release_is_not_kept_for_having_run_last() -> None:
    """A host that a way back did not reach ran the failed one until now: its previous folder is no way back."""
    past = history(("1", UP), ("a", BACK))
    known = known_at([*past, ev.EnvOpened("now", ident("2"))], ident("2"), ident("1"))
    held = [folder("2"), folder("a"), folder("1")]
    assert letters(surplus(held, now=folder("2"), previous=folder("a"), keep=5, known=known)) == "a"


def test_a_failed_release_that_is_rolled_out_again_and_promoted_is_good() -> None:
    assert gone("a1", history(("1", UP), ("a", WITHDRAWN)), keep=5, now="a", before="1") == ""


def test_what_the_journal_never_saw_counts_as_good_after_what_it_knows() -> None:
    """A new journal on old hosts: nobody can say that 1 to 3 were bad, so they go by age as ever."""
    assert gone("4321", [], keep=5, now="4", before="3") == ""
    assert gone("4321", [], keep=2, now="4", before="3") == "21"
    assert gone("3x1", history(("1", UP)), keep=2, now="3", before="1") == "x"


def test_other_renders_of_a_release_take_no_place_of_another_release() -> None:
    held = [folder("2", "9"), folder("2", "8"), folder("2", "7"), folder("1")]
    known = Known((ident("2"), ident("1")))
    left = surplus(held, now=folder("2", "8"), previous=folder("2", "7"), keep=2, known=known)
    assert left == (), "the newest, the running and the previous render, and the release before"
    assert surplus(held, now=folder("2", "9"), previous=folder("1"), keep=2, known=known) == (held[1], held[2])


@given(st.data())
def test_however_it_went_what_runs_and_what_rollback_takes_stay(data: st.DataObject) -> None:
    ends = data.draw(
        st.lists(st.tuples(st.sampled_from("12345678"), st.sampled_from([UP, BACK, WITHDRAWN])), max_size=9)
    )
    keep = data.draw(st.integers(1, 6))
    ends = [("0", UP), *ends]
    past = history(*ends)
    before = next(letter for letter, outcome in reversed(ends) if outcome is UP)
    held = data.draw(st.permutations(["9", *{letter for letter, _ in ends}]))
    left = set(held) - set(gone("".join(held), past, keep=keep, now="9", before=before))
    assert {"9", before} <= left
    promoted = {letter for letter, outcome in ends if outcome is UP}
    good = {"9", *promoted} - _bad_at_last(ends)
    assert left <= good, "no bad one stays"
    assert len(left) == max(min(keep, len(good)), len({"9", before})), "and no good one goes before its turn"


def _bad_at_last(ends: list[tuple[str, Outcome]]) -> set[str]:
    """What was taken back at some time and was not stable then or after."""
    bad: set[str] = set()
    stable = ""
    for letter, outcome in ends:
        stable = letter if outcome is UP else stable
        bad = (bad | ({letter} if outcome is BACK else set())) - {stable}
    return bad


@pytest.fixture
def kit(tmp_path) -> Kit:
    """Four hosts; the last plan brought 5 where 4 was."""
    world = World(tmp_path)
    refs = {letter: ReleaseRef(ident(letter), letter) for letter in "12345a"}
    made = replace(world.plan(), release=refs["5"], stable=refs["4"])
    return Kit(
        7, made, world.ports().hosts, world.environment, known=tuple((v, ref.release) for v, ref in refs.items())
    )


def hosts_on(letter: str, *held: str) -> dict[str, HostFacts]:
    """Four hosts that run ``letter``; what each holds, the newest first."""
    runs = ReleaseDir(ident(letter), "0" * 64, "9" * 64)
    return {
        f"app{n}": HostFacts(f"app{n}", f"id-app{n}", current=runs, releases=tuple(folder(x) for x in held[n - 1]))
        for n in range(1, 5)
    }


def hint_of(kit: Kit, past: list[ev.Event], facts: dict[str, HostFacts], to: str = "") -> str:
    with pytest.raises(GopubError) as refused:
        way_back(kit, past_of(past, kit, facts), facts, to, "back")
    assert refused.value.code == "GP725"
    return refused.value.hint


def test_the_hint_names_only_what_a_rollback_would_take(kit: Kit) -> None:
    past = history(("1", UP), ("2", UP), ("3", UP), ("4", UP), ("a", BACK), ("5", UP))
    facts = hosts_on("5", "5a432", "5a432", "5a43", "5a4")
    said = hint_of(kit, past, facts, "1")
    assert said == "name one that the hosts hold with --to: 3, 4, or roll it out", (
        "1 is nowhere, 2 on too few, 5 runs everywhere, a is quarantined"
    )
    for version in ("3", "4"):
        assert way_back(kit, past_of(past, kit, facts), facts, version, "back").plan.stable
    for version in ("1", "2"):
        hint_of(kit, past, facts, version)


def test_where_nothing_can_be_taken_the_hint_says_so(kit: Kit) -> None:
    facts = hosts_on("5", "5", "5", "5", "5")
    assert hint_of(kit, history(("5", UP)), facts, "1") == "the hosts hold no other good release, or roll it out"
    went_back = hint_of(kit, history(("4", UP), ("5", BACK)), hosts_on("4", "543", "543", "543", "543"))
    assert went_back == "name one that the hosts hold with --to: 3"


def test_a_promoted_rollout_prunes_the_failed_ones_and_keeps_what_was_good(tmp_path, monkeypatch) -> None:
    """`keep_releases: 5`, four failed releases: the good ones are there to go back to, on every host."""
    in_memory(monkeypatch)
    world = World(tmp_path)
    past = history(("1", UP), ("2", UP), ("3", UP), *((bad, BACK) for bad in "4567"))
    old = ev.EnvOpened("old", OLD), ev.EnvClosed("old", UP, OLD, "old")
    world.journal.append(env_stream("hello", "lab"), 0, [*past, *old], actor="test")
    for machine in world.machines.values():
        machine.folders = {folder(letter): "0" * 64 for letter in "1234567"} | {world.old: "0" * 64}
    run = drive(world, "good")
    assert run.state.closed
    assert run.state.closed.outcome is UP
    left = {world.new, world.old, folder("1"), folder("2"), folder("3")}
    assert all(set(machine.folders) == left for machine in world.machines.values())


class Immutable(MemoryHost):
    """Lets nobody remove anything."""

    def _do(self, order: Order) -> Record:
        if order.verb == "prune":
            return self._record(order, "GP448", "cannot remove from /opt/hello/releases: old")
        return super()._do(order)


def test_what_cannot_be_removed_is_told_and_the_rollout_is_promoted_all_the_same(tmp_path, monkeypatch) -> None:
    """Else the disk of that host fills in silence."""
    in_memory(monkeypatch)
    world = World(tmp_path)
    before = world.machines["app1"]
    world.machines["app1"] = Immutable("app1", before.machine_id, before.folders, before.current, before.epoch)
    run = drive(world, "good")
    assert run.state.closed and run.state.closed.outcome is Outcome.PROMOTED
    told = [alarm for alarm in run.alarms if "old releases" in alarm]
    assert told == ["app1 keeps old releases: GP448 cannot remove from /opt/hello/releases: old"], "not the others"
