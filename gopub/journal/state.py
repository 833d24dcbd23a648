"""The state of a rollout as the fold of its events, and what is left to do. Pure.

``transitions`` is the table of what may follow what. ``advance`` goes by it and refuses the rest, so a journal that
folds is a journal that happened.
Everything a driver may do after a crash is read from here; what a host really runs is asked from the host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import reduce

from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.hooks import HookEnded, HookIntended, Hooks, after_event
from gopub.journal.stated import Stated
from gopub.journal.transitions import TABLE, Phase, key_of, say_key
from gopub.plan.model import Outcome, Plan, PlannedHost, PlannedStep


class Action(StrEnum):
    """What is to be done next."""

    ADMIT = "admit"
    WAIT = "wait"
    STAGE = "stage"
    REACH = "reach"
    BAKE = "bake"
    SETTLE = "settle"
    WATCH = "watch"
    GO_BACK = "go back"
    NOTHING = "nothing"


_NEXT = {
    Phase.WAITING: Action.WAIT,
    Phase.BAKING: Action.BAKE,
    Phase.SETTLING: Action.SETTLE,
    Phase.WATCHING: Action.WATCH,
    Phase.LAID_OUT: Action.GO_BACK,
    Phase.LEAVING: Action.GO_BACK,
    Phase.GOING_BACK: Action.GO_BACK,
    Phase.CLOSED: Action.NOTHING,
}
BACKWARDS = frozenset({Outcome.ROLLED_BACK, Outcome.WITHDRAWN, Outcome.MENDED})
"""As what a way back ends."""


@dataclass(frozen=True, slots=True)
class HostState:
    """What the journal knows of a host: staged, what it runs, and an order whose outcome is unknown.

    ``since`` is when what it runs was proven; ``port`` and ``slot`` are where, 0 and None: where the plan found it.
    ``owed`` says why it could not be confirmed, ``found`` what it named as its current folder then.
    """

    staged: bool = False
    track: str = "stable"
    runs: str = ""
    intends: str | None = None
    owed: str = ""
    found: str = ""
    reached: bool = True
    since: float = 0.0
    port: int = 0
    slot: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """A rollout as its journal tells it; ``version`` counts its events."""

    phase: Phase = Phase.NEW
    rollout: str = ""
    app: str = ""
    env: str = ""
    release: str = ""
    release_version: str = ""
    by: str = ""
    epoch: int = 0
    version: int = 0
    admitted: bool = False
    statements: tuple[Stated, ...] = ()
    plan: Plan | None = None
    waiting: str = ""
    hosts: Mapping[str, HostState] = field(default_factory=dict)
    weight: int = 0
    touched: bool = False
    acks: Mapping[str, str] = field(default_factory=dict)
    reached: Mapping[int, float] = field(default_factory=dict)
    observed: Mapping[int, float] = field(default_factory=dict)
    passed: frozenset[int] = frozenset()
    verdict: ev.Judged | None = None
    held: ev.Held | None = None
    watch: ev.WatchBegun | None = None
    watched: ev.Watched | None = None
    back: ev.GoingBack | None = None
    traffic_off: bool = False
    hooks: Hooks = field(default_factory=dict)
    closed: ev.Closed | None = None

    @property
    def step(self) -> PlannedStep | None:
        """The first step that is not passed."""
        steps = self.plan.steps if self.plan else ()
        return next((step for step in steps if step.index not in self.passed), None)

    @property
    def canary(self) -> tuple[str, ...]:
        """Hosts that run, or may run, the new release, in the plan's order."""
        return tuple(name for name, host in self.hosts.items() if host.track == "canary" or host.intends is not None)

    @property
    def owed(self) -> tuple[str, ...]:
        """Hosts that could not be confirmed."""
        return tuple(name for name, host in self.hosts.items() if host.owed)

    @property
    def edges_agree(self) -> bool:
        """Whether every edge has acknowledged the table that was put last."""
        return bool(self.acks) and not self.owed_edges

    @property
    def owed_edges(self) -> tuple[str, ...]:
        """Edges that did not take the table that was put last."""
        return tuple(edge for edge, said in self.acks.items() if said != "ok")


def fold(history: Iterable[ev.Event], state: State | None = None) -> State:
    """The state after these events.

    Raises:
        GopubError: as ``advance``.
    """
    return reduce(advance, history, state or State())


def advance(state: State, event: ev.Event) -> State:
    """The state after one more event.

    Raises:
        GopubError: GP702 the event cannot follow in this state, GP733 it names a host that is not in the plan.
    """
    there = TABLE[state.phase].get(key_of(event))
    if why := _not_now(state, there) or _objection(state, event):
        where = f"in rollout {state.rollout}" if state.rollout else "where no rollout is open"
        raise GopubError("GP702", f"{say_key(key_of(event))} cannot follow {where}: {why}",
                         hint="see `gopub explain`; if one driver was at work, report it; "
                         "`gopub rollback` needs no journal")  # fmt: skip
    _refuse_strangers(state, event)
    return replace(_apply(state, event), phase=there or state.phase, version=state.version + 1)


def _not_now(state: State, there: Phase | None) -> str:
    if there is not None:
        return ""
    may = ", ".join(map(say_key, TABLE[state.phase])) or "nothing"
    return f"it is {state.phase}, where {may} may follow"


def _objection(state: State, event: ev.Event) -> str:  # noqa: PLR0911 - one case for each kind of event
    """What speaks against an event whose kind may follow; empty where nothing does."""
    step = state.step.index if state.step else None
    match event:
        case ev.Waiting(step=named) | ev.Woken(step=named) | ev.StepReached(step=named) | ev.StepPassed(step=named):
            return "" if named == step else f"it is about step {named + 1}, and {_next_step(step)}"
        case ev.Judged(step=named) if named != step and named not in state.reached:
            return f"it is about step {named + 1}, and {_next_step(step)}"
        case ev.Settling() if step is not None:
            return _next_step(step)
        case ev.Resumed() if state.held is None:
            return "nobody holds it"
        case ev.GoingBack(outcome=outcome) if outcome not in BACKWARDS:
            return f"no way back ends {outcome.value}"
        case ev.Closed(outcome=outcome) if state.back and outcome not in (state.back.outcome, Outcome.ROLLED_BACK):
            return f"it goes back to end {state.back.outcome.value}"
        case ev.SwitchIntended() | ev.HostSwitched():
            return _objection_to_switch(state, event)
        case _:
            return ""


def _next_step(step: int | None) -> str:
    return "no step is left" if step is None else f"step {step + 1} is next"


def _objection_to_switch(state: State, event: ev.SwitchIntended | ev.HostSwitched) -> str:
    """Forward hosts are switched to the canary, on the way back to stable, and none is that was not told to be."""
    if state.phase is Phase.LAID_OUT:
        return ""  # it tells how hosts were found
    track = "stable" if state.phase is Phase.GOING_BACK else "canary"
    if event.track != track:
        return f"it is {state.phase}, where hosts are switched to {track}"
    if isinstance(event, ev.SwitchIntended):
        return ""
    known = state.hosts.get(event.host)
    return f"{event.host} was not told to switch" if known and known.intends is None else ""


def _refuse_strangers(state: State, event: ev.Event) -> None:
    match event:
        case ev.HostStaged(host=name) | ev.HostSwitched(host=name) | ev.HostFailed(host=name) | ev.HostOwed(host=name):
            named: tuple[str, ...] = (name,)
        case ev.StageIntended(hosts=names) | ev.SwitchIntended(hosts=names):
            named = names
        case _:
            return
    if strangers := [name for name in named if name not in state.hosts]:
        raise GopubError("GP733", f"{type(event).__name__} in rollout {state.rollout} names "
                         f"{', '.join(map(repr, strangers))}, which the plan does not have",
                         hint="see `gopub explain`; `gopub rollback` needs no journal")  # fmt: skip


def next_action(state: State) -> Action:
    """The one thing to do now; the flow's chart follows the same order."""
    if state.phase in _NEXT:
        return _NEXT[state.phase]
    if state.plan is None:
        return Action.ADMIT
    if state.step is None:
        return Action.SETTLE
    return Action.STAGE if to_stage(state) else Action.REACH


def to_stage(state: State) -> tuple[str, ...]:
    """Hosts that do not hold the release yet."""
    return tuple(name for name, host in state.hosts.items() if not host.staged)


def to_switch(state: State, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Which of ``wanted`` are not known to run the new release."""
    known = state.hosts
    return tuple(n for n in wanted if known[n].track != "canary" or known[n].intends is not None)


def _apply(state: State, event: ev.Event) -> State:  # noqa: PLR0911 - one case for each event
    """One event's effect; what a type does not mention it does not change."""
    match event:
        case ev.Opened():
            return replace(state, rollout=event.rollout, app=event.app, env=event.env, release=event.release,
                           release_version=event.version, by=event.by)  # fmt: skip
        case ev.SeatTaken(epoch=epoch):
            return replace(state, epoch=epoch)
        case ev.Admitted(statements=statements):
            return replace(state, admitted=True, statements=statements)
        case ev.Refused():
            return replace(state, admitted=False)
        case ev.Planned(plan=plan):
            return replace(state, plan=plan, hosts={h.name: _at_first(h) for h in plan.hosts})
        case ev.Waiting(why=why):
            return replace(state, waiting=why)
        case ev.Woken():
            return replace(state, waiting="")
        case ev.GoingBack():
            return replace(state, back=event, waiting="", held=None)
        case ev.Closed():
            return replace(state, closed=event, waiting="")
        case _:
            return _apply_step(state, event)


def _at_first(host: PlannedHost) -> HostState:
    return HostState(runs="" if host.idle else host.before)


def _apply_step(state: State, event: ev.Event) -> State:  # noqa: PLR0911 - as above
    match event:
        case ev.StepReached(step=step, at=at):
            return replace(state, reached={**state.reached, step: at})
        case ev.StepPassed(step=step):
            return replace(state, passed=state.passed | {step})
        case ev.Judged(step=step):
            seen = max(event.observed, state.observed.get(step, 0.0))
            return replace(state, verdict=event, observed={**state.observed, step: seen})
        case ev.Held() | ev.Resumed():
            return replace(state, held=event if isinstance(event, ev.Held) else None)
        case ev.TrafficOff():
            return replace(state, traffic_off=True)
        case ev.TableIntended(weight=weight):
            return replace(state, weight=weight, touched=True, acks={})
        case ev.TablePut(acks=acks):
            return replace(state, acks=acks)
        case _:
            return _apply_rest(state, event)


def _apply_rest(state: State, event: ev.Event) -> State:
    match event:
        case HookIntended() | HookEnded():
            return replace(state, hooks=after_event(state.hooks, event), touched=True)
        case ev.WatchBegun():
            return replace(state, watch=event)
        case ev.Watched():
            return replace(state, watched=event)
        case _:
            return replace(state, hosts=_apply_hosts(state.hosts, event), touched=state.touched or _touches(event))


def _touches(event: ev.Event) -> bool:
    return isinstance(event, ev.SwitchIntended)


def _apply_hosts(hosts: Mapping[str, HostState], event: ev.Event) -> Mapping[str, HostState]:
    match event:
        case ev.HostStaged(host=name):
            return {**hosts, name: replace(hosts[name], staged=True)}
        case ev.SwitchIntended(hosts=names, to=to):
            return {**hosts, **{n: replace(hosts[n], intends=to, owed="", found="") for n in names}}
        case ev.HostSwitched(host=name, to=to, track=track, at=at, values=said):
            port, slot = said.get("port", ""), said.get("slot")
            known = replace(hosts[name], port=int(port) if port.isdecimal() else 0, slot=slot)
            return {**hosts, name: replace(known, intends=None, runs=to, track=track, owed="", since=at)}
        case ev.HostOwed(host=name, why=why, runs=runs, reached=reached):
            return {**hosts, name: replace(hosts[name], owed=why, found=runs, reached=reached)}
        case _:
            return hosts


@dataclass(frozen=True, slots=True)
class EnvState:
    """What an env runs and whether a rollout is active there: the fold of the env's own stream.

    ``owed_edges`` did not take the last table, ``owed_hosts`` could not be confirmed (and why) by ``owed_by``, the
    last rollout that told of any. Of these hosts nobody had reached the ``unreached_hosts``. ``floor`` is the oldest
    version that may follow the release that was promoted last: a way back changes no data.
    """

    active: str = ""
    stable: str = ""
    stable_version: str = ""
    quarantine: frozenset[str] = frozenset()
    automatic_rollbacks: int = 0
    owed_edges: tuple[str, ...] = ()
    owed_hosts: Mapping[str, str] = field(default_factory=dict)
    unreached_hosts: frozenset[str] = frozenset()
    owed_by: str = ""
    floor: str = ""
    version: int = 0

    @property
    def owes(self) -> bool:
        """Whether an edge or a host is owed."""
        return bool(self.owed_edges or self.owed_hosts)


def fold_env(history: Iterable[ev.Event]) -> EnvState:
    """The env after these events."""
    return reduce(_advance_env, history, EnvState())


def _advance_env(state: EnvState, event: ev.Event) -> EnvState:
    state = replace(state, version=state.version + 1)
    match event:
        case ev.EnvOpened(rollout=rollout):
            return replace(state, active=rollout)
        case ev.EnvClosed():
            return _close_env(state, event)
        case ev.QuarantineCleared(release=release):
            return replace(state, quarantine=state.quarantine - {release}, automatic_rollbacks=0)
        case _:
            return state


def _close_env(state: EnvState, event: ev.EnvClosed) -> EnvState:
    if event.stable and event.stable != state.stable:
        state = replace(state, stable=event.stable, stable_version=event.stable_version)
    quarantine = state.quarantine | {event.quarantined} if event.quarantined else state.quarantine
    in_a_row = state.automatic_rollbacks + 1 if event.automatic else state.automatic_rollbacks
    if event.outcome is Outcome.PROMOTED:
        in_a_row = 0
        state = replace(state, floor=event.floor or state.floor)  # what was written stays
    if event.owed_edges is not None or event.owed_hosts is not None:
        edges = state.owed_edges if event.owed_edges is None else event.owed_edges
        hosts = state.owed_hosts if event.owed_hosts is None else event.owed_hosts
        unreached = state.unreached_hosts if event.owed_hosts is None else frozenset(event.unreached_hosts)
        by = event.rollout if edges or hosts else ""
        state = replace(state, owed_edges=edges, owed_hosts=hosts, unreached_hosts=unreached, owed_by=by)
    quarantine -= {state.stable}  # what somebody made stable is allowed
    active = "" if state.active == event.rollout else state.active
    return replace(state, active=active, quarantine=quarantine, automatic_rollbacks=in_a_row)


def planned(state: State) -> Plan:
    """The plan; a rollout that is not planned has nothing to drive.

    Raises:
        GopubError: GP709 there is none yet.
    """
    if state.plan is None:
        raise GopubError("GP709", f"rollout {state.rollout} has no plan yet", hint="see `gopub explain`")
    return state.plan
