"""A kept verdict of which anything at all was changed is found, whichever leaf it is."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.canon import Json, digest_of
from gopub.cli import judge as command
from gopub.errors import UsageError
from gopub.health.config import RULES, JudgeConfig
from gopub.health.wire import to_json
from gopub.judge import replay as replaying
from gopub.judge.replay import judge, record_from_json, record_to_json, replay, sealed
from gopub.judge.verdict import History, Policy
from tests.support.chance import seed as chance_seed
from tests.unit.test_health_observer import CONFIG, T0, Logs, rollout, started, targets

DRAWN = 250
CASES = Path(__file__).parents[1] / "cases/health"


async def entry(config: JudgeConfig = CONFIG) -> dict[str, Json]:
    """A verdict as the journal keeps it: HOLD by rule 6, with error lines, slow answers and a score."""
    logs = Logs({"h1": {"level:error": 20, "error:panic": 20}})
    world, observer = await started(logs=logs, config=config)
    where = targets("h1", "h2", "h3")
    seen = [*await rollout(world, observer, 16, logs=where), *await rollout(world, observer, 2, start=16, logs=where)]
    past = History(T0, T0, 10.0, T0 + 3600)
    memory = observer.state()
    record = sealed(judge(seen[-1], Policy.of(config), replace(past, now=seen[-1].at)), memory)
    verdict = record.verdict
    kept = {"record": record_to_json(record), "observer": memory}
    told = {"step": 0, "kind": str(verdict.kind), "rule": verdict.rule, "reason": verdict.reason, "record": kept}
    told["observed"] = 0.0
    return json.loads(json.dumps(told))


def leaves(value: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict) and value:
        yield from (found for key, inner in value.items() for found in leaves(inner, (*path, key)))
    elif isinstance(value, list) and value:
        yield from (found for index, inner in enumerate(value) for found in leaves(inner, (*path, index)))
    else:
        yield path


def other(value: Json) -> Json:
    """Another value of the same kind."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1 if abs(value) < 1e12 else value / 2
        case str():
            return f"{value}x"
        case None:
            return 1.0
        case list():
            return ["x"]
        case _:
            return {"x": 1}


def altered(whole: dict[str, Json], path: tuple[str | int, ...]) -> dict[str, Json]:
    changed = copy.deepcopy(whole)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = other(place[path[-1]])
    return changed


def differences(document: Json) -> list[str]:
    """What ``gopub judge replay`` says of one document; a record that it cannot read is refused with a reason."""
    found = []
    for kept in command.find_kept(document):
        try:
            record = record_from_json(kept.record)
        except UsageError as error:
            found.append(error.problem)
        else:
            found += command._again(kept, record).differences
    return found


async def test_a_change_of_any_leaf_is_found():
    whole = await entry()
    assert whole["kind"] == "HOLD"
    assert differences(whole) == []
    seed = chance_seed()
    paths = list(leaves(whole))
    assert len(paths) > 300
    missed = [path for path in random.Random(seed).sample(paths, DRAWN) if not differences(altered(whole, path))]
    assert missed == []


@pytest.mark.parametrize(
    "path",
    [
        ("reason",),
        ("kind",),
        ("rule",),
        ("step",),
        ("observed",),
        ("record", "record", "observation", "log_score", "value"),
        ("record", "record", "observation", "log_score", "classes", 0, "canary"),
        ("record", "record", "observation", "step_totals", "canary_requests"),
        ("record", "record", "observation", "config", "rules"),
        ("record", "record", "observation", "queries", 0, "answer"),
        ("record", "record", "verdict", "reason"),
        ("record", "record", "schema"),
        ("record", "record", "digest"),
        ("record", "observer", "rollout_totals", "canary_errors"),
    ],
    ids=str,
)
async def test_these_are_found(path):
    assert differences(altered(await entry(), path))


async def test_control_but_for_the_digest_inputs_could_be_changed():
    whole = await entry()
    path = ("record", "record", "observation", "rollout_totals", "canary_errors")
    (found,) = differences(altered(whole, path))
    assert found.startswith("digest: ")


async def test_a_record_whose_digest_was_taken_away_is_not_the_same():
    whole = await entry()
    del whole["record"]["record"]["digest"]
    assert differences(whole) == ["digest: the record has none"]


def of_rules_2() -> dict[str, Json]:
    """A verdict as it was written when answers that clients left were not counted."""
    kept: dict[str, Json] = json.loads((CASES / "kept-rules-2.json").read_text("utf-8"))
    return kept


def test_a_record_from_before_answers_that_were_left_is_the_same_to_the_last_bit():
    whole = of_rules_2()
    assert differences(whole) == []
    record = record_from_json(whole["record"]["record"])
    assert record.observation.evidence.left is None
    seed = chance_seed()
    missed = [
        path for path in random.Random(seed).sample(list(leaves(whole)), 60) if not differences(altered(whole, path))
    ]
    assert missed == []


BLAMED = {
    "logs": "HOLD",
    "score at the deadline": "ROLLBACK",
    "the SLO alone": "ROLLBACK",
    "against stable": "ROLLBACK",
}
"""What was said by rules 3, where a score alone and figures without stable traffic could blame a release."""


@pytest.mark.parametrize("name", BLAMED)
def test_a_record_from_before_all_blame_was_within_alpha_is_the_same_to_the_last_bit(name):
    whole = json.loads((CASES / "kept-rules-3.json").read_text("utf-8"))[name]
    assert (whole["kind"], whole["record"]["record"]["observation"]["config"]["rules"]) == (BLAMED[name], 3)
    assert differences(whole) == []


@pytest.mark.parametrize("name", ["score at the deadline", "the SLO alone", "against stable"])
def test_control_by_the_present_rules_it_would_be_another(name):
    whole = json.loads((CASES / "kept-rules-3.json").read_text("utf-8"))[name]
    whole["record"]["record"]["observation"]["config"]["rules"] = RULES
    found = differences(whole)
    assert any(text.startswith("evidence:") for text in found)
    assert any(text.startswith("verdict:") for text in found)


@pytest.mark.parametrize("name", ["errors after three minutes", "slow after three minutes"])
def test_a_record_of_rules_5_is_the_same_to_the_last_bit(name):
    whole = json.loads((CASES / "kept-rules-5.json").read_text("utf-8"))[name]
    assert (whole["kind"], whole["record"]["record"]["observation"]["config"]["rules"]) == ("ROLLBACK", 5)
    assert differences(whole) == []
    whole["record"]["record"]["observation"]["evidence"]["log_e"] += 1
    assert any(text.startswith("evidence:") for text in differences(whole)), "control"


def test_what_is_added_to_such_a_record_is_found():
    whole = of_rules_2()
    whole["record"]["record"]["observation"]["windows"][0]["canary"]["hosts"][0]["left"] = 1
    assert [text[:7] for text in differences(whole)] == ["digest:"]


def test_control_with_the_new_keys_its_digest_is_another():
    record = record_from_json(of_rules_2()["record"]["record"])
    whole = replaying._as_before(to_json(replace(record, digest="")))
    assert digest_of(whole) != record.digest
    assert digest_of(replaying._of_rules_2(whole)) == record.digest


async def test_a_record_of_earlier_rules_still_gives_its_verdict():
    """Without ``rules`` and digest, and in the words of its time."""
    whole = (await entry(replace(CONFIG, rules=1)))["record"]["record"]
    del whole["digest"], whole["memory"], whole["observation"]["config"]["rules"]
    whole["verdict"] = {"kind": "PROMOTE", "rule": 7, "reason": "baked for 10s", "at": whole["verdict"]["at"]}
    again = replay(record_from_json(whole))
    assert again.same, again.differences
    whole["verdict"]["kind"] = "ROLLBACK"
    assert not replay(record_from_json(whole)).same
    assert to_json(record_from_json(whole))["observation"]["config"]["rules"] == 1 != RULES


async def test_a_record_of_before_a_field_was_there_keeps_its_digest():
    """What was sealed without stable's own starts is no record that somebody changed."""
    kept = (await entry(replace(CONFIG, rules=5)))["record"]["record"]
    older = json.loads(json.dumps(kept))
    assert (
        older["observation"]["warming"].pop("stable_timed") == older["observation"]["warming"].pop("stable_slow") == 0
    )
    assert older["observation"]["config"].pop("warmup_seen") is False
    assert older["observation"].pop("unseen") is None
    assert older["observation"].pop("beside") == []
    assert {host.pop("use") for host in older["observation"]["hosts"]} == {None}
    assert {host.pop("other") for host in older["observation"]["hosts"]} == {None}
    assert older["verdict"].pop("cause") == "logs"
    assert older["observation"]["config"].pop("budget") is older["observation"].pop("spending") is None
    assert older["policy"].pop("freeze_below") is None
    assert older["policy"].pop("burn") == "ignore"
    assert older.pop("shadow") is older["observation"].pop("own") is None
    assert older["observation"]["config"].pop("own") == []
    assert older["policy"].pop("promote") is older["observation"]["config"].pop("promote") is None
    for part in ("config", "before", "evidence"):
        assert older["observation"][part].pop("endpoints") == []
    tracks = [older["observation"]["recent"], older["observation"]["scored"], *older["observation"]["windows"]]
    assert [track.pop("endpoints") for part in tracks for track in (part["canary"], part["stable"])] == [[]] * 6
    windows = [older["observation"]["recent"], *older["observation"]["windows"]]
    assert {window.pop("gathered") for window in windows} == {None}
    for totals in (older["observation"]["step_totals"], older["observation"]["rollout_totals"]):
        del totals["canary_slow"], totals["stable_timed"], totals["stable_slow"]
    assert "" in [one.pop("origin") for one in older["observation"]["score"]["dimensions"]]
    runtime = older["observation"]["scored"]["runtime"]
    assert runtime.pop("stable_memory") is runtime.pop("stable_files") is None
    assert older["observation"]["config"].pop("logs_profile") == "default"
    assert older["observation"]["log_score"].pop("article") == []
    for metric in ("errors", "slow", "late", "left"):
        state = older["observation"]["before"][metric]
        assert state["spread"].pop("past") == {}
        for process in ("versus_stable", "versus_slo"):
            assert state[process].pop("at_step") is None
            assert state[process].pop("steps") == 0
    older["digest"] = digest_of(older | {"digest": ""})
    assert replay(record_from_json(older)).differences == ()
    older["observation"]["warming"]["stable_timed"] = 1
    assert "something in the record was changed" in str(replay(record_from_json(older)).differences)
    kept["verdict"]["cause"] = ""
    assert "something in the record was changed" in str(replay(record_from_json(kept)).differences), "made older"
