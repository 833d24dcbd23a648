"""The truth table of the decision, its boundaries, and a control: every rule that is bent turns some case red."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gopub.judge import decision, hosts
from gopub.judge.decision import decide
from gopub.judge.verdict import Kind
from tests.unit.judge_maker import history, observation, policy

_FILE = YAML(typ="safe").load(Path(__file__).parents[1] / "cases" / "health" / "decide.yaml")
CASES = [_FILE["good"] | case for case in _FILE["cases"]]


def wrong(case, decide=decide):
    """What differs from the table, as text; empty when nothing does."""
    given = decide(observation(case), policy(case), history(case))
    if [str(given.kind), given.rule] != case["verdict"]:
        return f"{given}"
    return "" if case.get("says", "") in given.reason else given.reason


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_verdict(case):
    assert not wrong(case)


def test_the_table_knows_every_rule_and_every_kind():
    assert {case["verdict"][1] for case in CASES} == {1, 2, 3, 4, 5, 6, 7}
    assert {case["verdict"][0] for case in CASES} == set(Kind)


def test_the_docstring_numbers_the_rules_that_fire():
    numbers = {int(number) for number in re.findall(r"^ {4}(\d)\. ", decide.__doc__, re.MULTILINE)}
    assert numbers == {case["verdict"][1] for case in CASES}


MUTATIONS = [
    ("idle <= policy.quiet", "idle < policy.quiet"),
    ("idle <= policy.quiet", "idle <= policy.quiet + 1"),
    ("history.approved is not None or policy.first:", "history.approved is not None:"),
    ("history.approved is not None or policy.first:", "policy.first:"),
    ("if history.watch_since is not None or history.approved", "if history.approved"),
    ("if idle is not None and idle <= policy.quiet", "if idle is None or idle <= policy.quiet"),
    ("if failure := hard_failure(observation.hosts, policy):", "if failure := '':"),
    ("host.restarts > policy.max_restarts", "host.restarts > policy.max_restarts + 1"),
    ("if bad and host.reachable", "if bad"),
    ("if policy.health_only:", "if False:"),
    ("canary_requests < policy.min_requests", "canary_requests <= policy.min_requests"),
    ("canary_requests < policy.min_requests", "canary_requests < policy.min_requests - 1"),
    ("if policy.first and not totals.canary_errors:", "if policy.first:"),
    ("if policy.first and not totals.canary_errors:", "if False:"),
    ("if observation.no_data is not None:\n        return _hold", "if False:\n        return _hold"),
    ("if history.watch_since is None and (\n", "if (\n"),
    ("and host.reachable and host.other is None", "and host.reachable"),
    ("if others := elsewhere(observation.hosts):", "if others := ():"),
    ("if history.now >= history.deadline:", "if history.now > history.deadline:"),
    ("if history.now >= history.deadline:", "if history.now >= history.deadline - 1:"),
    ("OVERWHELMING = 100.0", "OVERWHELMING = 99.0"),
    ("OVERWHELMING = 100.0", "OVERWHELMING = 101.0"),
    ("OVERWHELMING / policy.alpha):", "OVERWHELMING / 0.01):"),
    ("log_e >= math.log(1 / policy.alpha):\n        return _watched", "log_e >= 0.0:\n        return _watched"),
    ("log_e_all) >= math.log(1 / policy.alpha):\n        guilty", "log_e_all) >= 0.0:\n        guilty"),
    ("log_e_all) >= math.log(1 / policy.alpha):\n        guilty", "log_e_all) >= 9.0:\n        guilty"),
    ("or left <= 0 or _left(history) > 0", "or left <= 0"),
    ("or left <= 0 or _left(history) > 0", "or left < 0 or _left(history) > 0"),
    ("EARLY = 90.0", "EARLY = 89.0"),
    ("EARLY = 90.0", "EARLY = 91.0"),
    ("max(observation.evidence.log_e, observation.evidence.log_e_all)", "observation.evidence.log_e"),
    ("if not stable_broken and observation", "if observation"),
    ("and not stable_broken and not _recovered", "and not _recovered"),
    ("check.enough and not check.above", "check.enough and not check.broken"),
    ("check.enough and not check.above", "not check.above"),
    ("log.value >= policy.log_score:", "log.value > policy.log_score:"),
    ("log.value >= policy.log_score:", "log.value >= policy.log_score - 0.0002:"),
    ("log.value >= mark and", "log.value > mark and"),
    ("log.value >= mark and", "log.value >= mark - 0.0002 and"),
    ("log.value >= mark and", "log.value >= 0.85 and"),
    ("log.value >= mark and", "False and"),
    (
        "if left <= 0:\n        return _verdict(Kind.ROLLBACK, 4",
        "if left < 0:\n        return _verdict(Kind.ROLLBACK, 4",
    ),
    (
        "if left <= 0:\n        return _verdict(Kind.ROLLBACK, 4",
        "if left <= 1:\n        return _verdict(Kind.ROLLBACK, 4",
    ),
    ("score.value < policy.pass_score", "score.value <= policy.pass_score"),
    ("if not against and score.value is None:", "if score.value is None:"),
    ("if not against and score.value is None:", "if False:"),
    ("(*guilty.values(), *unblamed.values())", "tuple(guilty.values())"),
    ("Kind.ROLLBACK if blamed else Kind.WITHDRAW", "Kind.ROLLBACK"),
    ("Kind.ROLLBACK if blamed else Kind.WITHDRAW", "Kind.WITHDRAW"),
    ("guilty.keys() - ({Cause.SCORE} if", "guilty.keys() - (set() if"),
    ("least(policy.alpha) if observation.config.shares_alpha", "0.0 if observation.config.shares_alpha"),
    ("least(policy.alpha) if observation.config.shares_alpha", "least(2 * policy.alpha) if True"),
    ("alone = observation.config.shares_alpha and", "alone = False and"),
    ("alone = observation.config.shares_alpha and", "alone = True or"),
    ("few and not _leaving(observation, policy)", "few"),
    ("not is_sure(left, policy.alpha) or", ""),
    ("history.bake - history.baked", "history.bake - (history.now - history.step_started)"),
    ("if history.stands:", "if False:"),
    ("if history.stands:", "if True:"),
    ("if left > 0:", "if left >= 0:"),
    ("if left > 0:", "if left > 1:"),
    ("if verdict.kind is not Kind.PROMOTE or history.gate is None:", "if True:"),
    ("if verdict.kind is not Kind.PROMOTE or history.gate is None:", "if history.gate is None:"),
    ("history, verdict.cause, hold=Kind.PROMOTE)", "history, verdict.cause)"),
    ("history.promoted is not None and history.gate is None and", "history.promoted is not None and"),
    ("and verdict.kind in (Kind.HOLD, Kind.WATCH):", "and verdict.kind is Kind.HOLD:"),
    ("and verdict.kind in (Kind.HOLD, Kind.WATCH):", "and verdict.kind is Kind.WATCH:"),
    ("and verdict.kind in (Kind.HOLD, Kind.WATCH):", "and verdict.kind is not Kind.ROLLBACK:"),
    ("and verdict.kind in (Kind.HOLD, Kind.WATCH):", "and verdict.kind is not Kind.WITHDRAW:"),
    ("if silent or not observation.hosts:", "if silent:"),
    ("if silent or not observation.hosts:", "if not observation.hosts:"),
]


@pytest.mark.parametrize("change", MUTATIONS, ids=lambda change: f"{change[0][:40]} -> {change[1][:40]}")
def test_a_bent_rule_turns_a_case_red(change):
    """Control: the table can fail. The decision's own text is bent in one place and run."""
    texts = [Path(module.__file__).read_text(encoding="utf-8") for module in (decision, hosts)]
    assert sum(change[0] in text for text in texts) == 1
    bent, of_hosts = ({"__name__": "bent"} for _ in texts)
    for text, place in zip(texts, (bent, of_hosts), strict=True):
        exec(compile(text.replace(*change), "bent", "exec"), place)  # noqa: S102 - our own text
    bent |= {name: of_hosts[name] for name in ("hard_failure", "elsewhere", "say_elsewhere")}
    assert any(_fails(case, bent["decide"]) for case in CASES)


def _fails(case, bent):
    try:
        return wrong(case, bent)
    except (TypeError, UnboundLocalError):
        return "raised"
