"""`gopub rollback`: the release before, or a named one, back on every host, at once.

It needs only hosts, edges and the rollback kit. It takes the seat from whoever holds it, or, with the journal down
(gone, locked, read-only, full, damaged), goes above the highest epoch that hosts and edges have seen and writes a
journal of its own that is adopted later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from logging import INFO
from pathlib import Path

from gopub.canon import Json
from gopub.clock import SystemClock, new_token
from gopub.errors import GopubError, UsageError
from gopub.fleet.facts import HostFacts
from gopub.fleet.protocol import Fleet
from gopub.journal import events as ev
from gopub.journal.adopt import adopt
from gopub.journal.kit import Kit, read_kit
from gopub.journal.projects import known_project
from gopub.journal.reading import DAMAGED, read_env_state, read_state, whoami
from gopub.journal.seat import Seat
from gopub.journal.state import EnvState, State, fold_env
from gopub.journal.store import Journal, open_journal
from gopub.journal.streams import env_stream, stream_of
from gopub.plan.floor import refusal_of_way_back
from gopub.plan.model import Outcome, Plan, PlannedHost
from gopub.rollout.back import go_back
from gopub.rollout.backwards import begin_backwards
from gopub.rollout.lease import LEASE
from gopub.rollout.run import Run
from gopub.rollout.seat import counted, resume, trace_of
from gopub.rollout.survey import HOSTS_ANSWER_WITHIN, ask_all
from gopub.rollout.turn import turn_around
from gopub.rollout.wish import Wish
from gopub.telemetry import log, one_line
from gopub.tracing.context import begin
from gopub.traffic.protocol import Router
from gopub.usecases.aloud import EDGES_SAY, JOURNAL_IS_FREE, Aloud
from gopub.usecases.post import Post
from gopub.usecases.way_back import WayBack, past_of, way_back
from gopub.views.awaited import EDGES
from gopub.views.loudness import loudness
from gopub.views.progress import progress_of, say_begin, say_progress
from gopub.views.summary import summary
from gopub.wiring import settings
from gopub.wiring.backends import BACKENDS
from gopub.wiring.here import here_in
from gopub.wiring.nostore import NoStore
from gopub.wiring.outside import open_fleet, open_router
from gopub.wiring.ports import Here, Ports, nowhere

MESSAGES = "messages about it to be handed over"
JOURNAL_DOWN = DAMAGED | {"GP701"}
"""It cannot be opened, read or written; what it tells cannot have happened; an entry is damaged."""
LOCKED = 5.0
"""Seconds that a rollback waits for somebody who is writing to the journal."""
UNTOLD = True
"""Of a journal that is kept beside hosts are told nothing: its entries get other numbers when they are adopted."""

_log = log("rollback")


Tell = Callable[[str], None]
_TROUBLE = (ev.HostFailed, ev.HostOwed, ev.TrafficOff, ev.TablePut)
"""What may go wrong on a way back that somebody wished for."""


async def take_back(
    app: str,
    env: str,
    *,
    to: str = "",
    reason: str = "",
    actor: str = "",
    below_floor: bool = False,
    tell: Tell | None = None,
    warn: Tell | None = None,
) -> dict[str, Json]:
    """Take the active rollout back, or bring the release before (or ``to``) back; gives the summary.

    ``tell`` gets a line for each thing that is begun or done, as it happens; ``warn``, if given, those of what goes
    wrong.

    Raises:
        GopubError: GP716 no kit on this machine, GP725 nothing to go back to.
        RefusedError: GP586 it is below the floor of what runs, and nobody approves that.
    """
    kit = read_kit(settings.kits_folder(), app, env, BACKENDS)
    fleet = open_fleet(kit.fleet, listed=False)  # no way back hangs on a file that only a rollout needs
    router = open_router(kit.router, kit.edges, fleet) if kit.router else None
    tell, warn = _safely(tell), _safely(warn or tell)
    wish = Wish(app=app, env=env, version=to, reason=reason or "rollback asked for", actor=actor or whoami(),
                below_floor=below_floor and bool(reason.strip()))  # fmt: skip
    aloud = Aloud(tell, SystemClock())
    try:
        async with aloud.listening():
            run = await _begun(kit, fleet, router, wish, tell, aloud)
            _tell_from_here(run, tell, warn, aloud)
            async with run.driving():
                if run.state.plan:
                    await run.edges.claim()
                await go_back(run)
            made = summary(run)
            aloud.waits(MESSAGES)
            await _tell_people(run)
        return made
    finally:
        if router:
            await router.close()
        await fleet.close()


async def _tell_people(run: Run) -> None:
    """What became of it, bounded: whoever rolls back waits for no chat room. A spool is told of once it is adopted."""
    if not run.ports.environment.notify:
        return
    with suppress(GopubError):
        journal = await asyncio.to_thread(lambda: settings.journal(patience=LOCKED))
        post = Post.beside(run, None, journal)
        there = await asyncio.to_thread(journal.versions, stream_of(run.rollout))
        if post and there:
            async with post.carrying():
                pass


async def _begun(kit: Kit, fleet: Fleet, router: Router | None, wish: Wish, tell: Tell, aloud: Aloud) -> Run:
    """The run that goes back, once hosts and edges said what they run and saw."""
    tell(f"asking {_hosts(len(kit.hosts))} of {wish.app} in {wish.env} what they run")
    aloud.asking(host.name for host in kit.hosts)
    facts, silent = await ask_all(
        fleet, kit.hosts, kit.plan.instance, patience=HOSTS_ANSWER_WITHIN, answered=aloud.answered
    )
    aloud.waits(EDGES_SAY if router and kit.plan.upstream else "")
    epoch = await _highest(router, kit, facts)
    aloud.waits(JOURNAL_IS_FREE)
    run = await _beside(lambda: _open(kit, fleet, router, facts, epoch, wish))
    aloud.waits("")
    tell(f"{len(facts)} of {_hosts(len(kit.hosts))} answered")
    run.alarms.extend(f"{name} does not answer: {error.problem}" for name, error in silent.items())
    return run


async def _beside(work: Callable[[], Run]) -> Run:
    """What ``work`` opens in a thread: while it waits for who holds the journal, what is waited for is told.

    Who is cancelled meanwhile waits for its end, and gives up the seat that it took.
    """
    opening = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        with suppress(GopubError):
            async with (await opening).driving():
                pass
        raise


def _tell_from_here(run: Run, tell: Tell, warn: Tell, aloud: Aloud) -> None:
    """Tell what is begun, and everything that is kept from now on; it needs no journal."""
    known = [progress_of(run.state)]

    def heard(event: ev.Event) -> None:
        aloud.heard(event)
        known[0] = known[0].after(event)
        wrong = isinstance(event, _TROUBLE) and loudness(event) > INFO
        for line in say_progress(known[0], event):
            (warn if wrong else tell)(line)

    tell(say_begin(run.state))
    if run.state.back and run.state.touched and not run.state.traffic_off and run.plan.upstream:
        aloud.waits(EDGES)
    run.recorder.heard = heard


def _hosts(number: int) -> str:
    return f"{number} host{'' if number == 1 else 's'}"


def _safely(tell: Tell | None) -> Tell:
    """Telling is never a reason to stop half-way, whatever becomes of it."""

    def told(line: str) -> None:
        with suppress(Exception):
            if tell:
                tell(one_line(line))

    return told


def _open(kit: Kit, fleet: Fleet, router: Router | None, facts: Mapping[str, HostFacts], epoch: int, wish: Wish) -> Run:
    """The run on the journal, or on one of our own beside the kits where that one fails us."""

    def ports(journal: Journal) -> Ports:
        return Ports(journal, SystemClock(), fleet, kit.hosts, kit.environment, NoStore(), settings.kits_folder(),
                     router=router, edges=kit.edges, edge_connection=kit.router,
                     fleet_connection=kit.fleet, here=_here(journal, wish))  # fmt: skip

    try:
        journal = settings.journal(patience=LOCKED)
        adopt(journal, settings.kits_folder())
        return _begin(ports(journal), kit, facts, epoch, wish)
    except GopubError as error:
        if error.code not in JOURNAL_DOWN:
            raise
        down = error.problem
    run = _begin(ports(_spool(kit)), kit, facts, epoch, wish)
    run.alarm(f"the journal is down ({down}); this rollback is kept beside the kits and adopted later")
    return run


def _here(journal: Journal, wish: Wish) -> Here:
    """Hooks of the project are taken back where it lies, as far as the journal knows and it is there still."""
    folder = known_project(journal, wish.app, wish.env)
    return here_in(Path(folder)) if Path(folder).is_absolute() else nowhere


def _spool(kit: Kit) -> Journal:
    stamp = datetime.fromtimestamp(SystemClock().now(), UTC).strftime("%Y%m%dT%H%M%S%f")
    path = settings.kits_folder() / f"offline-{kit.plan.app}-{kit.plan.env}-{stamp}.db"
    return open_journal(str(path), SystemClock(), spool=UNTOLD)


def _begin(ports: Ports, kit: Kit, facts: Mapping[str, HostFacts], epoch: int, wish: Wish) -> Run:
    """Turn the active rollout around, or make one that only goes back."""
    app, env = kit.plan.app, kit.plan.env
    active = read_env_state(ports.journal, app, env).active
    state = read_state(ports.journal, active) if active else State()
    if state.closed:  # its driver died between the two last entries of its end: they tell what it ended as
        resume(ports, active, facts, epoch, why="rollback", force=True)
    elif state.rollout:
        return _turn_around(ports, state, epoch, wish)
    known = [entry.event for entry in ports.journal.read(env_stream(app, env))]
    past = past_of(known, kit, facts)
    # What refuses comes first: a seat taken from a live driver and then left would leave its canary to nobody.
    back = way_back(kit, past, facts, wish.version, f"{app}-{env}-back-{new_token()[:6]}")
    _refuse_below_floor(back, fold_env(known), kit, wish)
    run = _take_seat(ports, back.plan.rollout, epoch, wish, app=app, env=env)
    _lay_out(run, back, facts, wish.reason, active)
    return run


def _refuse_below_floor(back: WayBack, env: EnvState, kit: Kit, wish: Wish) -> None:
    """Going back changes no data: a version that cannot read them takes a person who knows better.

    Where the journal knows of no release, the floor is that of the kit's plan if its release was promoted, as far as
    hosts can tell, else the one that counted before.

    Raises:
        RefusedError: GP586 it is below, GP593 that is not known.
    """
    wanted = back.plan.stable
    if back.outcome is Outcome.MENDED or wanted is None or wish.below_floor:
        return
    floor, stable = (env.floor, env.stable_version) if env.stable else _of_kit(kit, back)
    if error := refusal_of_way_back(wanted, floor, stable, app=wish.app, env=wish.env):
        raise error


def _of_kit(kit: Kit, back: WayBack) -> tuple[str | None, str]:
    """The floor that counts by the kit, and what was promoted last."""
    planned, stable = kit.plan.release, kit.plan.stable
    if stable and back.plan.release.release != planned.release:
        return kit.floor, stable.version  # no host runs it: it went back
    return kit.plan.floor or kit.floor, planned.version


def _turn_around(ports: Ports, state: State, epoch: int, wish: Wish) -> Run:
    """The rollout under way goes back; one without a plan has touched nothing, so that its release is not blamed."""
    if wish.version:
        problem = f"rollout {state.rollout} is active: it goes back to what runs now, not to {wish.version!r}"
        raise UsageError("GP726", problem, hint="take it back first, then use --to")
    run = _take_seat(ports, state.rollout, epoch, wish, app=state.app, env=state.env)
    run.record(ev.SeatTaken(run.seat.epoch, run.seat.holder, "rollback"))
    turn_around(run, Outcome.ROLLED_BACK if state.plan else Outcome.WITHDRAWN, 0, wish.reason)
    return run


def _take_seat(ports: Ports, rollout: str, epoch: int, wish: Wish, *, app: str, env: str) -> Run:
    seat = Seat(app, env, epoch, new_token(), whoami())
    taken = ports.journal.take_seat(seat, rollout=rollout, lease=LEASE, force=True)
    return Run(ports, taken, rollout, actor=wish.actor, trace=_trace(ports, rollout))


def _trace(ports: Ports, rollout: str) -> str:
    """That of the rollout that goes back; going back waits for no journal to tell it."""
    try:
        return trace_of(ports.journal, rollout)
    except GopubError:
        return begin().trace


def _lay_out(run: Run, back: WayBack, facts: Mapping[str, HostFacts], reason: str, active: str) -> None:
    """Begin the rollout that goes back; hosts that do not hold what is wanted back are owed from the start."""
    plan, journal = back.plan, run.ports.journal
    owed = {host.name: _lacks(plan, host, facts) for host in plan.hosts if not host.before}
    elsewhere = [host.name for host in plan.hosts if host.name not in facts or facts[host.name].runs != host.before]
    run.recorder.state = begin_backwards(
        journal,
        plan,
        outcome=back.outcome,
        reason=reason if not active else f"{reason} (was {active})",
        now=run.ports.clock.now(),
        project=known_project(journal, plan.app, plan.env),  # for `recover`: a rollback itself needs none
        after=read_env_state(journal, plan.app, plan.env).version,
        actor=run.actor,
        trace=run.trace,
        owed=[ev.HostOwed(name, why, reached=name in facts) for name, why in owed.items()],
        on_release=[name for name in elsewhere if name not in owed],
        seat=run.seat,
    )
    for name, why in owed.items():
        run.alarm(f"{name} is owed: {why}; the next rollout brings it in")


def _lacks(plan: Plan, host: PlannedHost, facts: Mapping[str, HostFacts]) -> str:
    wanted = plan.stable.version if plan.stable else "the release before"
    return f"it does not hold {wanted}" if host.name in facts else f"nobody knows whether it holds {wanted}"


async def _highest(router: Router | None, kit: Kit, facts: Mapping[str, HostFacts]) -> int:
    """The highest epoch that anybody has seen, and can have."""
    edges = 0
    if router and kit.plan.upstream:
        statuses = await router.status(kit.plan.app, kit.plan.env, kit.plan.upstream)
        edges = max((status.epoch for status in statuses), default=0)
    return counted([kit.epoch, edges, *(fact.seen for fact in facts.values())])
