"""A past that is judged again from a real Prometheus that kept it: as a driver would have looked at it then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from gopub.clock import ManualClock
from gopub.health.backends.prometheus import PrometheusSource
from gopub.health.config import JudgeConfig, ScoreWeights
from gopub.health.wire import schema_of
from gopub.journal import events as ev
from gopub.journal.store import Journal, open_journal
from gopub.judge.backtest import CENSORED
from gopub.judge.rerun import Rerun
from gopub.judge.verdict import Kind
from gopub.plan.model import Outcome, PlannedStep, ReleaseRef
from gopub.schemas import schema
from gopub.spec.models import Judge
from gopub.usecases.rerun import looked_again
from gopub.views.reruns import of_rollout, of_times, rerun_lines
from tests.contracts.prometheus_server import Metrics, prometheus
from tests.contracts.scraped_world import BEFORE, CANARY, LASTS, SLO, STABLE, Scrape, Service, judged
from tests.support.ports import free_port
from tests.unit.test_backtest import run
from tests.unit.views_world import moving, plan

T0 = 1_700_000_000.0
START = T0 + BEFORE
EDGE = {"job": "edges", "instance": "10.0.0.1:9145"}
SPEC = """
app: {app}
environments:
  prod:
    inventory: hosts.ini
    hosts: role=app
    health: "http://127.0.0.1:8080/healthz"
    traffic: edges
    judge: {{slo: {{latency_p95: 250ms, error_rate: 5%}}}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    metrics = Metrics()
    for app, bad in (("bad", 0.08), ("well", 0.004)):
        Scrape(EDGE, range(0, LASTS + 1, 15)).fill(metrics, app, T0, Service(bad=bad).course())
    with prometheus(tmp_path_factory.mktemp("rerun"), metrics) as url:
        yield url


@pytest.fixture
def source(server: str) -> Iterator[PrometheusSource]:
    made = PrometheusSource(server, timeout=60)
    yield made
    made.close()


def config(app: str) -> JudgeConfig:
    return JudgeConfig(app, "prod", f"r-{app}", CANARY, STABLE, SLO, ScoreWeights(40, 30, 0, 0))


@pytest.mark.parametrize("app", ["bad", "well"])
async def test_it_decides_what_a_driver_would_have_decided_and_when(source: PrometheusSource, app: str) -> None:
    """By the same looks: the evidence and the moment are those of a driver that looked then."""
    then = await judged(source, app, T0)
    found = await looked_again(source, of_times(config(app), START, START + 280, 240.0, 5.0))
    assert (found.decided.what, found.decided.after) == (then.verdict.kind, then.after)
    assert found.decided.reason.replace(" (4m observed)", "") == then.verdict.reason
    assert then.verdict.kind == (Kind.ROLLBACK if app == "bad" else Kind.PROMOTE)
    assert found.said[0].kind == "HOLD"
    assert found.said[-1].kind == then.verdict.kind
    assert found.silent == 0
    told = "\n".join(rerun_lines(found, T0))
    assert f"it would have ended with {then.verdict.kind} by rule {then.verdict.rule}" in told
    assert "log lines: none were read" in told


async def test_of_a_time_that_is_over_too_soon_nobody_knows(source: PrometheusSource) -> None:
    found = await looked_again(source, of_times(config("well"), START, START + 60, 240.0, 5.0))
    assert found.decided.what == CENSORED
    assert found.decided.reason.startswith("the time was over while it said HOLD by rule")
    assert "nobody knows how it would have ended" in "\n".join(rerun_lines(found, T0))
    gone = await looked_again(source, of_times(config("nothing"), START, START + 20, 10.0, 5.0))
    assert (gone.silent, gone.looks) == (5, 5)
    assert "5 of 5 looks saw nothing" in "\n".join(rerun_lines(gone, T0))


async def test_a_long_time_is_looked_at_less_often_and_says_how_often() -> None:
    wanted = of_times(config("bad"), START, START + 100_000, 10.0, 5.0)
    assert len(wanted.moments()) == 2001
    assert wanted.pace == 50.0


def journal_of(folder: Path, app: str, *, steps: int = 2) -> Journal:
    """A rollout that passed its first step after 200 s and then its second one, and was promoted."""
    clock = ManualClock(START - 10)
    journal = open_journal(str(folder / "journal.db"), clock)
    frozen = plan(
        "r-1", app, "prod",
        release=ReleaseRef(CANARY + "0" * 52, "2.0.0"), stable=ReleaseRef(STABLE + "0" * 52, "1.0.0"),
        steps=(PlannedStep(0, ("h1",), 2500, 120.0), PlannedStep(1, ("h1",), 5000, 20.0))[:steps],
    )  # fmt: skip
    before = [ev.Planned(frozen) if isinstance(one, ev.Planned) else one for one in moving("r-1", app, "prod")][:-1]
    journal.append(f"env/{app}/prod", 0, [ev.EnvOpened("r-1", CANARY + "0" * 52)], actor="ann", trace="7" * 32)
    journal.append("rollout/r-1", 0, [*before, ev.StepReached(0, START)], actor="ann", trace="7" * 32)
    clock._now = START + 240
    more = [ev.StepPassed(0, "ann"), ev.StepReached(1, START + 200), ev.StepPassed(1, "ann"), ev.Settling()]
    journal.append("rollout/r-1", len(before) + 1, [*more, ev.Closed(Outcome.PROMOTED)], actor="ann", trace="7" * 32)
    closed = ev.EnvClosed("r-1", Outcome.PROMOTED, CANARY + "0" * 52, "2.0.0")
    journal.append(f"env/{app}/prod", 1, [closed], actor="ann", trace="7" * 32)
    return journal


def project_of(folder: Path, app: str, url: str) -> Path:
    (folder / "gopub.yaml").write_text(SPEC.format(app=app))
    edges = "edges: {kind: nginx, inventory: hosts.ini, hosts: role=edge, metrics: prom}\n"
    (folder / "connections.yaml").write_text(f"{edges}prom: {{kind: prometheus, url: '{url}', timeout: 60s}}\n")
    (folder / "hosts.ini").write_text("[app]\nh1 role=app\n[edge]\ne1 role=edge ansible_host=127.0.0.1\n")
    return folder / "gopub.yaml"


def test_a_rollout_of_the_journal_is_told_with_what_became_of_it(tmp_path, monkeypatch, capsys, server):
    journal_of(tmp_path, "bad")
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    file = project_of(tmp_path, "bad", server)
    line = ["judge", "replay", "--rollout", "r-1", "--file", str(file)]
    code, out, err = run(monkeypatch, capsys, *line)
    assert (code, err) == (0, ""), err
    assert "it would have ended with ROLLBACK by rule 3, in step 1" in out
    assert "it did end promoted" in out
    document = json.loads(run(monkeypatch, capsys, *line, "--json")[1])
    Draft202012Validator(schema("rerun")).validate(document)
    assert schema("rerun") == schema_of(Rerun, "rerun")
    policy = tmp_path / "policy.yaml"
    policy.write_text("min_requests: 100000\nslo: {latency_p95: 250ms, error_rate: 5%}\n")
    patient = json.loads(run(monkeypatch, capsys, *line, "--policy", str(policy), "--json")[1])
    assert patient["decided"]["what"] == CENSORED, "control: another policy would still hold"
    assert patient["decided"]["reason"].startswith("the rollout went on while it said HOLD by rule 2")


async def test_its_steps_are_those_of_then(tmp_path, source):
    wanted = of_rollout(journal_of(tmp_path, "well"), "r-1", None, lambda _: Judge(), 5.0)
    assert [(one.index, one.begin - START, one.end - START, one.bake) for one in wanted.steps] == [
        (0, 0, 200, 120.0), (1, 200, 240, 20.0),
    ]  # fmt: skip
    assert (wanted.learn, wanted.total, wanted.ended) == (START - 10, 2, "promoted")
    found = await looked_again(source, wanted)
    assert (found.decided.what, found.decided.step) == ("PROMOTE", 1)
    assert 220 <= found.decided.after <= 240


def test_a_time_is_judged_by_releases_that_are_given(tmp_path, monkeypatch, capsys, server):
    file = project_of(tmp_path, "bad", server)
    begin, end = (datetime.fromtimestamp(START + more, UTC).isoformat() for more in (0, 240))
    line = ["judge", "replay", "--canary", CANARY, "--stable", STABLE, "--env", "prod", "--file", str(file)]
    code, out, _ = run(monkeypatch, capsys, *line, "--from", begin, "--to", end)
    assert code == 0
    assert "it would have ended with ROLLBACK by rule 3" in out
    whole = ["--from", begin, "--to", end]
    for wrong in (
        [], ["--from", end, "--to", begin], ["--from", begin, "--every", "0s"], ["--from", "99999999d"],
        ["--from", "0001-01-01"], ["--from", begin, "--to", "9999-12-31"], [*whole, "--stable", f"sha256:{CANARY}00"],
    ):  # fmt: skip
        code, _, err = run(monkeypatch, capsys, *line, *wrong)
        assert (code, "GP608" in err) == (2, True), wrong
    code, _, err = run(monkeypatch, capsys, "judge", "replay")
    assert (code, "GP608" in err) == (2, True)
    project_of(tmp_path, "bad", f"http://127.0.0.1:{free_port()}")
    with (tmp_path / "connections.yaml").open("a") as more:
        more.write(f"archive: {{kind: prometheus, url: '{server}', timeout: 60s}}\n")
    code, out, _ = run(monkeypatch, capsys, *line, "--from", begin, "--to", end, "--source", "archive")
    assert (code, "ended with ROLLBACK" in out) == (0, True), "another one has it"
    code, _, err = run(monkeypatch, capsys, *line, "--from", begin, "--source", "edges")
    assert (code, "edges" in err) == (2, True), "no source of metrics"
    code, out, _ = run(monkeypatch, capsys, *line, "--from", begin, "--to", end)
    assert (code, "no connection" in out) == (0, True), "nobody knows, and it says why"
