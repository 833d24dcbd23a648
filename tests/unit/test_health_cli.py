from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from gopub.cli.judge import app
from gopub.errors import GopubError
from gopub.judge.replay import judge, record_to_json
from tests.unit.judge_maker import history, observation, policy
from tests.unit.test_health_wire import TABLE


def wire(**changes):
    """A record as the driver writes it: evidence, SLO and score computed from its (empty) counts."""
    from dataclasses import replace

    from gopub.health.observation import conclude
    from gopub.health.score import ScoreInput

    case = TABLE["good"] | {"no_data": "Prometheus is down", "score": None} | changes
    seen = observation(case)
    found = conclude(seen.config, None, ScoreInput(), (), seen.before, compare=True)
    seen = replace(
        seen, slo_canary=found.slo_canary, slo_stable=found.slo_stable, score=found.score, evidence=found.evidence
    )
    return record_to_json(judge(seen, policy(case), history(case)))


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "verdicts.json"
        path.write_text(text if isinstance(text, str) else json.dumps(text), "utf-8")
        return path

    return write


def test_replay_reads_a_record_a_list_lines_and_an_explanation(written):
    one = wire()
    explained = {"schema_version": 1, "entries": [{"type": "judged", "data": {"record": {"record": one}}}, {}]}
    for content in (one, [one], f"{json.dumps(one)}\n\n{json.dumps(one)}\n", explained):
        result = run("replay", written(content))
        assert result.exit_code == 0, result.exception
        assert result.stdout.startswith("same     step 1 HOLD by rule 2: no data: Prometheus is down")


def test_replay_as_json(written):
    found = json.loads(run("replay", written(wire()), "--json").stdout)
    assert found["schema_version"] == 1
    assert [verdict["same"] for verdict in found["verdicts"]] == [True]


def test_a_forged_verdict_is_named_and_fails(written):
    forged = wire()
    forged["verdict"] |= {"kind": "PROMOTE", "rule": 7}
    result = run("replay", written(forged))
    assert "DIFFERS  step 1 PROMOTE by rule 7" in result.stdout
    assert isinstance(result.exception, GopubError)
    assert str(result.exception) == "GP603 1 of 1 verdicts come out differently now"


@pytest.mark.parametrize(
    ("content", "says"),
    [("{}", "no verdict record in it"), ("", "no verdict record in it"), ('{"a": 1}\n{nope', ":2 is no JSON")],
)
def test_files_without_verdicts(written, content, says):
    result = run("replay", written(content))
    assert result.exception.code == "GP602"
    assert says in str(result.exception)


def test_a_file_that_is_not_there(tmp_path):
    assert run("replay", tmp_path / "none").exception.code == "GP602"


def test_the_score_of_the_article():
    result = run("score", "--p95", "100ms", "--pauses", 0, "--growth", 0, "--profile", "article")
    assert result.exit_code == 0, result.exception
    assert result.stdout.splitlines()[-1].split() == ["score", "92"]


def test_the_score_as_json():
    found = json.loads(run("score", "--p95", "250ms", "--slo-p95", "200ms", "--errors", "100%", "--json").stdout)
    assert found["score"]["value"] <= 40
    assert {d["name"] for d in found["score"]["dimensions"]} == {"latency", "errors", "gc_pause", "memory_growth"}


def test_wrong_arguments():
    assert run("score", "--p95", "1s", "--profile", "magic").exception.code == "GP604"
    assert run("score", "--p95", "100").exception.code == "GP101"
