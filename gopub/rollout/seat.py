"""Taking the seat: starting a rollout, or going on with one whose driver is gone.

The order matters. Hosts and edges are read first, since an epoch that they have seen must never be used again; then the
seat is taken; then, in one transaction, the env is marked as active (only one can win) and the rollout's own stream
begins: an active rollout always says what it is and where its project lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gopub.clock import new_token
from gopub.errors import GopubError, LockedError, RefusedError
from gopub.fleet.facts import HostFacts
from gopub.journal import events as ev
from gopub.journal.reading import asked, read_env_state, read_state, whoami
from gopub.journal.seat import Seat
from gopub.journal.state import EnvState, State
from gopub.journal.store import Journal
from gopub.journal.streams import env_stream, stream_of
from gopub.journal.transitions import Phase
from gopub.judge.gates import hold_of, say_hold
from gopub.plan.floor import Before, refusal_of_start
from gopub.plan.model import ReleaseRef
from gopub.rollout.close import free_env
from gopub.rollout.lease import LEASE
from gopub.rollout.run import Run
from gopub.rollout.wish import Wish
from gopub.spec.compat import Compat
from gopub.tracing.context import begin, current
from gopub.wiring.ports import Ports

MOST_IN_A_ROW = 3
"""Automatic rollbacks in a row after which only a person may start."""
MOST_EPOCH = 2_000_000_000
"""Epochs are counted by one. A higher one was made up, by a thief of a controller's key or by a host that lies: a seat
above it would bring it to every other host, and into the journal for good."""


def counted(epochs: Iterable[int]) -> int:
    """The highest epoch that anybody has seen and can have come to by counting."""
    return max((epoch for epoch in epochs if epoch <= MOST_EPOCH), default=0)


def refuse_start(journal: Journal, wish: Wish) -> None:
    """Refuse what :func:`start` would refuse: asked before anything is built, and of no host.

    A wish without a release asks for the env alone.

    Raises:
        LockedError: GP708 another rollout is active, or watched and held, GP707 somebody drives.
        RefusedError: GP721 the release is quarantined, GP722 too many automatic rollbacks in a row.
    """
    env = read_env_state(journal, wish.app, wish.env)
    if env.active and (under := read_state(journal, env.active)).phase is Phase.WATCHING:
        if wish.release != under.release:  # the same one again has nothing to do
            refuse_held_watch(journal, under)
        _check_allowed(env, wish)
        return  # what is promoted and watched gives way to what begins
    _check_free(journal, env, wish)
    _check_allowed(env, wish)
    seated = journal.seated(wish.app, wish.env)
    if seated and seated[1]:
        raise LockedError("GP707", f"{wish.app} in {wish.env} is held by {seated[0].holder}, "
                          f"epoch {seated[0].epoch}", hint="wait for it; see `gopub status`")  # fmt: skip


def refuse_held_watch(journal: Journal, under: State) -> None:
    """A watch gives way to a rollout that begins, unless somebody holds it: nobody overrides that by accident.

    Raises:
        LockedError: GP708, with who holds it.
    """
    if hold := hold_of(asked(journal, under.rollout)):
        raise LockedError(
            "GP708",
            f"rollout {under.rollout} of {under.app} in {under.env} is watched and {say_hold(hold)}",
            hint=f"`gopub resume {under.rollout}` ends the hold; a watch that nobody holds keeps no rollout out",
        )


def start(
    ports: Ports, wish: Wish, facts: Mapping[str, HostFacts], edge_epoch: int, before: Before | None = None
) -> Run:
    """Begin a rollout; ``before`` is what serves now, by default what the journal says.

    Raises:
        LockedError: GP708 another rollout is active, GP707 somebody drives.
        RefusedError: GP721 the release is quarantined, GP722 too many automatic rollbacks in a row, GP479 a host or an
            edge holds an epoch that nobody counted to, GP585, GP586 one version would not read what the other writes,
            GP593 that could not be checked.
    """
    env = read_env_state(ports.journal, wish.app, wish.env)
    before = before or before_of(env)
    _check_free(ports.journal, env, wish)
    _check_allowed(env, wish)
    refuse_below_floor(ports.environment.compat, before, wish)
    _check_epochs(facts, edge_epoch)
    rollout = wish.rollout or new_rollout_id(wish)
    seat = _take(ports, wish.app, wish.env, rollout, facts, edge_epoch)
    trace = (current() or begin()).trace
    opened = ev.Opened(rollout, wish.app, wish.env, wish.release, wish.version, wish.reason, wish.project, wish.by,
                       wish.commit)  # fmt: skip
    parts: list[tuple[str, int, list[ev.Event]]] = [
        (env_stream(wish.app, wish.env), env.version, [ev.EnvOpened(rollout, wish.release)]),
        (stream_of(rollout), 0, [opened, ev.SeatTaken(seat.epoch, seat.holder, run=wish.run)]),
    ]
    actor = wish.actor or whoami()
    try:
        ports.journal.append_all(parts, actor=actor, trace=trace, seat=seat)
    except LockedError as error:
        raise LockedError("GP708", f"another rollout of {wish.app} in {wish.env} began at this moment",
                          hint="see `gopub status`") from error  # fmt: skip
    run = Run(ports, seat, rollout, actor=actor, trace=trace)
    run.before = before
    return run


def before_of(env: EnvState) -> Before:
    """What serves, as the journal has it."""
    return Before(ReleaseRef(env.stable, env.stable_version) if env.stable else None, env.floor)


def refuse_below_floor(compat: Compat, before: Before, wish: Wish) -> None:
    """Refuse a release where it or the stable one is below the other's floor.

    Raises:
        RefusedError: GP585, GP586, GP593.
    """
    if error := refusal_of_start(wish.version, compat, before, app=wish.app, env=wish.env):
        raise error


def resume(
    ports: Ports,
    rollout: str,
    facts: Mapping[str, HostFacts],
    edge_epoch: int,
    *,
    why: str,
    force: bool = False,
    engine_run: str = "",
) -> Run:
    """Take the seat of a rollout that is not over; ``force`` takes it from a live driver (a rollback may).

    One that is over while the env still counts it as active lost its driver between the two entries of its end
    (``closing``): the second one is written now.

    Raises:
        LockedError: GP707 its driver lives.
        GopubError: GP710 there is no such rollout, or it is over.
    """
    state = read_state(ports.journal, rollout)
    half_closed = state.closed and read_env_state(ports.journal, state.app, state.env).active == rollout
    if not state.rollout or (state.closed and not half_closed):
        ended = f"is over ({state.closed.outcome})" if state.closed else "does not exist"
        raise GopubError("GP710", f"rollout {rollout} {ended}", hint="see `gopub status`")
    seat = _take(ports, state.app, state.env, rollout, facts, max(edge_epoch, state.epoch), force=force)
    trace = trace_of(ports.journal, rollout)
    run = Run(ports, seat, rollout, actor=whoami(), trace=trace)
    if state.closed:
        free_env(run, state.closed.outcome)
    else:
        run.record(ev.SeatTaken(seat.epoch, seat.holder, why, engine_run))
    return run


def trace_of(journal: Journal, rollout: str) -> str:
    """The trace that a rollout began in, whoever drives it now; a new one where nothing is known of it.

    Raises:
        GopubError: the journal is away.
    """
    known = next((entry.trace for entry in journal.read(stream_of(rollout)) if entry.trace), "")
    return known or (current() or begin()).trace


def new_rollout_id(wish: Wish) -> str:
    """A name that people can say: app, env, version, and six hex digits that make it unique."""
    return f"{wish.app}-{wish.env}-{wish.version}-{new_token()[:6]}"


def _take(
    ports: Ports,
    app: str,
    env: str,
    rollout: str,
    facts: Mapping[str, HostFacts],
    edge_epoch: int,
    *,
    force: bool = False,
) -> Seat:
    # who goes on or back does so where it can: a host whose epoch was made up refuses by itself
    seen = counted([edge_epoch, *(fact.seen for fact in facts.values())])
    wanted = Seat(app, env, seen, new_token(), whoami())
    return ports.journal.take_seat(wanted, rollout=rollout, lease=LEASE, force=force)


def _check_free(journal: Journal, env: EnvState, wish: Wish) -> None:
    if not env.active:
        return
    seated = journal.seated(wish.app, wish.env)
    who = f"{seated[0].holder} holds the seat, epoch {seated[0].epoch}" if seated else "nobody holds the seat"
    alive = "" if seated and seated[1] else "; its driver is gone: `gopub recover` goes on with it"
    raise LockedError(
        "GP708",
        f"rollout {env.active} of {wish.app} in {wish.env} is active ({who}{alive})",
        hint=f"wait, or end it with `gopub abort {env.active}`",
    )


def _check_epochs(facts: Mapping[str, HostFacts], edge_epoch: int) -> None:
    said = {name: fact.seen for name, fact in facts.items()} | {"an edge": edge_epoch}
    made_up = [f"{name} ({epoch})" for name, epoch in said.items() if epoch > MOST_EPOCH]
    if made_up:
        raise RefusedError(
            "GP479",
            f"nobody counted to the epoch that these hold: {', '.join(made_up[:5])}",
            hint="somebody ordered that with a controller's key, or the host says what is not so: "
            "`gopub host rotate` makes epochs start anew, and a host that lies is left out of `hosts:`",
        )


def _check_allowed(env: EnvState, wish: Wish) -> None:
    if wish.release in env.quarantine:
        raise RefusedError(
            "GP721",
            f"release {wish.release[:12]} ({wish.version}) was rolled back in {wish.env} and is quarantined there",
            hint="mend it and release a new version; if it was not at fault: gopub rollout VERSION "
            '--clear-quarantine "why"',
        )
    if wish.automatic and env.automatic_rollbacks >= MOST_IN_A_ROW:
        raise RefusedError(
            "GP722",
            f"the last {env.automatic_rollbacks} rollouts of {wish.app} in {wish.env} rolled back by themselves",
            hint="automatic starts wait until a person starts one that is promoted",
        )
