"""``rollout.keep_stable``: some hosts stay on stable until the last bake is over, and then follow."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest

from gopub.errors import UsageError
from gopub.fleet.facts import HostFacts, ReleaseDir
from gopub.fleet.host import Host
from gopub.journal import events as ev
from gopub.journal.streams import stream_of
from gopub.journal.transitions import Phase
from gopub.judge.verdict import Cause, Kind
from gopub.plan import keeping
from gopub.plan.capacity import WantedStep, steps
from gopub.plan.model import FULL, Outcome, Plan, PlannedStep, ReleaseRef
from gopub.plan.steps import plan_rollout
from gopub.rollout import settle
from gopub.rollout.back import go_back
from gopub.rollout.judging import judging
from gopub.rollout.run import Run
from gopub.rollout.turn import turn_around
from gopub.spec.loader import parse_spec
from gopub.units import Amount
from gopub.views.plan import plan_lines
from gopub.views.story import story
from tests.support.rollout_world import OLD, RELEASE, Killed, MortalJournal, World, chart, drive, in_memory, reach
from tests.unit.judge_world import CANARY, STABLE, Bake

NAMES = ("app1", "app2", "app3", "app4")
DEFAULT = [WantedStep(hosts=Amount.parse(text)) for text in (1, "10%", "50%", "100%")]


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    in_memory(monkeypatch)


# --- the steps


@pytest.mark.parametrize(
    ("hosts", "keep", "wanted"),
    [
        (4, 0, [(1, 2500), (2, 5000), (4, FULL)]),  # the control
        (4, 1, [(1, 2500), (2, 5000), (3, 7500)]),
        (3, 1, [(1, 3333), (2, 6667), (2, 6667)]),  # the last step bakes although the cut makes it the same
        (2, 1, [(1, 5000), (1, 5000)]),
        (4, 3, [(1, 2500), (1, 2500), (1, 2500)]),
        (100, 1, [(1, 100), (10, 1000), (50, 5000), (99, 9900)]),
    ],
)
def test_the_last_step_leaves_the_kept_hosts_and_their_share(hosts, keep, wanted):
    made = steps(DEFAULT, [f"app{n}" for n in range(hosts)], 1.5, keep=keep)
    assert [(len(step.hosts), step.weight) for step in made] == wanted
    assert [step.index for step in made] == list(range(len(made)))


def test_a_weight_leaves_stable_the_kept_hosts_share_whatever_it_asks_for():
    made = steps([WantedStep(weight=0.25), WantedStep(weight=1.0)], NAMES, 1.5, keep=1)
    assert [(len(step.hosts), step.weight) for step in made] == [(1, 2500), (3, 7500)]
    control = steps([WantedStep(weight=0.25), WantedStep(weight=1.0)], NAMES, 1.5)
    assert [(len(step.hosts), step.weight) for step in control] == [(1, 2500), (3, FULL)], "nothing to compare with"


def test_a_kept_host_is_not_overloaded():
    with pytest.raises(UsageError, match=r"GP712 step 1: 50% of the traffic on 3 of 4 hosts .* stable host 2\.00×"):
        steps([WantedStep(hosts=Amount(share=1.0), weight=0.5)], NAMES, 1.5, keep=1)


@pytest.mark.parametrize(("hosts", "keep"), [(1, 1), (4, 4), (4, 9)])
def test_keeping_every_host_is_refused(hosts, keep):
    with pytest.raises(UsageError, match=f"GP734 keep_stable is {keep} of {hosts} host"):
        steps(DEFAULT, NAMES[:hosts], 1.5, keep=keep)
    assert steps(DEFAULT, NAMES[:hosts], 1.5, keep=hosts - 1)


# --- the plan

SPEC = """
app: hello
environments:
  lab: {{inventory: hosts.ini, hosts: role=app, health: "http://127.0.0.1:8080/healthz", {more}rollout: {rollout}}}
"""


def environment(rollout: str, traffic: str = "traffic: edge, ", more: str = ""):
    return parse_spec(SPEC.format(rollout=rollout, more=traffic + more), "gopub.yaml").spec.environments["lab"]


def facts(name: str, runs: str) -> HostFacts:
    folder = f"{runs[:12]}-{'1' * 12}"
    current = ReleaseDir(runs, "1" * 64, "9" * 64) if runs else None
    return HostFacts(name, f"id-{name}", arch="amd64", current=current, releases=(folder,) if runs else ())


def planned(*runs: str, keep: int = 1, counted: bool = True, serving: tuple[str, ...] = NAMES) -> Plan:
    """A plan over hosts that run these."""
    known = {name: facts(name, release) for name, release in zip(NAMES, runs, strict=False)}
    inventory = [Host(name, f"198.18.0.{number}") for number, name in enumerate(known)]
    stable = ReleaseRef(OLD, "1") if OLD in runs else None
    return plan_rollout(
        "r1", RELEASE, "lab", environment(f"{{keep_stable: {keep}}}"), inventory, known,
        dict.fromkeys(known, "2" * 64), stable, counted=counted, serving=serving,
    )  # fmt: skip


def test_a_plan_names_the_kept_host_and_says_what_it_costs():
    made = planned(OLD, OLD, OLD, OLD)
    assert (made.keep_stable, made.kept, made.steps[-1].hosts) == (1, ("app4",), NAMES[:3])
    assert made.notes[-1] == (
        "1 of 4 hosts (app4) stays on stable with 25% of the traffic, to compare with, until step 3 is passed: "
        "both releases serve for 3m at least and 1h4m at most; then it follows, judged by its health alone"
    )
    assert "  then: app4, kept on stable until here" in plan_lines(made)
    control = planned(OLD, OLD, OLD, OLD, keep=0)
    assert (control.kept, control.steps[-1].hosts) == ((), NAMES)
    assert not any("kept" in line or "stays" in line for line in plan_lines(control))


def test_of_many_kept_hosts_a_few_are_named():
    names = [f"app{n}" for n in range(1, 41)]
    made = steps(DEFAULT, names, 1.5, keep=8)
    told = keeping.cost(made, 40, 8, 3600.0, names[-8:])
    assert told.startswith("8 of 40 hosts (app33, app34, app35, app36, app37 and 3 more) stay on stable with 20% of ")
    assert told.endswith("then they follow, judged by their health alone")


def test_a_host_that_runs_something_else_is_not_the_one_that_is_kept():
    made = planned(OLD, OLD, OLD, "c" * 64)
    assert made.kept == ("app3",)
    assert [host.name for host in made.hosts] == ["app1", "app2", "app4", "app3"]


def test_no_host_is_kept_on_stable_that_does_not_run_it():
    made = planned("c" * 64, OLD, "c" * 64, "d" * 64, keep=2)
    assert (made.keep_stable, made.kept) == (1, ("app2",))
    assert made.notes[-1].startswith("1 of 4 hosts (app2) stays on stable")
    assert made.notes[-1].endswith("; rollout.keep_stable is 2, and no more hosts run stable")
    assert planned(OLD, OLD, "c" * 64, "d" * 64, keep=2).kept == ("app1", "app2"), "control: two run it"


def test_a_first_release_and_one_that_nothing_counts_keep_none_and_say_so():
    first, uncounted = planned("", "", "", ""), planned(OLD, OLD, OLD, OLD, counted=False)
    assert (first.kept, first.steps[-1].hosts, first.notes[-1]) == ((), NAMES, keeping.FIRST)
    assert (uncounted.kept, uncounted.steps[-1].hosts, uncounted.notes[-1]) == ((), NAMES, keeping.UNCOUNTED)
    assert planned("", keep=1).steps[-1].hosts == ("app1",), "one host alone gets its first release"


def test_without_traffic_it_is_refused_at_its_place():
    with pytest.raises(Exception, match=r"gopub\.yaml:4:\d+: GP128 .*keep_stable.*there is no `traffic`"):
        environment("{keep_stable: 1}", traffic="")
    assert environment("{keep_stable: 0}", traffic="").rollout.keep_stable == 0


# --- the rollout


class Kept(World):
    """Its one step leaves app2 on stable."""

    def __init__(self, path) -> None:
        super().__init__(path, 2)

    def plan(self) -> Plan:
        made = super().plan()
        return replace(made, steps=(PlannedStep(0, ("app1",), 5000, 1.0),), keep_stable=1)


def whole(world: World, runs: str, outcome: Outcome) -> None:
    assert set(world.running().values()) == {runs}
    assert world.env().active == ""
    written = [entry.event for entry in world.journal.read(stream_of("r1"))]
    assert [event.outcome for event in written if isinstance(event, ev.Closed)] == [outcome]
    table = world.router.table
    assert table and table.stable and table.canary is None
    assert sorted(peer.host for peer in table.stable.peers) == world.names
    world.journal.verify()


def test_the_kept_host_serves_until_the_last_bake_is_over_and_then_follows(tmp_path):
    world = Kept(tmp_path)
    run = world.driver()
    asyncio.run(reach(run))
    table = world.router.table
    assert table and table.stable and table.canary
    assert ([peer.host for peer in table.stable.peers], table.weight) == (["app2"], 5000)
    assert world.running()["app2"] == world.old
    asyncio.run(chart(run, "good"))
    whole(world, world.new, Outcome.PROMOTED)
    written = [entry.event for entry in world.journal.read(stream_of("r1"))]
    begins = next(at for at, event in enumerate(written) if isinstance(event, ev.Settling))
    assert ev.SwitchIntended(("app2",), "2", "canary") in written[begins:]
    assert not any(isinstance(event, ev.StepReached | ev.Judged) for event in written[begins:]), "nothing is compared"
    assert all(table.hosts() for table in world.router.tables)
    weights = [table.weight for table in world.router.tables if table.canary]
    assert weights == sorted(weights)


@pytest.mark.parametrize(("lang", "line"), [("en", "kept on stable to the end, to compare with: app2"),
                                            ("zh", "保留在稳定版上直到最后，以供比较：app2")])  # fmt: skip
def test_the_story_names_the_kept_hosts(tmp_path, lang, line):
    for kind, told in ((Kept, True), (World, False)):
        (tmp_path / kind.__name__).mkdir()
        world = kind(tmp_path / kind.__name__)
        run = world.driver()
        assert any(line in each for each in story(run.ports.journal.read(stream_of("r1")), lang)) is told


def settling(world: World, journal: MortalJournal | None = None) -> Run:
    """A rollout that passed its last step, and whose kept host did not follow yet."""
    run = world.driver(journal)
    asyncio.run(reach(run))
    run.record(ev.StepPassed(0))
    return run


@pytest.mark.parametrize("after", [False, True], ids=["before the entry", "after the entry"])
def test_killed_anywhere_while_the_kept_host_follows_another_driver_ends_it_whole(tmp_path, after):
    for at in range(1, 100):
        (tmp_path / str(at)).mkdir()
        world = Kept(tmp_path / str(at))
        journal = MortalJournal(world.journal, 0, after=after)
        run = settling(world, journal)
        journal.left = at
        try:
            asyncio.run(chart(run, "good"))
        except Killed:
            if world.env().active:
                drive(world, "good")
            whole(world, world.new, Outcome.PROMOTED)
            continue
        break
    assert at > 5


@pytest.mark.parametrize("switched", [False, True], ids=["before it follows", "after it followed"])
def test_an_abort_while_it_settles_takes_all_hosts_back(tmp_path, switched):
    world = Kept(tmp_path)
    run = settling(world)
    if switched:
        asyncio.run(settle.settle(run))
        assert set(world.running().values()) == {world.new}
        assert run.state.phase is Phase.SETTLING
    turn_around(run, Outcome.WITHDRAWN, 0, "aborted: no")
    asyncio.run(go_back(run))
    whole(world, world.old, Outcome.WITHDRAWN)


def test_a_kept_host_that_does_not_take_the_release_takes_all_back(tmp_path):
    world = Kept(tmp_path)
    run = settling(world)
    world.machines["app2"].bad = frozenset({world.new})
    asyncio.run(chart(run, "good"))
    assert run.state.closed and run.state.closed.outcome is not Outcome.PROMOTED
    whole(world, world.old, run.state.closed.outcome)


def test_the_error_budget_brakes_the_last_step_too_where_hosts_follow_it(tmp_path):
    braked = {}
    for keep in (1, 0):
        (tmp_path / str(keep)).mkdir()
        world = Kept(tmp_path / str(keep))
        world.environment = environment("{}", more="judge: {budget: {freeze_below: 20%}}, ")
        run = world.driver()
        step = run.plan.steps[-1]
        run.recorder.state = replace(run.state, plan=replace(run.plan, keep_stable=keep))
        braked[keep] = judging(run).policy(step).freeze_below
    assert braked == {1: 0.2, 0: None}, "control: after the last step nothing grows"


# --- what it is for


@dataclass
class LastStep(Bake):
    """The last step on four hosts, all of which served stable before; ``incident`` is what fails besides on each."""

    kept: int = 1
    incident: float = 0.0
    deadline: float = 120.0

    def __post_init__(self) -> None:
        self.past = tuple((STABLE, f"h{n}") for n in (1, 2, 3, 4))
        super().__post_init__()
        canary = tuple((CANARY, f"h{n}") for n in range(1, 5 - self.kept))
        self.serving = (*canary, *self.past[4 - self.kept :])
        self.hosts = (*canary, *self.past)
        self.classes = {host: {"2xx": 0.0, "5xx": 0.0, "cut": 0.0, "left": 0.0} for host in self.hosts}
        self.cold, self.counts = ({host: [0] * 19 for host in self.hosts} for _ in range(2))

    def serve(self, seconds, hosts):
        now = len(hosts) == len(self.hosts)
        self.errors += self.incident if now else 0.0
        super().serve(seconds, self.serving if now else self.past)
        self.errors -= self.incident if now else 0.0


def judged(**how: float) -> tuple[Kind, Cause]:
    """What ends the step."""
    verdict, _ = asyncio.run(LastStep(seed=7, rps=10.0, **how).verdict())
    return verdict.kind, verdict.cause


def test_with_a_kept_host_a_shared_incident_is_told_from_a_bad_release():
    assert judged(kept=1, incident=0.05) == (Kind.WITHDRAW, Cause.SLO_DOUBT)
    assert judged(kept=1, extra_errors=0.05)[0] is Kind.ROLLBACK
    assert judged(kept=1)[0] is Kind.PROMOTE


def test_control_without_one_both_look_the_same_and_blame_nobody():
    assert judged(kept=0, incident=0.05) == judged(kept=0, extra_errors=0.05) == (Kind.WITHDRAW, Cause.ALONE)
    assert judged(kept=0)[0] is Kind.PROMOTE
