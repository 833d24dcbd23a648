"""The end of a rollout in the journal: its own stream, then the env's. Safe to run again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.state import EnvState, State, fold_env
from gopub.journal.streams import env_stream
from gopub.journal.transitions import Phase
from gopub.plan.model import Outcome, ReleaseRef
from gopub.rollout import hosts
from gopub.rollout.box import box
from gopub.rollout.run import Run

LAST_TRY = 5.0
"""Seconds that the end of the way back waits for a locked journal: edges and hosts are served by then."""


def close(run: Run, outcome: Outcome, reason: str) -> None:
    """Close the rollout and free the env; the journal may be down only when going back."""
    must = outcome is Outcome.PROMOTED
    if not must:
        run.hurry(LAST_TRY)
    if run.state.closed is None:
        run.record(ev.Closed(outcome, reason, run.state.owed, run.state.owed_edges), must=must)
        run.recorder.settle()  # the last entry: no other will look whether only its answer was lost
    try:
        free_env(run, outcome)
    except GopubError as error:
        if must:
            raise
        run.alarm(f"the env is still marked as active: {error.problem}")


def free_env(run: Run, outcome: Outcome) -> None:
    """Append the env's own closing event unless it is there already."""
    state, journal = run.state, run.ports.journal
    env = read_env(run)
    if env.active != run.rollout:
        return
    bad = outcome is Outcome.ROLLED_BACK and not was_never_judged(state)
    stable = state.plan.stable if state.plan else None
    bad = bad and not (stable and stable.release == state.release)  # what failed is how it was rendered
    if outcome is Outcome.PROMOTED:
        stable = ReleaseRef(state.release, state.release_version)
    owed = still_owed(state, env.owed_hosts)
    event = ev.EnvClosed(
        run.rollout,
        outcome,
        stable=stable.release if stable else "",
        stable_version=stable.version if stable else "",
        quarantined=state.release if bad else "",
        automatic=outcome is Outcome.ROLLED_BACK and bool(state.back and state.back.rule),
        owed_edges=state.owed_edges if state.acks else None,
        owed_hosts=owed if state.touched else None,
        unreached_hosts=nobody_reached(state, env, owed) if state.touched else (),
        floor=state.plan.floor if state.plan and outcome is Outcome.PROMOTED else "",
    )
    journal.append(
        env_stream(state.app, state.env), env.version, [event], actor=run.actor, trace=run.trace, seat=run.seat
    )


def was_never_judged(state: State) -> bool:
    """Whether a first release failed on its hosts before any verdict: the host, its port or health path may be wrong.

    Nothing ran there before, so nothing tells a fault of the release from one of what it came into. Whoever mends the
    latter may try the same version again; a verdict, a person's rollback, or a stable release that ran on the same
    hosts says more. Pure.
    """
    back, plan = state.back, state.plan
    return plan is not None and plan.stable is None and back is not None and back.rule == 1 and not state.reached


def still_owed(state: State, before: Mapping[str, str]) -> dict[str, str]:
    """The hosts that are owed after a rollout, and why: its own, and those of before that it left out of traffic. Pure.

    One of before that is no host of the plan any more is nobody's, and one that the plan found in traffic is mended.
    """
    hosts = state.plan.hosts if state.plan else ()
    out = {host.name for host in hosts if host.idle and not state.hosts[host.name].runs}
    left = {name: why for name, why in before.items() if name in out}
    return left | {name: state.hosts[name].owed for name in state.owed}


def nobody_reached(state: State, env: EnvState, owed: Iterable[str]) -> tuple[str, ...]:
    """Those of the hosts that are owed which have refused nothing, by this rollout or else by those before it. Pure."""
    now = set(state.owed)
    refused_nothing = {name for name in now if not state.hosts[name].reached} | (env.unreached_hosts - now)
    return tuple(name for name in owed if name in refused_nothing)


def read_env(run: Run) -> EnvState:
    """The env as its stream tells it."""
    stream = env_stream(run.state.app, run.state.env)
    return fold_env(entry.event for entry in run.ports.journal.read(stream))


@box
async def close_promoted(run: Run) -> None:
    """The release is stable."""
    if run.state.phase is Phase.SETTLING:
        close(run, Outcome.PROMOTED, "")
        await hosts.let_remember(run)
