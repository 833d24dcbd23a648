"""Kept records with a hostile or damaged figure: refused with their place, or judged in as many steps as others."""

from __future__ import annotations

import asyncio
import copy
import json
import sys
from dataclasses import replace
from typing import Any

import pytest

from gopub.errors import UsageError
from gopub.health.config import SloTarget
from gopub.health.eprocess import Process
from gopub.health.samples import Histogram, HostCounts, TrackWindow, Window
from gopub.health.sequential import EvidenceState, fold
from gopub.health.wire import to_json
from gopub.journal import events as ev
from gopub.judge.backtest import backtest
from gopub.judge.between import Kept, Looks, Track, looks_from_json, unfolded
from gopub.judge.calibrate import calibrate
from gopub.judge.replay import judge, record_from_json, record_to_json, replay
from gopub.views.backtests import backtest_lines, read_backtest
from gopub.views.calibrations import kept_windows, past_of
from tests.unit.test_backtest import SAME, journal_with, run
from tests.unit.test_judge_replay import entry, leaves
from tests.unit.verdicts import drawn
from tests.unit.views_world import NEW, went_back

HALF = "\ud800"
"""Half a character: no JSON at all, so it has no field."""
HOSTILE = (float("nan"), -1, 1e308, 1e29, 2**53 - 1, 0, "", HALF, None, [])
ALIKE = {"errors", "slow", "late", "left", "canary", "stable", "recent", "windows", "step_totals", "rollout_totals"}
"""Above a leaf: several of one kind."""
TIMES = 3
"""So many calls of an undamaged record's may a damaged one take."""


class TooLongError(Exception):
    """More steps than allowed."""


async def kept() -> Any:
    """A real record, with error lines, slow answers and a score."""
    return (await entry())["record"]["record"]


def kinds(record: Any) -> list[tuple[str | int, ...]]:
    """The first leaf of each kind: what holds of one element of a list holds of the next."""
    found: dict[tuple[str | int, ...], tuple[str | int, ...]] = {}
    for path in leaves(record):
        above = tuple("*" if isinstance(part, int) or part in ALIKE else part for part in path[:-1])
        found.setdefault((*above, "*" if isinstance(path[-1], int) else path[-1]), path)
    return list(found.values())


def with_value(record: Any, path: tuple[str | int, ...], value: object) -> Any:
    if not path:
        return value
    bent = copy.copy(record)
    bent[path[0]] = with_value(record[path[0]], path[1:], value)
    return bent


def at(record: Any, path: tuple[str | int, ...]) -> Any:
    return at(record[path[0]], path[1:]) if path else record


def used(data: Any) -> None:
    """All that is ever computed from a kept record."""
    record = record_from_json(data)
    replay(record)
    backtest([record], SAME, 1)
    config = record.observation.config
    calibrate(kept_windows([(record, None)]), config.slo, config.alpha, 2.0)


def steps(data: Any, most: float = float("inf")) -> int:
    """How many calls it takes to use a record; it is stopped at ``most``."""
    count = 0

    def called(*_: object) -> None:
        nonlocal count
        count += 1
        if count > most:
            raise TooLongError

    sys.setprofile(called)
    try:
        used(data)
    finally:
        sys.setprofile(None)
    return count


def refused(data: Any) -> UsageError | None:
    try:
        record_from_json(data)
    except UsageError as error:
        return error
    return None


async def test_every_field_of_a_record_is_refused_with_its_place_or_judged_in_bounded_steps():
    """Every value is taken or refused; with nothing, 0 and the largest that is taken, all is computed."""
    record = await kept()
    usual, taken = steps(record), 0
    for path in kinds(record):
        for value in HOSTILE:
            bent = with_value(record, path, value)
            if error := refused(bent):
                assert (error.code, error.problem[:7]) == ("GP601", "verdict"), (path, value, error.problem)
                assert str(path[0]) in error.problem or value == HALF
            elif value in (0, None) or value == (1e29 if isinstance(at(record, path), float) else 2**53 - 1):
                steps(bent, TIMES * usual)
                taken += 1
    assert taken > 100, "a control: not all was refused at the door"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("policy", "alpha"), 0, "verdict.policy.alpha: 0.0 is not between 0 and 1"),
        (("observation", "config", "alpha"), 0.0, "verdict.observation.config.alpha: 0.0 is not between 0 and 1"),
        (("observation", "config", "rules"), 99, "verdict.observation.config.rules: 99 is above"),
        (("observation", "config", "slo", "latency_p95"), 0.0, "slo.latency_p95: 0.0 is not between 0 and 1e+30"),
        (("observation", "config", "horizon"), 1e9, "horizon: 1000000000.0 is above 86400"),
        (("observation", "step_totals", "canary_requests"), 2**53, "canary_requests: 9007199254740992 is above"),
        (("observation", "step_totals", "canary_errors"), -1, "canary_errors: -1 is below 0"),
        (("observation", "evidence", "log_e"), 1e300, "evidence.log_e: 1e+300 is above 1e+30"),
        (("observation", "config", "score", "profile"), "best", "profile: 'best' is none of default, article"),
        (("observation", "before", "errors", "versus_stable", "started"), [0.0], "started: has 1 bets, not 7"),
    ],
    ids=lambda part: part[-1] if isinstance(part, tuple) else None,
)  # fmt: skip
def test_a_figure_out_of_its_bounds_is_named(path, value, said):
    with pytest.raises(UsageError, match=r"verdict\.") as caught:
        record_from_json(with_value(record_to_json(drawn()), path, value))
    assert said in caught.value.problem


def window(bounds: tuple[float, ...], counts: tuple[int, ...], start: float = 0.0, stable: Any = None) -> Window:
    track = TrackWindow("c", (HostCounts("h1", 5, 0),), Histogram(bounds, counts))
    return Window(start, start + 2, track, stable)


@pytest.mark.parametrize(
    ("bounds", "counts"), [((1.0,), (1,)), ((), (3,)), ((2.0, 1.0), (1, 1, 1)), ((0.0,), (1, 1)), ((-1.0,), (1, 1))]
)
def test_buckets_that_do_not_fit_are_no_record(bounds, counts):
    kept = record_to_json(drawn(recent=window(bounds, counts)))
    with pytest.raises(UsageError, match=r"verdict\.observation\.recent\.canary\.latency\.(bounds|counts)"):
        record_from_json(kept)
    record_from_json(record_to_json(drawn(recent=window((1.0, 2.0), (1, 1, 1)))))


def test_tracks_with_other_buckets_in_one_window_are_no_record():
    other = TrackWindow("s", (HostCounts("h2", 5, 0),), Histogram((2.0,), (5, 0)))
    with pytest.raises(UsageError, match=r"recent: has other buckets of canary than of stable"):
        record_from_json(record_to_json(drawn(recent=window((1.0,), (5, 0), stable=other))))


def test_a_window_that_waits_outlives_other_buckets():
    """An edge began to count by other bounds while the canary's counts waited for stable's."""
    first = window((1.0,), (5, 0))
    stable = TrackWindow("s", (HostCounts("h2", 9, 1),), Histogram((2.0,), (9, 0)))
    both = [first, Window(2.0, 4.0, None, stable)]
    state = fold(EvidenceState(), both, SloTarget(None, 0.01), compare=True, stable_broken=False)
    assert (state.errors.canary.exposed, state.errors.stable.exposed) == (5, 9)
    assert state.errors.versus_stable != Process(), "they were compared"


def test_looks_are_held_to_what_an_entry_keeps():
    track = Track("c", (("h1", (1, 0, 0, 0, 0, 0, 0)),))
    many = tuple(Kept(float(at), at, at + 1, track) for at in range(122))
    assert looks_from_json(to_json(Looks((), many[:121])))
    with pytest.raises(UsageError, match="are more than an entry has"):
        looks_from_json(to_json(Looks((), many)))
    below = Track("c", (("h1", (1, -1, 0, 0, 0, 0, 0)),))
    with pytest.raises(UsageError, match=r"looks\.windows\[0\].*-1 is below 0"):
        looks_from_json(to_json(Looks((), (Kept(0.0, 0.0, 1.0, below),))))


def test_a_damaged_record_hides_no_other_and_is_told_with_its_place(tmp_path):
    journal = journal_with(tmp_path, [drawn()])
    bad = with_value(record_to_json(drawn()), ("policy", "alpha"), 0)
    events = [
        replace(event, record={"record": bad}) if isinstance(event, ev.Judged) else event
        for event in went_back("r-torn", "shop", "lab")
    ]
    number = 1 + next(at for at, event in enumerate(events) if isinstance(event, ev.Judged))
    last = journal.read("env/shop/lab")[-1].version
    journal.append("env/shop/lab", last, [ev.EnvOpened("r-torn", NEW)], actor="ann", trace="7" * 32)
    journal.append("rollout/r-torn", 0, events, actor="ann", trace="7" * 32)
    rows = {one.rollout: one.decided for one in read_backtest(journal, SAME, 0.0, "shop").rollouts}
    said = f"GP601 rollout r-torn, entry {number}: verdict.policy.alpha: 0.0 is not between 0 and 1"
    assert rows["r-torn"].reason == f"its looks cannot be read: {said}"
    assert rows["r-real"].looks == 1
    assert any(said in line for line in backtest_lines(read_backtest(journal, SAME, 0.0)))
    found = past_of(journal, "shop", "lab", 0.0)
    assert found.note == f"1 rollouts cannot be read and are left out: {said}"
    assert found.alpha == 0.01, "the marks are those of the last record that can be read"


def test_replay_goes_on_after_a_damaged_record(tmp_path, monkeypatch, capsys):
    good, bad = asyncio.run(kept()), with_value(record_to_json(drawn()), ("policy", "alpha"), 0)
    head = {"kind": "HOLD", "rule": 6, "reason": "x"}
    document = {"entries": [{"version": 7, "data": {**head, "record": {"record": bad}}},
                            {"version": 8, "data": {**head, "record": {"record": ""}}}, good]}  # fmt: skip
    file = tmp_path / "kept.json"
    file.write_text(json.dumps(document))
    code, out, err = run(monkeypatch, capsys, "judge", "replay", str(file))
    lines = out.splitlines()
    assert lines[0] == "DAMAGED  GP601 rollout r-1, entry 7: verdict.policy.alpha: 0.0 is not between 0 and 1"
    assert lines[1].startswith("DAMAGED  GP601 rollout ?, entry 8: verdict: ")
    assert lines[2].startswith("same     step 1 HOLD by rule 6")
    assert code == 2
    assert "GP601 2 of 3 records cannot be read: rollout r-1, entry 7" in err
    told = json.loads(run(monkeypatch, capsys, "judge", "replay", str(file), "--json")[1])["verdicts"]
    assert [sorted(one) for one in told] == [["damaged"], ["damaged"], ["differences", "same", "verdict"]]


def test_looks_of_a_record_of_another_step_are_left_out():
    first, last = drawn(), judge(drawn(step=1).observation, drawn().policy, drawn().history)
    track = Track("c", (("h1", (1, 0, 0, 0, 0, 0, 0)),))
    looks = looks_from_json(to_json(Looks((), (Kept(0.0, 0.0, 1.0, track),))))
    assert len(list(unfolded([(first, None), (last, looks)]))) == 2


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("config",), [f"/{n}" for n in range(11)], "observation.config.endpoints: has 11, and 10 are the most"),
        (("windows", 0, "canary"), [[]] * 11, "observation.windows[0].canary.endpoints: has 11, and 10 are the most"),
        (("windows", 0, "stable"), [[[1, 0, 0, 0]] * 9], "observation.windows[0].stable.endpoints: has an endpoint of"),
        (
            ("windows", 0, "stable"),
            [[[1, -1, 0, 0]]],
            "observation.windows[0].stable.endpoints[0][0][1]: -1 is below 0",
        ),
    ],
)
async def test_more_endpoints_than_there_can_be_are_refused(path, value, why):
    whole = await kept()
    with pytest.raises(UsageError, match="GP601") as caught:
        record_from_json(with_value(whole, ("observation", *path, "endpoints"), value))
    assert why in caught.value.problem
