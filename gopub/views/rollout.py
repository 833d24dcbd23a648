"""One rollout as people and programs are told: its step, its verdict, who drives it, what holds it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gopub.canon import Json
from gopub.journal import events as ev
from gopub.journal.state import State, next_action
from gopub.judge.gates import hold_of
from gopub.plan.model import Outcome
from gopub.views.standing import HoldView, hold_view, says_watch, standing
from gopub.views.verdict import VerdictView, because, verdict_view


@dataclass(frozen=True, slots=True)
class Observed:
    """How many seconds of the step's bake were observed, as of the last verdict, and how many are needed."""

    seconds: float
    needed: float


@dataclass(frozen=True, slots=True)
class Driver:
    """Who holds the seat, and whether the lease lives; nobody where the name is empty."""

    name: str = ""
    alive: bool = False


@dataclass(frozen=True, slots=True)
class RolloutView:
    """A rollout that is under way; ``version`` is empty before it was opened.

    ``until`` is RFC 3339, empty where only a person ends what it waits for. ``dead_edges`` did not take the last table,
    by what each said; ``back`` is why it goes back, empty while it does not.
    Of a damaged one only its name and its driver are known: ``damaged`` says why.
    """

    rollout: str
    version: str = ""
    revision: str = ""
    """Under which 12 digits edges count its canary, where only other files come."""
    next: str = ""
    step: str = ""
    observed: Observed | None = None
    waiting: str = ""
    held: HoldView | None = None
    until: str = ""
    verdict: VerdictView | None = None
    driver: Driver = Driver()
    owed: tuple[str, ...] = ()
    dead_edges: Mapping[str, str] = field(default_factory=dict)
    back: str = ""
    damaged: str = ""
    unpinned: tuple[str, ...] = ()
    """Hosts that do not check who orders."""

    def to_json(self) -> dict[str, Json]:
        """As `gopub status --json` has it."""
        baked = self.observed
        return {
            "rollout": self.rollout,
            "version": None if self.damaged else self.version,
            "revision": self.revision or None,
            "next": self.next or None,
            "step": self.step or None,
            "observed": {"seconds": baked.seconds, "needed": baked.needed} if baked else None,
            "waiting": self.waiting or None,
            "held": self.held.to_json() if self.held else None,
            "until": self.until or None,
            "verdict": self.verdict.says if self.verdict else None,
            "verdict_kind": self.verdict.kind if self.verdict else None,
            "verdict_rule": self.verdict.rule if self.verdict else None,
            "driver": self.driver.name or None,
            "driver_alive": self.driver.alive,
            "owed": list(self.owed),
            "unpinned": list(self.unpinned),
            "dead_edges": dict(self.dead_edges),
            "going_back": self.back or None,
        }


def rollout_view(rollout: str, state: State, asked: Sequence[ev.Asked], driver: Driver, now: float) -> RolloutView:
    """The rollout as its journal tells it, with what people asked of it and who sits on it."""
    unpinned = state.plan.unpinned if state.plan else ()
    return RolloutView(
        rollout,
        version=state.release_version,
        revision=state.plan.revision[:12] if state.plan else "",
        next=next_action(state).value if state.rollout else "admit",
        step=state.step.says if state.plan and state.step else "",
        observed=_observed(state),
        waiting=state.waiting or says_watch(state),
        held=hold_view(state, hold_of(asked)),
        until=standing(state, asked, now).until,
        verdict=verdict_view(state.verdict, unpinned) if state.verdict else None,
        driver=driver,
        owed=state.owed,
        dead_edges={edge: said for edge, said in state.acks.items() if said != "ok"},
        back=because(state.verdict, state.back.reason) if state.back else "",
        unpinned=unpinned,
    )


def damaged_rollout(rollout: str, why: str, driver: Driver) -> RolloutView:
    """One whose entries cannot be read, or cannot have happened."""
    return RolloutView(rollout, driver=driver, damaged=why)


@dataclass(frozen=True, slots=True)
class Outline:
    """Whose rollout it is, and how it ended; ``outcome`` is None while it is under way."""

    rollout: str
    app: str
    env: str
    outcome: Outcome | None = None
    reason: str = ""


def outline_of(state: State) -> Outline:
    """A rollout as far as it takes to name it; all of it is empty where the journal does not know it."""
    ended = state.closed
    why = because(state.verdict, ended.reason) if ended else ""
    return Outline(state.rollout, state.app, state.env, ended.outcome if ended else None, why)


def _observed(state: State) -> Observed | None:
    if state.step is None or state.step.index not in state.reached:
        return None
    return Observed(state.observed.get(state.step.index, 0.0), state.step.bake)
