"""`gopub logs classes`: what the newest rollouts remembered, without secrets and control characters."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from typer.testing import CliRunner

from gopub.cli.logs import app
from gopub.clock import ManualClock
from gopub.errors import UsageError
from gopub.health.logscore import LogReading, LogState, fold_logs
from gopub.health.samples import LogCounts
from gopub.health.wire import to_json
from gopub.journal import events as ev
from gopub.journal.store import open_journal
from gopub.journal.streams import env_stream, stream_of
from gopub.telemetry import REDACTOR
from gopub.views.logclasses import class_lines, read_classes

SECRET = "hunter2hunter2"


@pytest.fixture
def journal(tmp_path, monkeypatch):
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    return open_journal(str(tmp_path / "journal.db"), ManualClock(1_700_000_000.0))


def judged(journal, rollout, canary, stable=None, *, memory=True):
    """A rollout whose judge read one reading of the logs."""
    hosts = {"h1": 100, "h2": 300}
    ours, theirs = LogCounts("h1", "c", canary, 1, ""), LogCounts("h2", "s", stable or {}, 1, "")
    state = fold_logs(LogState(), LogReading(0.0, 5.0, (ours,), (theirs,), hosts))
    kept = {"observer": {"logs": to_json(state)} if memory else None}
    past = journal.read(env_stream("hello", "lab"))
    journal.append(env_stream("hello", "lab"), len(past), [ev.EnvOpened(rollout, "x")], actor="test")
    journal.append(
        stream_of(rollout), 0, [ev.Judged(0, "HOLD", 6, "", kept), ev.Judged(0, "HOLD", 6, "")], actor="test"
    )


def test_each_class_is_listed_once_as_last_seen_with_how_many_rollouts_had_it(journal):
    judged(journal, "r-1", {"level:error": 1, "template:old": 1}, {"level:error": 2})
    judged(journal, "r-2", {"level:error": 9, "template:new": 9}, {"level:error": 4})
    judged(journal, "r-3", {}, memory=False)
    found = {one.found.name: one for one in read_classes(journal, "hello", "lab")}
    level = found["level:error"]
    assert (level.rollouts, level.rollout, level.found.canary, level.found.stable) == (2, "r-2", 9, 4)
    assert (level.canary_requests, level.stable_requests) == (100, 300)
    assert (found["template:old"].rollouts, found["template:old"].rollout) == (1, "r-1")
    assert found["template:new"].found.counted
    assert not found["template:old"].found.counted, "control: one event does not stand out"
    assert next(iter(found)) == "level:error"


def test_what_a_service_wrote_is_shown_without_secrets_and_escapes(journal):
    REDACTOR.learn(SECRET)
    judged(journal, "r-1", {f"template:token {SECRET} \x1b[31m\nred": 1})
    text = "\n".join(class_lines(read_classes(journal, "hello", "lab")))
    assert "token" in text
    assert SECRET not in text
    assert "\x1b" not in text
    assert SECRET not in json.dumps([one.to_json() for one in read_classes(journal, "hello", "lab")])


def test_an_env_without_a_rollout_is_said_and_one_without_lines_too(journal):
    with pytest.raises(UsageError, match="no rollout of 'hello' into 'lab' is known"):
        read_classes(journal, "hello", "lab")
    judged(journal, "r-1", {}, memory=False)
    assert read_classes(journal, "hello", "lab") == ()


def test_the_command_prints_a_table_or_json(journal):
    judged(journal, "r-1", {"level:error": 5})
    table = CliRunner().invoke(app, ["classes", "hello", "lab"])
    assert (table.exit_code, table.stdout.splitlines()[1].split()[-3:]) == (0, ["level:error", "(stands", "out)"])
    printed = json.loads(CliRunner().invoke(app, ["classes", "hello", "lab", "--json"]).stdout)
    (row,) = printed["classes"]
    assert (printed["schema_version"], row["class"], row["canary"], row["rollouts"]) == (1, "level:error", 5, 1)
    assert asdict(read_classes(journal, "hello", "lab")[0])["since"] == row["since"]
