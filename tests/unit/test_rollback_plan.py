"""What `gopub rollback` goes back to: one release too far is as bad as none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gopub.errors import GopubError
from gopub.fleet.facts import HostFacts, ReleaseDir
from gopub.journal import events as ev
from gopub.journal.kit import Kit
from gopub.plan.model import Outcome, ReleaseRef
from gopub.usecases.way_back import Past, WayBack, past_of, way_back
from tests.support.rollout_world import World

ONE, TWO, THREE = (ReleaseRef(digit * 64, version) for digit, version in (("1", "1.0"), ("2", "2.0"), ("3", "3.0")))
NAMES = ("app1", "app2", "app3", "app4")


def folder(ref: ReleaseRef) -> str:
    return f"{ref.short}-{'0' * 12}"


def fleet(*runs: ReleaseRef | None, holds: tuple[ReleaseRef, ...] = (ONE, TWO, THREE)) -> dict[str, HostFacts]:
    """The hosts in order: what each runs (None: it does not answer)."""
    held = tuple(folder(ref) for ref in holds)
    return {
        name: HostFacts(name, f"id-{name}", current=ReleaseDir(ref.release, "0" * 64, "9" * 64), releases=held)
        for name, ref in zip(NAMES, runs, strict=True)
        if ref
    }


@pytest.fixture
def kit(tmp_path) -> Kit:
    """The last plan brought 3.0 to hosts on 2.0."""
    world = World(tmp_path)
    plan = world.plan()
    hosts = tuple(replace(host, before=folder(TWO)) for host in plan.hosts)
    plan = replace(plan, release=THREE, stable=TWO, hosts=hosts)
    known = tuple((ref.version, ref.release) for ref in (ONE, TWO, THREE))
    return Kit(7, plan, world.ports().hosts, world.environment, known=known)


def history(*ends: tuple[ReleaseRef, Outcome]) -> list[ev.Event]:
    """An env's stream: what was rolled out, and how it ended."""

    def told() -> Iterator[ev.Event]:
        stable = ReleaseRef("", "")
        for number, (ref, outcome) in enumerate(ends):
            yield ev.EnvOpened(f"r{number}", ref.release)
            bad = ref.release if outcome is Outcome.ROLLED_BACK else ""
            stable = ref if outcome is Outcome.PROMOTED else stable
            yield ev.EnvClosed(f"r{number}", outcome, stable.release, stable.version, bad)

    return list(told())


UP, BACK, WITHDRAWN, REFUSED = Outcome.PROMOTED, Outcome.ROLLED_BACK, Outcome.WITHDRAWN, Outcome.REFUSED


def plan(kit: Kit, past: list[ev.Event], facts: dict[str, HostFacts], to: str = "") -> WayBack:
    return way_back(kit, past_of(past, kit, facts), facts, to, "back")


def stable_of(way: WayBack) -> ReleaseRef:
    assert way.plan.stable is not None
    return way.plan.stable


def test_what_was_promoted_goes_and_the_release_before_it_comes_back(kit):
    way = plan(kit, history((ONE, UP), (TWO, UP), (THREE, UP)), fleet(THREE, THREE, THREE, THREE))
    assert (way.plan.release, stable_of(way), way.outcome) == (THREE, TWO, Outcome.ROLLED_BACK)
    assert {host.before for host in way.plan.hosts} == {folder(TWO)}


def test_a_refused_rollout_changed_nothing_so_the_promoted_one_before_it_is_meant(kit):
    way = plan(kit, history((ONE, UP), (TWO, UP), (THREE, REFUSED)), fleet(TWO, TWO, TWO, TWO))
    assert (way.plan.release, stable_of(way)) == (TWO, ONE)


def test_a_release_that_was_found_bad_never_comes_back_unasked(kit):
    way = plan(kit, history((ONE, UP), (TWO, UP), (TWO, BACK), (THREE, UP)), fleet(THREE, THREE, THREE, THREE))
    assert stable_of(way) == TWO, "control: what became stable is not bad"
    past = [*history((ONE, UP), (TWO, UP), (THREE, UP)), ev.EnvClosed("r9", UP, THREE.release, "3.0", TWO.release)]
    assert stable_of(plan(kit, past, fleet(THREE, THREE, THREE, THREE))) == ONE


@pytest.mark.parametrize("last", [BACK, WITHDRAWN])
def test_where_the_last_rollout_went_back_a_person_has_to_name_what_they_want(kit, last):
    """On call types `gopub rollback` on the alarm of an automatic one: 2.0 is what runs, and it is good."""
    past = history((ONE, UP), (TWO, UP), (THREE, last))
    with pytest.raises(GopubError, match="GP725 the last rollout went back already"):
        plan(kit, past, fleet(TWO, TWO, TWO, TWO))
    named = plan(kit, past, fleet(TWO, TWO, TWO, TWO), "1.0")
    assert (named.plan.release, stable_of(named), named.outcome) == (TWO, ONE, Outcome.ROLLED_BACK)


@pytest.mark.parametrize("to", ["1.0", "v1.0"])
def test_the_version_to_go_back_to_may_be_written_with_the_v_of_its_tag(kit, to):
    past = history((ONE, UP), (TWO, UP), (THREE, UP))
    assert stable_of(plan(kit, past, fleet(THREE, THREE, THREE, THREE), to)) == ONE
    with pytest.raises(GopubError, match="GP725"):
        plan(kit, past, fleet(THREE, THREE, THREE, THREE), f"v{to}.9")


def test_a_host_that_a_way_back_did_not_reach_is_put_right_and_nobody_is_blamed(kit):
    way = plan(kit, history((ONE, UP), (TWO, UP), (THREE, BACK)), fleet(TWO, THREE, TWO, TWO))
    assert (way.plan.release, stable_of(way), way.outcome) == (THREE, TWO, Outcome.MENDED)


@pytest.mark.parametrize("nothing_new", [REFUSED, Outcome.MENDED])
def test_what_changes_no_release_does_not_count_as_the_last_rollout(kit, nothing_new):
    past = history((ONE, UP), (TWO, UP), (THREE, BACK), (THREE, nothing_new))
    with pytest.raises(GopubError, match="went back already"):
        plan(kit, past, fleet(TWO, TWO, TWO, TWO))


def test_without_a_journal_the_last_plan_is_what_goes_if_it_runs_anywhere(kit):
    """The canary is the smaller part: what most hosts run is the release that shall stay."""
    way = plan(kit, [], fleet(THREE, TWO, TWO, TWO))
    assert (way.plan.release, stable_of(way), way.outcome) == (THREE, TWO, Outcome.ROLLED_BACK)


def test_without_a_journal_a_plan_that_runs_nowhere_went_back_already(kit):
    with pytest.raises(GopubError, match="went back already"):
        plan(kit, [], fleet(TWO, TWO, TWO, TWO))


def test_without_a_journal_and_with_silent_hosts_the_last_plan_goes(kit):
    way = plan(kit, [], fleet(None, None, None, None))
    assert (way.plan.release, stable_of(way)) == (THREE, TWO)
    assert {host.before for host in way.plan.hosts} == {folder(TWO)}, "the plan knows what they had"


def test_a_silent_host_of_which_nobody_knows_what_it_holds_has_nothing_to_go_to(kit):
    way = plan(kit, history((ONE, UP), (TWO, UP), (THREE, UP)), fleet(THREE, THREE, THREE, None), "1.0")
    assert [host.before for host in way.plan.hosts] == [folder(ONE)] * 3 + [""]


def test_a_first_release_has_nothing_before_it(kit):
    first = replace(kit, plan=replace(kit.plan, stable=None))
    with pytest.raises(GopubError, match="GP725 no release before"):
        plan(first, history((THREE, UP)), fleet(THREE, THREE, THREE, THREE))


def test_a_release_id_names_a_release_as_well(kit):
    past = history((ONE, UP), (TWO, UP), (THREE, UP))
    assert stable_of(plan(kit, past, fleet(THREE, THREE, THREE, THREE), ONE.release[:16])) == ONE


def test_a_new_journal_may_have_found_stable_on_the_hosts(kit):
    """Its first rollout knew only what the hosts ran."""
    facts = fleet(THREE, THREE, THREE, THREE)
    assert past_of(history((THREE, UP)), kit, facts) == Past(THREE, (TWO,))
