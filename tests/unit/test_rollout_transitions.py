"""What may follow what: the table takes what drivers write, refuses all else, and is what the docs draw."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import pytest

from gopub.cli import main
from gopub.clock import ManualClock
from gopub.errors import GopubError
from gopub.journal import drawing
from gopub.journal import events as ev
from gopub.journal.built import BuildBegan, BuildEnded
from gopub.journal.enrolled import HostsEnrolled, TrustChanged
from gopub.journal.hooks import HookEnded, HookIntended
from gopub.journal.notices import NoticeDue, NoticeLost, NoticeTaken, NoticeTried
from gopub.journal.state import Action, State, _apply, advance, fold, next_action
from gopub.journal.store import Journal, open_journal
from gopub.journal.transitions import TABLE, Key, Phase, key_of, say_key
from gopub.plan.model import Outcome, Plan, PlannedHost, PlannedStep, ReleaseRef
from gopub.usecases.recover_edges import debts
from gopub.views.explanation import explanation
from tests.support.chance import seed as chance_seed

HOSTS = tuple(PlannedHost(n, f"{n}:1", f"id-{n}", "linux/amd64", "2" * 64, "old", "0" * 64) for n in ("a", "b"))
STEPS = (PlannedStep(0, ("a",), 5000, 1.0), PlannedStep(1, ("a", "b"), 10000, 1.0))
PLAN = Plan("r1", "hello", "lab", "hello", ReleaseRef("b" * 64, "2"), ReleaseRef("a" * 64, "1"), HOSTS, STEPS, 1, 1.5,
            60.0, 5.0, "judged")  # fmt: skip
OPENED = ev.Opened("r1", "hello", "lab", "b" * 64, "2")
BACK = ev.GoingBack(Outcome.ROLLED_BACK, 3, "errors")
SWITCH = (ev.SwitchIntended(("a",), "2", "canary"), ev.HostSwitched("a", "2", "canary"))
UNTOUCHED = (OPENED, ev.SeatTaken(1, "ann"), ev.Admitted(), ev.Planned(PLAN))
MOVING = (*UNTOUCHED, ev.StageIntended(("a", "b")), ev.HostStaged("a"), ev.HostStaged("b"), *SWITCH)
BAKING = (*MOVING, ev.TableIntended("in", 5000, ("b",), ("a",)), ev.TablePut(5000, {}), ev.StepReached(0, 1.0))
PASSED = (
    *BAKING, ev.Judged(0, "PROMOTE", 7, "well"), ev.StepPassed(0), ev.SwitchIntended(("b",), "2", "canary"),
    ev.HostSwitched("b", "2", "canary"), ev.StepReached(1, 2.0), ev.StepPassed(1),
)  # fmt: skip
WAYS: dict[Phase, tuple[ev.Event, ...]] = {
    Phase.NEW: (),
    Phase.OPENED: (OPENED, ev.SeatTaken(1, "ann")),
    Phase.REFUSED: (OPENED, ev.Refused(("not signed",))),
    Phase.ADMITTED: UNTOUCHED[:3],
    Phase.PLANNED: UNTOUCHED,
    Phase.WAITING: (*UNTOUCHED, ev.Waiting(0, "a window")),
    Phase.MOVING: MOVING,
    Phase.BAKING: BAKING,
    Phase.SETTLING: (*PASSED, ev.Settling()),
    Phase.WATCHING: (*PASSED, ev.Settling(), ev.WatchBegun(3.0, 60.0)),
    Phase.LAID_OUT: (OPENED, ev.Planned(PLAN)),
    Phase.LEAVING: (*UNTOUCHED, BACK),
    Phase.GOING_BACK: (*BAKING, BACK, ev.SwitchIntended(("a",), "1", "stable")),
    Phase.CLOSED: (*PASSED, ev.Settling(), ev.Closed(Outcome.PROMOTED)),
}
KEYS: tuple[Key, ...] = (*(kind for kind in ev.Event.__args__ if kind is not ev.Closed), *Outcome)
ISSUE = (OPENED, ev.StepPassed(0), ev.Closed(Outcome.PROMOTED))


def event_for(key: Key, state: State) -> ev.Event:
    """One of this kind, fit for the state in everything but its kind."""
    step = state.step.index if state.step else 0
    track = "stable" if state.phase in (Phase.GOING_BACK, Phase.LAID_OUT) else "canary"
    if isinstance(key, Outcome):
        return ev.Closed(key)
    made: dict[type, ev.Event] = {
        ev.Opened: OPENED, ev.SeatTaken: ev.SeatTaken(2, "bob"), ev.Admitted: ev.Admitted(), ev.Refused: ev.Refused(()),
        ev.Planned: ev.Planned(PLAN), ev.Waiting: ev.Waiting(step, "x"), ev.Woken: ev.Woken(step),
        ev.StageIntended: ev.StageIntended(("a",)), ev.HostStaged: ev.HostStaged("a"),
        ev.TableIntended: ev.TableIntended("x", 0, (), ()), ev.TablePut: ev.TablePut(0, {}),
        ev.SwitchIntended: ev.SwitchIntended(("a",), "2", track), ev.HostSwitched: ev.HostSwitched("a", "2", track),
        ev.HostFailed: ev.HostFailed("a", "switch", "GP440", ""), ev.HostOwed: ev.HostOwed("a", "away"),
        ev.StepReached: ev.StepReached(step, 1.0), ev.Judged: ev.Judged(step, "HOLD", 1, ""),
        ev.StepPassed: ev.StepPassed(step), ev.Asked: ev.Asked("abort"), ev.Held: ev.Held("ann"),
        ev.Resumed: ev.Resumed("ann"), ev.GoingBack: BACK, ev.TrafficOff: ev.TrafficOff(1.0),
        ev.Settling: ev.Settling(), ev.WatchBegun: ev.WatchBegun(3.0, 60.0), ev.Watched: ev.Watched("good", ""),
        ev.EnvOpened: ev.EnvOpened("r1", ""), ev.EnvClosed: ev.EnvClosed("r1", Outcome.PROMOTED),
        ev.QuarantineCleared: ev.QuarantineCleared("", ""),
        ev.HostsAdopted: ev.HostsAdopted(("app1",), ""), HostsEnrolled: HostsEnrolled(("app1",), ""),
        TrustChanged: TrustChanged("revoke", ("app1",)),
        ev.LogClassMarked: ev.LogClassMarked("template:x"),
        BuildBegan: BuildBegan("hello", "2", "c" * 40), BuildEnded: BuildEnded("hello", "published"),
        HookIntended: HookIntended("expand", "before", "app1"), HookEnded: HookEnded("expand", ok=True),
        NoticeDue: NoticeDue("ended", "room", "t", "b"), NoticeTried: NoticeTried("ended", "room"),
        NoticeTaken: NoticeTaken("ended", "room"), NoticeLost: NoticeLost("ended", "room", "503", 10.0),
    }  # fmt: skip
    return made[key]


@pytest.mark.parametrize("phase", Phase)
def test_every_state_is_reached_and_takes_nothing_that_the_table_does_not_have(phase):
    state = fold(WAYS[phase])
    assert state.phase is phase
    illegal = [key for key in KEYS if key not in TABLE[phase]]
    assert len(illegal) + len(TABLE[phase]) == len(KEYS)
    for key in illegal:
        with pytest.raises(GopubError) as caught:
            advance(state, event_for(key, state))
        told = f"{caught.value}"
        assert (caught.value.code, "\n" in caught.value.problem) == ("GP702", False)
        assert say_key(key) in told and (phase in told) and (state.rollout in told)
        assert all(say_key(may) in told for may in TABLE[phase]), "it says what may follow"


@pytest.mark.parametrize(("phase", "key"), [(phase, key) for phase in Phase for key in TABLE[phase]])
def test_what_the_table_has_leads_where_it_says(phase, key):
    """What a state asks for besides the kind of event is there: a hold to resume, an order to switch, no step left."""
    history = WAYS[phase]
    if key is ev.Resumed:
        history = (*history, ev.Held("ann"))
    if key is ev.HostSwitched and phase is not Phase.LAID_OUT:
        track = "stable" if phase is Phase.GOING_BACK else "canary"
        history = (*history, ev.SwitchIntended(("a",), "", track))
    if key is ev.Settling:
        history = PASSED
    if isinstance(key, Outcome) and phase in (Phase.GOING_BACK, Phase.LEAVING):
        history = tuple(ev.GoingBack(key, 0, "") if one is BACK else one for one in history)
    before = fold(history)
    after = advance(before, event_for(key, before))
    assert (before.phase, after.phase, after.version) == (phase, TABLE[phase][key], before.version + 1)


def test_the_walk_of_a_promotion_that_never_happened_is_refused():
    with pytest.raises(
        GopubError, match=r"GP702 StepPassed cannot follow in rollout r1: it is opened, where SeatTaken"
    ):
        fold(ISSUE)
    with pytest.raises(GopubError, match=r"GP702 Closed \(promoted\) cannot follow in rollout r1: it is baking"):
        fold((*BAKING, ev.Closed(Outcome.PROMOTED)))


def test_control_the_fold_without_the_table_accepts_it():
    state = reduce(_apply, ISSUE, State())
    assert state.closed and state.closed.outcome is Outcome.PROMOTED


@pytest.mark.parametrize(
    ("history", "event", "why"),
    [
        (MOVING, ev.StepReached(1, 1.0), "it is about step 2, and step 1 is next"),
        (UNTOUCHED, ev.Waiting(1, "x"), "it is about step 2, and step 1 is next"),
        (BAKING, ev.Judged(1, "HOLD", 1, ""), "it is about step 2, and step 1 is next"),
        (PASSED, ev.StepReached(1, 1.0), "it is about step 2, and no step is left"),
        (MOVING, ev.Settling(), "step 1 is next"),
        (MOVING, ev.Resumed("ann"), "nobody holds it"),
        (MOVING, ev.GoingBack(Outcome.PROMOTED, 0, ""), "no way back ends promoted"),
        ((*BAKING, BACK), ev.Closed(Outcome.MENDED), "it goes back to end rolled back"),
        ((*BAKING, BACK), ev.SwitchIntended(("b",), "2", "canary"), "going back, where hosts are switched to stable"),
        (MOVING, ev.SwitchIntended(("b",), "1", "stable"), "between steps, where hosts are switched to canary"),
        (MOVING, ev.HostSwitched("b", "2", "canary"), "b was not told to switch"),
    ],
)
def test_a_kind_that_may_follow_is_refused_where_it_says_what_cannot_be(history, event, why):
    with pytest.raises(GopubError, match=rf"GP702 .* cannot follow in rollout r1: .*{why}"):
        advance(fold(history), event)


@pytest.mark.parametrize(
    ("phase", "event"),
    [
        (Phase.PLANNED, ev.StageIntended(("a", "z"))),
        (Phase.PLANNED, ev.HostStaged("z")),
        (Phase.PLANNED, ev.HostFailed("z", "stage", "GP440", "")),
        (Phase.MOVING, ev.SwitchIntended(("z",), "2", "canary")),
        (Phase.MOVING, ev.HostSwitched("z", "2", "canary")),
        (Phase.GOING_BACK, ev.HostOwed("z", "away")),
        (Phase.LAID_OUT, ev.HostOwed("z", "away")),
    ],
)
def test_a_host_that_the_plan_does_not_have_is_an_error_with_a_code(phase, event):
    with pytest.raises(GopubError, match=r"GP733 \w+ in rollout r1 names 'z', which the plan does not have"):
        fold((*WAYS[phase], event))


def test_what_is_to_be_done_next():
    told = {phase: next_action(fold(way)) for phase, way in WAYS.items()}
    assert told[Phase.NEW] is told[Phase.ADMITTED] is Action.ADMIT
    assert (told[Phase.PLANNED], told[Phase.MOVING], told[Phase.BAKING]) == (Action.STAGE, Action.REACH, Action.BAKE)
    assert next_action(fold(PASSED)) is told[Phase.SETTLING] is Action.SETTLE
    assert told[Phase.LAID_OUT] is told[Phase.LEAVING] is told[Phase.GOING_BACK] is Action.GO_BACK


def test_the_docs_draw_the_table():
    page = drawing.PAGE.read_text("utf-8")
    assert drawing.on_page(page) == page, "python -m gopub.journal.drawing"
    assert page.count("stateDiagram-v2") == 1
    moves = {(here, there) for here, row in TABLE.items() for there in row.values() if there is not here}
    arrows = {line.partition(":")[0].strip() for line in page.splitlines() if " --> " in line}
    assert len(arrows) <= len(moves) + 1
    assert {"MOVING --> BAKING", "BAKING --> MOVING", "SETTLING --> CLOSED"} <= arrows


def rewritten(folder: Path, statement: str) -> Journal:
    """A rollout under way whose entries somebody rewrote."""
    path = str(folder / "journal.db")
    journal = open_journal(path, ManualClock())
    env, other = [ev.EnvOpened("r1", "b" * 64)], [ev.EnvOpened("r2", "b" * 64), ev.EnvClosed("r2", Outcome.WITHDRAWN)]
    parts = [("env/hello/lab", 0, env), ("env/other/lab", 0, other), ("rollout/r1", 0, BAKING)]
    journal.append_all(parts, actor="ann")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute(statement).rowcount
        db.commit()
    return journal


ILLEGAL = "UPDATE journal SET type = 'Settling', data = '{}' WHERE type = 'Admitted'"
STRANGER = """UPDATE journal SET data = replace(data, '"a"', '"z"') WHERE type = 'HostStaged'"""


@pytest.mark.parametrize(("statement", "code"), [(ILLEGAL, "GP702"), (STRANGER, "GP733")])
def test_a_journal_that_cannot_have_happened_is_one_line_for_people(tmp_path, monkeypatch, capsys, statement, code):
    rewritten(tmp_path, statement)
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sys.argv", ["gopub", "status"])
    with pytest.raises(SystemExit) as end:
        main.run()
    said = capsys.readouterr()
    assert end.value.code == 1
    table, _, below = said.out.partition("\n\n")
    [head, damaged, other] = [line.split() for line in table.splitlines()]
    assert [line.partition(": ")[0] for line in below.splitlines()] == ["other in lab"]
    assert damaged[:2] == ["hello", "lab"] and f"r1: cannot be told: {code}" in " ".join(damaged)
    assert other[:2] == ["other", "lab"] and head[:2] == ["app", "env"], "it hides no other"
    told = said.err.splitlines()
    assert [line.partition(" ")[0] for line in told] == ["error:", "hint:"] and code in told[0]


@pytest.mark.parametrize("statement", [ILLEGAL, STRANGER])
def test_explain_tells_it_entry_by_entry_all_the_same(tmp_path, statement):
    journal = rewritten(tmp_path, statement)
    lines = explanation(journal.read("rollout/r1"))
    assert sum("step 1 reached, baking" in line for line in lines) == 1


def test_edges_that_are_owed_by_such_a_rollout_hide_no_others(tmp_path):
    journal = rewritten(tmp_path, ILLEGAL)
    owed = [ev.EnvClosed("r1", Outcome.ROLLED_BACK, owed_edges=("edge1",))]
    journal.append("env/hello/lab", 1, owed, actor="ann")
    owed = [ev.EnvOpened("r3", ""), ev.EnvClosed("r3", Outcome.ROLLED_BACK, owed_edges=("edge1",))]
    journal.append_all([("env/other/lab", 2, owed), ("rollout/r3", 0, [replace(OPENED, rollout="r3")])], actor="ann")
    assert [debt.rollout.rollout for debt in debts(journal)] == ["r3"]


# A second opinion: the same rules from what happened instead of from where it stands, written without the table.


@dataclass
class Model:
    """What happened so far, as flags and counts."""

    opened: bool = False
    admitted: bool = False
    refused: bool = False
    planned: bool = False
    laid_out: bool = False
    waits: bool = False
    touched: bool = False
    bakes: bool = False
    settles: bool = False
    watches: bool = False
    held: bool = False
    passed: int = 0
    back: Outcome | None = None
    over: bool = False

    def allows(self, event: ev.Event) -> bool:  # noqa: C901, PLR0911, PLR0912 - one case for each rule
        """Whether it may come now."""
        forward = self.planned and not self.laid_out and self.back is None
        moves = forward and self.touched and not self.bakes
        if self.over or self.opened is isinstance(event, ev.Opened):
            return False
        if self.watches and self.back is None:
            return self.while_watched(event)
        match event:
            case ev.Opened() | ev.SeatTaken():
                return True
            case ev.WatchBegun():
                return forward and self.settles
            case ev.Admitted() | ev.Refused():
                return not (self.planned or self.back)
            case ev.Planned():
                return not (self.planned or self.refused or self.back)
            case ev.Held() | ev.Resumed():
                return forward and (self.held or isinstance(event, ev.Held))
            case ev.Waiting(step=step) | ev.Woken(step=step):
                awake = isinstance(event, ev.Waiting) or self.waits
                return forward and not self.touched and awake and step == self.passed
            case ev.StageIntended() | ev.HostStaged():
                return forward and not self.touched and not self.waits
            case ev.HostFailed():
                return forward and not self.waits and not self.bakes
            case ev.TableIntended() | ev.TablePut():
                return self.touched and not self.laid_out
            case ev.SwitchIntended(track=track):
                if self.back:
                    return self.touched and track == "stable"
                return self.laid_out or (forward and not self.waits and not self.bakes and track == "canary")
            case HookIntended() | HookEnded() if self.back:
                return self.touched
            case HookIntended():
                return forward and not self.waits and not self.bakes and not self.settles
            case HookEnded():
                return moves and not self.settles
            case ev.HostOwed() | ev.TrafficOff() if self.back:
                return self.touched
            case ev.HostOwed():
                return self.laid_out
            case ev.StepReached(step=step):
                return moves and not self.settles and step == self.passed < len(STEPS)
            case ev.Judged(step=step):
                known = step < self.passed + self.bakes or step == self.passed < len(STEPS)
                return forward and self.touched and known
            case ev.StepPassed(step=step):
                return forward and self.bakes and step == self.passed
            case ev.Settling():
                return moves and not self.settles and self.passed == len(STEPS)
            case ev.GoingBack(outcome=outcome):
                return self.back is None and outcome not in (Outcome.PROMOTED, Outcome.REFUSED, Outcome.FAILED)
            case ev.Closed(outcome=outcome):
                return self.may_end(outcome)
            case _:
                return False

    def while_watched(self, event: ev.Event) -> bool:
        """Everything is done: what is left is to look, to end well, or to go back."""
        match event:
            case ev.SeatTaken() | ev.Held() | ev.Watched():
                return True
            case ev.Resumed():
                return self.held
            case ev.GoingBack(outcome=outcome):
                return outcome not in (Outcome.PROMOTED, Outcome.REFUSED, Outcome.FAILED)
            case ev.Closed(outcome=outcome):
                return outcome in (Outcome.PROMOTED, Outcome.ROLLED_BACK)
            case _:
                return False

    def may_end(self, outcome: Outcome) -> bool:
        """Taken back by whoever had no journal, or as it was going to end."""
        if outcome is Outcome.ROLLED_BACK:
            return True
        if self.back is not None:
            untouched = not self.touched and outcome is Outcome.MENDED
            return outcome is self.back and not untouched
        if outcome is Outcome.REFUSED:
            return self.refused
        return outcome is Outcome.PROMOTED and self.settles

    def after(self, event: ev.Event) -> None:  # noqa: C901, PLR0912 - one case for each kind
        """Remember it."""
        match event:
            case ev.Opened():
                self.opened = True
            case ev.Admitted():
                self.admitted, self.refused = True, False
            case ev.Refused():
                self.admitted, self.refused = False, True
            case ev.Planned():
                self.planned, self.laid_out = True, not self.admitted
            case ev.Waiting() | ev.Woken():
                self.waits = isinstance(event, ev.Waiting)
            case ev.Held() | ev.Resumed():
                self.held = isinstance(event, ev.Held)
            case ev.SwitchIntended() | HookIntended():
                self.touched = self.touched or not self.laid_out
            case ev.StepReached() | ev.StepPassed():
                self.bakes = isinstance(event, ev.StepReached)
                self.passed += isinstance(event, ev.StepPassed)
            case ev.Settling():
                self.settles = True
            case ev.WatchBegun():
                self.watches = True
            case ev.GoingBack(outcome=outcome):
                self.back, self.held = outcome, False
                self.touched, self.laid_out = self.touched or self.laid_out, False
            case ev.Closed():
                self.over = True
            case _:
                pass


def drawn_event(state: State, chance: random.Random) -> ev.Event:
    """Any kind, mostly one that the machine would take; its step, track and outcome are drawn as well."""
    likely = chance.random() < 0.7 and TABLE[state.phase]
    key = chance.choice(list(TABLE[state.phase] if likely else KEYS))
    if isinstance(key, Outcome) and chance.random() < 0.8:
        key = ev.SeatTaken  # most walks shall be long
    step, track = chance.choice([0, 0, 1, 2]), chance.choice(["canary", "canary", "stable"])
    near = state.step.index if state.step and chance.random() < 0.8 else step
    drawn: dict[object, ev.Event] = {
        ev.Waiting: ev.Waiting(near, "x"), ev.Woken: ev.Woken(near), ev.StepReached: ev.StepReached(near, 1.0),
        ev.Judged: ev.Judged(near, "HOLD", 1, ""), ev.StepPassed: ev.StepPassed(near),
        ev.SwitchIntended: ev.SwitchIntended((chance.choice("ab"),), "x", track),
        ev.GoingBack: ev.GoingBack(chance.choice(list(Outcome)), 0, ""),
    }  # fmt: skip
    if key is ev.GoingBack and chance.random() < 0.7:
        return ev.SeatTaken(3, "eve")
    return drawn.get(key) or event_for(key, state)


def taken(state: State, event: ev.Event) -> State | None:
    """The state after it; None where it is refused."""
    try:
        return advance(state, event)
    except GopubError as error:
        if error.code != "GP702":
            raise
        return None


def test_random_walks_go_where_a_second_opinion_lets_them():
    seed = chance_seed()
    chance, seen = random.Random(seed), set()
    for _ in range(500):
        state, model = State(), Model()
        begun = list(chance.choice(list(WAYS.values())))  # then anything, so that every state is walked from
        for _ in range(40):
            event = begun.pop(0) if begun else drawn_event(state, chance)
            if isinstance(event, ev.HostSwitched):  # whether it was ordered is a matter of hosts: told above
                state = taken(state, event) or state
                continue
            allowed, after = model.allows(event), taken(state, event)
            assert allowed is (after is not None), (event, state.phase, model)
            if after is None:
                continue
            state = after
            model.after(event)
            seen.add((state.phase, key_of(event)))
            if model.over:
                break
    assert {phase for phase, _ in seen} == set(Phase) - {Phase.NEW}
