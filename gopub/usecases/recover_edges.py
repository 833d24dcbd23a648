"""Edges that missed the way back get the stable table, and owed hosts their release, as soon as they answer again.

Such an edge holds the table from before: it still sends requests to what was taken back; such a host may run it. The
env's stream says what is owed, and by which rollout. Mending is a small rollout of its own that only goes back: it is
written whole, where no other is active, and driven like any that lost its driver; so it takes the seat, survives a
crash at any entry, and ends with nothing owed, or with what is owed still. It begins when an owed edge answers, or is
no edge any more, or when an owed host can be mended (``recover_hosts``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from gopub.clock import new_token
from gopub.errors import GopubError, LockedError
from gopub.journal import events as ev
from gopub.journal.kit import read_kit
from gopub.journal.projects import known_project
from gopub.journal.reading import DAMAGED, read_state, whoami
from gopub.journal.state import EnvState, State, fold_env
from gopub.journal.store import Journal
from gopub.plan.model import Outcome, Plan, PlannedHost
from gopub.rollout.backwards import begin_backwards
from gopub.rollout.survey import HOSTS_ANSWER_WITHIN, ask_all, statuses_of
from gopub.rollout.tables import kept_in, pools_of
from gopub.telemetry import log
from gopub.tracing.context import begin as begin_trace
from gopub.traffic.protocol import EdgeStatus
from gopub.usecases.recover_hosts import Found, look, with_found
from gopub.wiring import settings
from gopub.wiring.allowed import frozen, of_project
from gopub.wiring.backends import BACKENDS
from gopub.wiring.naming import Elsewhere
from gopub.wiring.outside import open_ports
from gopub.wiring.ports import Ports
from gopub.wiring.project import open_project

_log = log("mend")
_NO_HOST = Found()


@dataclass(frozen=True, slots=True)
class Debt:
    """What an env owes since a rollout that is over: edges that did not take its last table, unconfirmed hosts."""

    env: EnvState
    rollout: State
    project: str

    @property
    def hosts(self) -> dict[str, str]:
        """The hosts, and why each is owed; an older gopub told of them in the rollout alone."""
        return {name: self.rollout.hosts[name].owed for name in self.rollout.owed} | dict(self.env.owed_hosts)

    @property
    def unreached(self) -> frozenset[str]:
        """Those of the hosts that refused nothing: nobody had reached them."""
        return self.env.unreached_hosts

    @property
    def says(self) -> str:
        """For people: what kind of things is owed where."""
        kinds = [*(("edges",) if self.env.owed_edges else ()), *(("hosts",) if self.env.owed_hosts else ())]
        return f"the {' and '.join(kinds)} of {self.rollout.app} in {self.rollout.env}"


async def mend(
    journal: Journal,
    now: float,
    elsewhere: Elsewhere | None = None,
    app: str = "",
    env: str = "",
    *,
    by_hand: bool = False,
    tell: Callable[[str], None] | None = None,
) -> int:
    """Begin to mend what can be mended now; gives how many such rollouts wait for `recover` to drive them.

    ``tell`` is told what stays owed in an env where none was begun, and why; without it only trouble is logged. Only
    what a person asks for (``by_hand``) tries a host again that answered and failed.
    """
    begun = 0
    for debt in list(debts(journal, app, env)):
        try:
            edges = await _ask(debt, elsewhere) if debt.env.owed_edges else ()
            hosts = await _look(debt, elsewhere, by_hand=by_hand) if debt.env.owed_hosts else _NO_HOST
            if hosts.ready or hosts.gone or (debt.env.owed_edges and answers(debt.env.owed_edges, edges)):
                begin(journal, debt, now, hosts)
                begun += 1
                continue
        except LockedError as error:
            _log.info("%s: %s", debt.rollout.rollout, error.problem)  # somebody begins a rollout: it mends as well
            continue
        except GopubError as error:
            (tell or _log.warning)(f"{debt.says} stay owed: {error.problem}")
            continue
        if tell:
            for line in _stays(debt, edges, hosts):
                tell(line)
    return begun


def _stays(debt: Debt, edges: tuple[EdgeStatus, ...], hosts: Found) -> Iterator[str]:
    """What is owed still, and why; nothing of it can be mended now."""
    where = f"{debt.rollout.app} in {debt.rollout.env}"
    said = {status.edge: status.error for status in edges}
    for edge in debt.env.owed_edges:
        yield f"{where}: edge {edge} stays owed: {said[edge]}; run `gopub recover` when it answers"
    for name, why in hosts.stays.items():
        yield f"{where}: {name} stays owed: {why}"


def debts(journal: Journal, app: str = "", env: str = "") -> Iterator[Debt]:
    """What is owed in every env in which no rollout is active; a damaged one hides no other."""
    for stream in journal.streams("env/"):
        _, its_app, its_env = stream.split("/", 2)
        if app not in ("", its_app) or env not in ("", its_env):
            continue
        try:
            known = fold_env(entry.event for entry in journal.read(stream))
            if not known.owes or known.active:
                continue
            owes = read_state(journal, known.owed_by)
        except GopubError as error:
            if error.code not in DAMAGED:
                raise
            _log.error("what is owed of %s in %s cannot be told: %s", its_app, its_env, error)
            continue
        yield Debt(known, owes, known_project(journal, its_app, its_env))


def answers(owed: tuple[str, ...], statuses: tuple[EdgeStatus, ...]) -> bool:
    """Whether a table put now would reach an owed edge, or find it gone for good. Pure."""
    silent = {status.edge for status in statuses if status.error}
    return any(edge not in silent for edge in owed)


def begin(journal: Journal, debt: Debt, now: float, hosts: Found = _NO_HOST) -> str:
    """Write the rollout that mends, all of it or nothing; gives its id.

    Raises:
        LockedError: GP704 another rollout began at this moment.
    """
    state = debt.rollout
    if state.plan is None:
        raise GopubError("GP709", f"rollout {state.rollout} has no plan", hint="see `gopub explain`")
    rollout = f"{state.app}-{state.env}-{'edges' if debt.env.owed_edges else 'hosts'}-{new_token()[:6]}"
    serving = set(kept_in(pools_of(state), state))
    begin_backwards(
        journal,
        with_found(_as_it_ended(state, state.plan, rollout), hosts),
        outcome=Outcome.MENDED,
        reason=_why(debt, hosts),
        now=now,
        project=debt.project,
        after=debt.env.version,
        actor=whoami(),
        trace=begin_trace().trace,
        owed=[
            ev.HostOwed(name, hosts.stays.get(name, why), state.hosts[name].found, name not in debt.unreached)
            for name, why in debt.hosts.items()
            if name in state.hosts and name not in hosts.ready and name not in hosts.gone
        ],
        on_release=[name for name in hosts.ready if name in serving],
        unknown=[name for name in hosts.ready if name not in serving],
    )
    return rollout


def _why(debt: Debt, hosts: Found) -> str:
    """Why it is begun, for whoever reads the journal."""
    by, edges = debt.rollout.rollout, ", ".join(debt.env.owed_edges)
    said = [f"edges without the last table of {by}: {edges}"] if edges else []
    said += [f"hosts owed by {by}: {', '.join(hosts.ready)}"] if hosts.ready else []
    said += [f"{', '.join(sorted(hosts.gone))} left the inventory"] if hosts.gone else []
    return "; ".join(said)


def _as_it_ended(state: State, plan: Plan, rollout: str) -> Plan:
    """The plan without steps, its hosts standing where the rollout left them."""
    out = set(pools_of(state).at("out")) - set(state.owed)
    hosts = tuple(_as_it_serves(state, replace(host, idle=host.name in out)) for host in plan.hosts)
    return replace(plan, rollout=rollout, hosts=hosts, steps=())


def _as_it_serves(state: State, host: PlannedHost) -> PlannedHost:
    """The host with where edges reach it now."""
    known = state.hosts[host.name]
    slot = host.slot if known.slot is None else known.slot
    return replace(host, peer=host.peer_at(pools_of(state).ports.get(host.name, 0)), slot=slot)


async def _ask(debt: Debt, elsewhere: Elsewhere | None) -> tuple[EdgeStatus, ...]:
    """How the edges stand."""
    async with _opened(debt, elsewhere) as ports:
        return await statuses_of(ports, debt.rollout.app, debt.rollout.env, ports.environment)


async def _look(debt: Debt, elsewhere: Elsewhere | None, *, by_hand: bool) -> Found:
    """How the owed hosts stand."""
    plan = debt.rollout.plan
    if plan is None:
        return _NO_HOST
    async with _opened(debt, elsewhere) as ports:
        asked = [host for host in ports.hosts if host.name in debt.hosts]
        facts, silent = await ask_all(ports.fleet, asked, plan.instance, patience=HOSTS_ANSWER_WITHIN)
    may_try = debt.hosts if by_hand else debt.unreached
    return look(plan, debt.hosts, {host.name for host in asked}, facts, silent, may_try=may_try)


@asynccontextmanager
async def _opened(debt: Debt, elsewhere: Elsewhere | None) -> AsyncIterator[Ports]:
    """What the last plan froze, else what the project says: no release has a say in it."""
    state = debt.rollout
    project = await open_project(debt.project).naming_store(elsewhere)
    try:
        allowed = frozen(read_kit(settings.kits_folder(), state.app, state.env, BACKENDS))
    except GopubError:
        allowed = of_project(project, state.env)
    project = await project.naming(allowed.environment, elsewhere)
    async with open_ports(project, allowed) as ports:
        yield ports
