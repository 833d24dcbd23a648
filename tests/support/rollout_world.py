"""A world in memory for a rollout: hosts, an edge and a journal that outlive drivers, and the flow's chart."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gopub.build.artifact import FileRef
from gopub.clock import ManualClock
from gopub.evidence.frame import moment
from gopub.evidence.keys import KeySigner
from gopub.evidence.stating import serial_of
from gopub.evidence.summary import Summary, sign_summary
from gopub.fleet.host import Host
from gopub.fleet.templates import Rendered
from gopub.journal import events as ev
from gopub.journal.reading import read_env_state
from gopub.journal.state import EnvState
from gopub.journal.stated import Stated
from gopub.journal.store import Journal, open_journal
from gopub.journal.transitions import Phase
from gopub.plan.model import Outcome, Plan, PlannedHost, PlannedStep, ReleaseRef
from gopub.release.model import EnvironmentFiles, Release, TargetFiles
from gopub.rollout import back, hooks, seat, settle, stage, switch
from gopub.rollout import reach as reach_box
from gopub.rollout.box import box
from gopub.rollout.close import close_promoted
from gopub.rollout.run import Run
from gopub.rollout.seat import resume, start
from gopub.rollout.turn import turn_around
from gopub.rollout.wish import Wish
from gopub.spec.loader import parse_spec
from gopub.wiring.ports import Ports
from tests.support.doubles import MemoryEdges, MemoryFleet, MemoryHost, MemoryRouter
from tests.support.memory import Edges, Memory, known_as
from tests.support.memory_admission import MemoryAdmission, all_refused

OLD, NEW = "a" * 64, "b" * 64
SPEC = """
app: hello
environments:
  lab: {inventory: hosts.ini, hosts: role=app, health: "http://127.0.0.1:8080/healthz", traffic: edge}
"""


def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes next comes after a dead driver's lease."""
    monkeypatch.setattr(seat, "LEASE", 0.0)


UNIT = "[Unit]\nDescription=hello\n"
RELEASE = Release(
    "hello",
    "2",
    "c" * 40,
    "https://git.example.org/hello",
    1_700_000_000.0,
    {"linux/amd64": TargetFiles(FileRef("hello.tar.gz", "8" * 64, 1), FileRef("hello", "9" * 64, 1), {}, {})},
    {"lab": EnvironmentFiles({}, {}, UNIT)},
    {},
)
"""What is brought in; its unit says nothing of a host, so that all of them get the same files."""
RENDER = Rendered.of({"hello.service": UNIT.encode()}).render_id


class Linked:
    """A store that hosts fetch from by themselves: nothing is carried to them but their rendered files."""

    async def url(self, key: str, *, expires: float) -> str:
        del expires
        return f"https://store.example.org/{key}"


class Killed(BaseException):
    """The driver's process is gone: no handler of ours may run after it."""


class MortalJournal(Journal):
    """Dies before or after the append whose number it is given."""

    def __init__(self, journal: Journal, at: int, *, after: bool) -> None:
        super().__init__(journal._engine, journal._clock)
        self.left, self._after = at, after

    def append_all(self, *args: Any, **kwargs: Any) -> list[int]:
        self.left -= 1
        if self.left == 0 and not self._after:
            raise Killed
        versions = super().append_all(*args, **kwargs)
        if self.left == 0:
            raise Killed
        return versions


class World:
    """Hosts, an edge and a journal that outlive drivers; the hosts let in what was admitted alone."""

    enrolled = False
    """Whether its hosts are, from the start."""

    def __init__(self, path: Path, count: int = 4, stable: str = OLD, journal: str = "") -> None:
        self.clock = ManualClock()
        self.journal = open_journal(journal or str(path / "journal.db"), self.clock)
        self.names = [f"app{n}" for n in range(1, count + 1)]
        self.stable = stable
        self.old, self.new = f"{stable[:12]}-{'1' * 12}", f"{NEW[:12]}-{RENDER[:12]}"
        self.machines = {
            n: MemoryHost(n, f"id-{n}", folders={self.old: "0" * 64}, current=self.old, epoch=7, enrolled=self.enrolled)
            for n in self.names
        }
        self.admits = KeySigner(ec.generate_private_key(ec.SECP256R1()))
        self.says: tuple[Stated, ...] | None = None
        self.ask_for_admissions()
        self.router: MemoryRouter | MemoryEdges = MemoryRouter()
        self.environment = parse_spec(SPEC, "gopub.yaml").spec.environments["lab"]
        self.kits = path / "kits"
        self.project, self.by, self.commit = ".", "", ""
        self.way = Memory(world=known_as(self))
        self.edges_known = Edges(inventory="hosts.ini", hosts="role=edge", world=known_as(self))

    def ports(self, journal: Journal | None = None) -> Ports:
        known = tuple(Host(name, f"198.18.0.{n}") for n, name in enumerate(self.names))
        return Ports(journal or self.journal, self.clock, MemoryFleet(self.machines), known, self.environment,
                     Linked(), self.kits, router=self.router)  # fmt: skip

    def at_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Go to a project that says all of it: whoever reads it reaches these hosts and edges, and this journal."""
        home = self.kits.parent / "project"
        home.mkdir(exist_ok=True)
        (home / "gopub.yaml").write_text(SPEC + "publish: {store: artifacts}\n")
        (home / "connections.yaml").write_text(
            f"artifacts: {{kind: directory, path: {home / 'artifacts'}}}\n"
            f"ssh: {{kind: memory, world: {self.way.world}}}\n"
            f"edge: {{kind: memory-edges, world: {self.way.world}, inventory: hosts.ini, hosts: role=edge}}\n"
        )
        lines = [f"{name} ansible_host=198.18.0.{n} role=app" for n, name in enumerate(self.names)]
        (home / "hosts.ini").write_text("\n".join([*lines, "edge1 role=edge", "edge2 role=edge", ""]))
        monkeypatch.chdir(home)
        monkeypatch.setenv("GOPUB_JOURNAL", str(self.kits.parent / "journal.db"))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(self.kits.parent / "none"))

    def plan(self) -> Plan:
        planned = tuple(
            PlannedHost(
                n, f"{n}:8080", f"id-{n}", "linux/amd64", RENDER, self.old, "0" * 64, pinned=self.machines[n].enrolled
            )
            for n in self.names
        )
        steps = (PlannedStep(0, ("app1",), 2500, 1.0), PlannedStep(1, ("app1", "app2"), 5000, 1.0))
        wanted, stable = ReleaseRef(NEW, "2"), ReleaseRef(self.stable, "1")
        return Plan("r1", "hello", "lab", "hello", wanted, stable, planned, steps, 1, 1.5, 3600.0, 5.0,
                    "judged", upstream="hello", binaries=(("linux/amd64", "9" * 64),))  # fmt: skip

    def driver(self, journal: Journal | None = None, rollout: str = "r1") -> Run:
        """Begin the rollout, or take it over where it is active: as the command and `recover` do."""
        ports = self.ports(journal)
        facts = {name: machine.facts() for name, machine in self.machines.items() if machine.reachable}
        epoch = self.router.table.epoch if self.router.table else 0
        if self.env().active:
            run = resume(ports, rollout, facts, epoch, why="go on", force=True)
        else:
            wish = Wish(app="hello", env="lab", release=NEW, version="2", rollout=rollout, project=self.project,
                        by=self.by, commit=self.commit)  # fmt: skip
            run = start(ports, wish, facts, epoch)
        run.release = RELEASE
        if run.state.phase is Phase.OPENED:
            run.record(ev.Admitted(statements=self.stated(run.seat.epoch)))
        if run.state.phase is Phase.ADMITTED:
            run.record(ev.Planned(self.plan()))
        return run

    def ask_for_admissions(self) -> None:
        """From now on the hosts take what was admitted, and go back to what is there now."""
        for machine in self.machines.values():
            machine.admission = MemoryAdmission.of(self.admits.public, machine.folders)

    def stated(self, epoch: int, release: str = NEW) -> tuple[Stated, ...]:
        """What the admission states under the seat of that epoch, where no test says otherwise (``says``)."""
        if self.says is not None:
            return self.says
        files, until = RELEASE.targets["linux/amd64"], moment(2e9)
        said = Summary("hello", "lab", "linux/amd64", release, files.archive.digest, files.binary.digest, "4" * 64,
                       moment(0.0), until, "SLSA_BUILD_LEVEL_1", serial=serial_of(epoch))  # fmt: skip
        text = sign_summary(self.admits, said).text
        return (Stated(said.target, until, said.level, "", text, self.admits.public.fingerprint),)

    def refused(self) -> list[str]:
        """What the hosts refused for want of an admission."""
        return all_refused(machine.admission for machine in self.machines.values())

    def env(self) -> EnvState:
        """What the env's stream tells."""
        return read_env_state(self.journal, "hello", "lab")

    def running(self) -> dict[str, str]:
        return {name: machine.current for name, machine in self.machines.items()}


class TwoEdges(World):
    """The same with two edges."""

    router: MemoryEdges

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.router = MemoryEdges("edge1", "edge2")

    def holds(self, edge: str) -> tuple[int, bool]:
        """The canary's weight there, and whether it has one."""
        table = self.router.edges[edge].table
        assert table is not None
        return table.weight, table.canary is not None


@box
async def judge(run: Run, step: PlannedStep, verdict: str) -> None:
    """A bake whose verdict the test gives."""
    if step.index in run.state.passed:
        return
    if verdict == "bad" and step.index == 1:
        turn_around(run, Outcome.ROLLED_BACK, 3, "errors")
        return
    run.record(ev.StepPassed(step.index))


async def chart(run: Run, verdict: str) -> None:
    """The chart of flows/rollout.py with a judge of ours."""
    await reach_box.take_over(run)
    for batch in stage.stage_batches(run):
        await stage.stage(run, batch)
    await hooks.run_hooks(run, "before")
    for step in run.plan.steps:
        for batch in switch.switch_batches(run, step):
            await switch.switch(run, step, batch)
        await reach_box.reach(run, step)
        await judge(run, step, verdict)
        if run.state.back:
            break
    await hooks.run_hooks(run, "after")
    await settle.settle(run)
    await close_promoted(run)
    await back.go_back(run)


async def reach(run: Run, steps: int = 1) -> None:
    """Drive it into its first steps, as far as the bake of the last of them."""
    await reach_box.take_over(run)
    for batch in stage.stage_batches(run):
        await stage.stage(run, batch)
    for step in run.plan.steps[:steps]:
        if run.state.phase is Phase.BAKING:
            run.record(ev.StepPassed(step.index - 1))
        for batch in switch.switch_batches(run, step):
            await switch.switch(run, step, batch)
        await reach_box.reach(run, step)


def drive(world: World, verdict: str, journal: Journal | None = None) -> Run:
    """Drive it to its end, or until the journal kills us."""
    run = world.driver(journal)
    asyncio.run(chart(run, verdict))
    return run


def missed(world: TwoEdges, *hosts: str, edge: str = "") -> Run:
    """Rolled back while these were away that have the new release; they are back, and have it still."""
    run = world.driver()
    asyncio.run(reach(run, 2))
    for name in hosts:
        world.machines[name].reachable = False
    if edge:
        world.router.edges[edge].down = True
    turn_around(run, Outcome.ROLLED_BACK, 3, "errors")
    asyncio.run(back.go_back(run))
    for name in hosts:
        world.machines[name].reachable = True
    if edge:
        world.router.edges[edge].down = False
    return run


def recover(world: World, journal: Journal | None = None) -> Run:
    """What `recover` does with the rollout that is now active."""
    run = world.driver(journal, rollout=world.env().active)
    asyncio.run(chart(run, "good"))
    return run
