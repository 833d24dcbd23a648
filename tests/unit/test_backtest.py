"""Another policy's word on rollouts that are over: what it would have decided, when, and where nobody knows."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from gopub.cli import main
from gopub.errors import ErrorGroup
from gopub.health.wire import schema_of
from gopub.journal import events as ev
from gopub.judge.backtest import CENSORED, backtest
from gopub.judge.replay import judge, record_to_json
from gopub.judge.verdict import History, Kind, Policy
from gopub.plan.model import Outcome
from gopub.schemas import schema
from gopub.spec.loader import load_judge
from gopub.spec.models import Judge
from gopub.views import backtests as views
from gopub.views.backtests import Backtest, backtest_lines, read_backtest
from tests.support.chance import seed as chance_seed
from tests.unit.judge_world import LOOK, T0, Bake
from tests.unit.views_world import NEW, OLD, went_back, world

SAME = Judge.model_validate({})
STRICT = Judge.model_validate({"alpha": 1e-12})


def kept(bake):
    """Every look of a bake as the journal keeps it, and the verdict that ended it."""
    ended, after = asyncio.run(bake.verdict())
    history, records = History(T0, T0, bake.bake, T0 + bake.deadline), []
    for seen in bake.seen:
        history = replace(history, now=history.now + LOOK)
        record = judge(seen, Policy.of(seen.config), history)
        records.append(record)
        history = history.after(record.verdict)
    assert records[-1].verdict == ended
    return records, ended, after


@pytest.fixture(scope="module")
def bad():
    seed = chance_seed()
    return kept(Bake(seed, extra_errors=0.3))


@pytest.fixture(scope="module")
def good():
    seed = chance_seed()
    return kept(Bake(seed, errors=0.0001))


def test_the_same_policy_decides_the_same_at_the_same_moment(bad, good):
    for records, ended, after in (bad, good):
        found = backtest(records, SAME, 1)
        assert (found.what, found.rule, found.after) == (ended.kind, ended.rule, after - LOOK)
        assert found.looks == len(records)
    assert (bad[1].kind, good[1].kind) == (Kind.ROLLBACK, Kind.PROMOTE)


def test_where_the_rollout_ended_first_nobody_knows(bad):
    records, _, _ = bad
    found = backtest(records, STRICT, 1, "rolled back")
    assert found.what == CENSORED
    assert found.reason.startswith("the rollout ended (rolled back) while it said HOLD by rule")
    assert backtest([], SAME, 1).reason == "no look of it was kept"


def test_a_policy_that_waits_for_more_would_still_hold_and_one_that_asks_less_goes_back_sooner(good, bad):
    more = backtest(good[0], Judge.model_validate({"min_requests": 100_000}), 1, "promoted")
    assert (more.what, more.rule) == (CENSORED, 2)
    sooner = backtest(bad[0], Judge.model_validate({"alpha": 0.2}), 1)
    assert sooner.what == Kind.ROLLBACK
    assert sooner.after <= bad[2] - LOOK


def test_a_step_that_it_would_not_have_left_ends_what_is_known(good):
    records = good[0]
    second = [replace(one, observation=replace(one.observation, step=1)) for one in records]
    assert backtest([*records, *second], SAME, 2).step == 1
    assert backtest([*records, *second], SAME, 3).what == CENSORED
    never = backtest([*records, *second], Judge.model_validate({"score": {"pass": 100}}), 2)
    assert (never.what, never.step) == (CENSORED, 0)
    assert never.reason.startswith("the rollout went on while it said HOLD by rule 6")


def journal_with(folder, records):
    """The world of the views with one rollout more, whose looks are real."""
    journal, _ = world(folder)
    events: list[ev.Event] = []
    for event in went_back("r-real", "shop", "lab"):
        looks = [
            ev.Judged(0, str(one.verdict.kind), one.verdict.rule, one.verdict.reason, {"record": as_json(one)})
            for one in records
        ]
        events += looks if isinstance(event, ev.Judged) else [event]
    journal.append("env/shop/lab", 0, [ev.EnvOpened("r-real", NEW)], actor="ann", trace="7" * 32)
    journal.append("rollout/r-real", 0, events, actor="ann", trace="7" * 32)
    closed = ev.EnvClosed("r-real", Outcome.ROLLED_BACK, OLD, "1.0.0", quarantined=NEW, automatic=True)
    journal.append("env/shop/lab", 1, [closed], actor="ann", trace="7" * 32)
    return journal


def as_json(record) -> Any:
    return record_to_json(record)


def test_the_journal_is_judged_again_and_what_cannot_be_read_hides_nothing(tmp_path, bad):
    journal = journal_with(tmp_path, bad[0])
    rows = {one.rollout: one for one in read_backtest(journal, SAME, 0.0).rollouts}
    assert (rows["r-real"].outcome, rows["r-real"].decided.what) == ("rolled back", "ROLLBACK")
    assert not rows["r-real"].differs
    assert rows["r-back"].decided.reason.startswith("its looks cannot be read: GP601")
    assert [one.rollout for one in read_backtest(journal, SAME, 0.0, "shop").rollouts] == ["r-real"]
    assert read_backtest(journal, SAME, 4e9).rollouts == ()
    lines = list(backtest_lines(read_backtest(journal, SAME, 0.0, "shop")))
    assert lines[0] == "same     r-real  shop 2.0.0 into lab: rolled back"
    assert lines[-1] == "1 rollouts: 0 would have ended another way, of 0 nobody knows"
    promoted = replace(rows["r-real"], outcome="promoted")
    assert promoted.differs
    assert next(backtest_lines(Backtest((promoted,)))).startswith("DIFFERS  r-real")


def test_looks_without_a_plan_tell_no_end(good):
    """A journal of which the plan is gone: whatever the last look said is no end, and no end is another one."""
    records = good[0][:-1]  # the last of them is a HOLD
    found = backtest(records, SAME, 0, "promoted")
    assert (found.what, found.reason) == (CENSORED, "its plan is not in the journal")
    assert not views.Tested("r", "shop", "lab", "1", 0.0, "promoted", found).differs
    assert backtest(records, SAME, 1, "promoted").reason != found.reason


def test_the_command_prints_a_document_and_refuses_an_unknown_key(tmp_path, monkeypatch, capsys, bad):
    journal_with(tmp_path, bad[0])
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    policy = tmp_path / "policy.yaml"
    policy.write_text("judge:\n  alpha: 0.05\n  slo: {error_rate: 2%}\n")
    assert load_judge(policy).slo.error_rate == 0.02
    line = ["judge", "backtest", "--policy", str(policy), "--since", "99999d", "--app", "shop"]
    document = json.loads(run(monkeypatch, capsys, *line, "--json")[1])
    assert document["rollouts"][0]["decided"]["what"] == "ROLLBACK"
    assert schema("backtest") == schema_of(Backtest, "backtest")
    policy.write_text("alhpa: 0.05\n")
    code, _, err = run(monkeypatch, capsys, *line)
    assert code == 2
    assert "did you mean alpha" in err


@pytest.mark.parametrize("above", ["", "judge:\n"])
def test_a_policy_is_held_to_all_that_check_holds_a_judge_to(tmp_path, above):
    """Rules between keys, and keys that are not acted on yet, each with its place."""
    policy, line, dent = tmp_path / "policy.yaml", 1 if not above else 2, "  " if above else ""
    lines = (
        "promote: {margin: 30%}",
        "budget: {window: 10s}",
        "rollback: {floor: 3}",
        "shadow: {slo: {error_rate: 0%}, promote: {by: evidence}}",
    )
    policy.write_text(above + "".join(f"{dent}{text}\n" for text in lines))
    with pytest.raises(ErrorGroup) as caught:
        load_judge(policy)
    found = [(one.code, one.where.line - line, one.where.col - len(dent)) for one in caught.value.errors]
    assert found == [("GP133", 0, 19), ("GP133", 1, 18), ("GP121", 1, 18), ("GP119", 2, 12), ("GP133", 3, 33)]
    head = "judge." if above else ""
    assert (
        caught.value.errors[0].problem == f"`{head}promote.margin`: the bake ends by its time alone, so it is not used"
    )


def run(monkeypatch, capsys, *args):
    """The exit code, and what the command says on both streams."""
    monkeypatch.setattr("sys.argv", ["gopub", *args])
    code = 0
    try:
        main.run()
    except SystemExit as over:
        code = int(over.code or 0)
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_schema_takes_what_is_written(tmp_path, bad):
    from jsonschema import Draft202012Validator

    from gopub.views.backtests import backtest_json

    found = backtest_json(read_backtest(journal_with(tmp_path, bad[0]), STRICT, 0.0))
    Draft202012Validator(schema("backtest")).validate(found)
