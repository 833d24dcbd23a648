"""Edges that missed the way back get the stable table as soon as they answer again.

Such an edge holds the table from before: it still sends requests to what was taken back. The env's stream says which
edges are owed, and by which rollout. Mending is a small rollout of its own that only goes back: it is written whole,
where no other is active, and driven like any that lost its driver; so it takes the seat, survives a crash at any entry,
and ends with nothing owed, or with what is owed still. It begins when an owed edge answers, or is no edge any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gopub.clock import new_token, new_trace_id
from gopub.errors import GopubError, LockedError
from gopub.journal import events as ev
from gopub.journal.kit import read_kit
from gopub.journal.projects import known_project
from gopub.journal.reading import DAMAGED, read_state, whoami
from gopub.journal.state import EnvState, State, fold_env
from gopub.journal.store import Journal
from gopub.plan.model import Outcome, Plan
from gopub.rollout.backwards import begin_backwards
from gopub.rollout.survey import statuses_of
from gopub.rollout.tables import pools_of
from gopub.telemetry import log
from gopub.traffic.protocol import EdgeStatus
from gopub.wiring import settings
from gopub.wiring.allowed import frozen, of_project
from gopub.wiring.backends import BACKENDS
from gopub.wiring.naming import Elsewhere
from gopub.wiring.outside import open_ports
from gopub.wiring.project import open_project

_log = log("mend")


@dataclass(frozen=True, slots=True)
class Debt:
    """Edges of an env that did not take the last table of a rollout which is over."""

    env: EnvState
    rollout: State
    project: str


async def mend(journal: Journal, now: float, elsewhere: Elsewhere | None = None, app: str = "", env: str = "") -> int:
    """Begin to mend what can be mended now; gives how many such rollouts wait for `recover` to drive them."""
    begun = 0
    for debt in list(debts(journal, app, env)):
        try:
            if answers(debt.env.owed_edges, await _ask(debt, elsewhere)):
                begin(journal, debt, now)
                begun += 1
        except LockedError as error:
            _log.info("%s: %s", debt.rollout.rollout, error.problem)  # somebody begins a rollout: it mends as well
        except GopubError as error:
            _log.warning("the edges of %s in %s stay owed: %s", debt.rollout.app, debt.rollout.env, error.problem)
    return begun


def debts(journal: Journal, app: str = "", env: str = "") -> Iterator[Debt]:
    """What is owed to the edges of every env in which no rollout is active; a damaged one hides no other."""
    for stream in journal.streams("env/"):
        _, its_app, its_env = stream.split("/", 2)
        if app not in ("", its_app) or env not in ("", its_env):
            continue
        known = fold_env(entry.event for entry in journal.read(stream))
        if not known.owed_edges or known.active:
            continue
        try:
            owes = read_state(journal, known.owed_by)
        except GopubError as error:
            if error.code not in DAMAGED:
                raise
            _log.error("what is owed to the edges of %s in %s cannot be told: %s", its_app, its_env, error)
            continue
        yield Debt(known, owes, known_project(journal, its_app, its_env))


def answers(owed: tuple[str, ...], statuses: tuple[EdgeStatus, ...]) -> bool:
    """Whether a table put now would reach an owed edge, or find it gone for good. Pure."""
    silent = {status.edge for status in statuses if status.error}
    return any(edge not in silent for edge in owed)


def begin(journal: Journal, debt: Debt, now: float) -> str:
    """Write the rollout that mends, all of it or nothing; gives its id.

    Raises:
        LockedError: GP704 another rollout began at this moment.
    """
    state = debt.rollout
    if state.plan is None:
        raise GopubError("GP709", f"rollout {state.rollout} has no plan", hint="see `gopub explain`")
    rollout = f"{state.app}-{state.env}-edges-{new_token()[:6]}"
    why = f"{', '.join(debt.env.owed_edges)} missed the last table of {state.rollout}"
    begin_backwards(
        journal,
        _as_it_ended(state, state.plan, rollout),
        outcome=Outcome.MENDED,
        reason=why,
        now=now,
        project=debt.project,
        after=debt.env.version,
        actor=whoami(),
        trace=new_trace_id(),
        owed=[ev.HostOwed(name, state.hosts[name].owed, state.hosts[name].found) for name in state.owed],
    )
    return rollout


def _as_it_ended(state: State, plan: Plan, rollout: str) -> Plan:
    """The plan without steps, its hosts standing where the rollout left them."""
    out = set(pools_of(state).at("out")) - set(state.owed)
    hosts = tuple(replace(host, idle=host.name in out) for host in plan.hosts)
    return replace(plan, rollout=rollout, hosts=hosts, steps=())


async def _ask(debt: Debt, elsewhere: Elsewhere | None) -> tuple[EdgeStatus, ...]:
    """How the edges stand, by what the last plan froze, else by the project's word: no release has a say in it."""
    state = debt.rollout
    project = await open_project(debt.project).naming_store(elsewhere)
    try:
        allowed = frozen(read_kit(settings.kits_folder(), state.app, state.env, BACKENDS))
    except GopubError:
        allowed = of_project(project, state.env)
    project = await project.naming(allowed.environment, elsewhere)
    async with open_ports(project, allowed) as ports:
        return await statuses_of(ports, state.app, state.env, ports.environment)
