"""`gopub logs classes`: what the newest rollouts remembered, without secrets and control characters."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict

import pytest
from typer.testing import CliRunner

from gopub.cli.logs import app
from gopub.clock import ManualClock
from gopub.errors import UsageError
from gopub.health.logevents import Joiner, count, is_harmless
from gopub.health.loglines import classes
from gopub.health.logscore import LogReading, LogState, fold_logs
from gopub.health.samples import LogCounts
from gopub.health.wire import to_json
from gopub.journal import events as ev
from gopub.journal.reading import harmless_of
from gopub.journal.store import open_journal
from gopub.journal.streams import env_stream, stream_of
from gopub.telemetry import REDACTOR
from gopub.usecases.mark_logs import mark_class
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


# --- harmless ones

LINES = (
    "ERROR known quirk",
    "ERROR lost: FooError",
    "ERROR lost: FooError BarError",
    "panic: known quirk",
    "INFO well",
)
QUIRK, FOO = "template:ERROR known quirk", "error:FooError"


def read(*harmless):
    joiner, found, left = Joiner(), Counter(), 0
    for line in LINES:
        left += count(joiner.take(line, 6), found, frozenset(harmless))
    return left + count(joiner.end(), found, frozenset(harmless)), found


@pytest.mark.parametrize(
    ("harmless", "left", "levels"),
    [((), 0, 4), ((QUIRK,), 1, 3), ((FOO,), 1, 3), ((FOO, QUIRK), 2, 2), (("template:* known quirk",), 0, 4),
     (("error:panic",), 1, 3), (("level:error",), 0, 4)],
)  # fmt: skip
def test_a_line_is_left_out_by_its_template_or_all_its_kinds_and_a_panic_by_its_kind_alone(harmless, left, levels):
    found = read(*harmless)
    assert found[0] == left
    assert found[1]["level:error"] + found[1]["level:fatal"] == levels


FAILED = "template:request failed"


CAUSED = "\n".join(f"Caused by: a.b.C{n}Exception: x" for n in range(4))


@pytest.mark.parametrize(
    "error",
    ["java.lang.OutOfMemoryError: Java heap space", "runtime: out of memory", "java.lang.StackOverflowError",
     "signal: segmentation fault", "child died of SIGSEGV", "runtime error: index out of range", "deadlock found",
     "write /var/x: no space left on device", "invalid memory address or nil pointer dereference",
     f"{CAUSED}\nCaused by: java.lang.OutOfMemoryError: x", f"{CAUSED}\nCaused by: java.lang.StackOverflowError"],
)  # fmt: skip
def test_no_template_hides_that_a_process_or_its_machine_fails(error):
    """Whether the line says so itself, or what caused it far down its trace; its kinds hide it, for that was meant."""
    line = json.dumps({"level": "error", "msg": "request failed", "error": error})
    usual = json.dumps({"level": "error", "msg": "request failed", "err": "cache misses"})
    kinds = frozenset(name for name in classes(line) if name.startswith("error:"))
    assert is_harmless(classes(usual), frozenset({FAILED})), "control"
    assert not is_harmless(classes(line), frozenset({FAILED}))
    assert is_harmless(classes(line), kinds)


def test_a_mark_is_a_word_in_the_journal_and_can_be_taken_back(journal):
    judged(journal, "r-1", {"level:error": 5, QUIRK: 5})
    mark_class(journal, "hello", "lab", QUIRK, "the probe of the old balancer")
    assert harmless_of(journal, "hello", "lab") == {QUIRK}
    assert harmless_of(journal, "hello", "other") == set()
    entry = journal.read(env_stream("hello", "lab"))[-1]
    assert (entry.event.reason, entry.at > 0, "@" in entry.actor) == ("the probe of the old balancer", True, True)
    assert "(harmless)" in "\n".join(class_lines(read_classes(journal, "hello", "lab")))
    mark_class(journal, "hello", "lab", QUIRK, "it is gone", harmless=False)
    assert harmless_of(journal, "hello", "lab") == set()


@pytest.mark.parametrize(
    ("name", "reason", "harmless", "says"),
    [("level:error", "x", True, "no template"), (QUIRK, " ", True, "reason"), ("template:", "x", True, "no"),
     (QUIRK, "x", False, "is not marked"), ("template:*", "x", True, "no word"),
     ("template:ERROR * err *", "x", True, "no word"), ("template:* [ERROR]", "x", False, "is not marked")],
)  # fmt: skip
def test_what_cannot_be_marked_is_said(journal, name, reason, harmless, says):
    with pytest.raises(UsageError, match=says):
        mark_class(journal, "hello", "lab", name, reason, harmless=harmless)
    assert journal.read(env_stream("hello", "lab")) == []


def test_the_command_marks_and_takes_back(journal):
    judged(journal, "r-1", {QUIRK: 5})
    words = ["harmless", "hello", "lab", QUIRK, "--reason", "known"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert harmless_of(journal, "hello", "lab") == {QUIRK}
    assert CliRunner().invoke(app, [*words, "--undo"]).exit_code == 0
    assert harmless_of(journal, "hello", "lab") == set()


def test_a_mark_is_listed_for_as_long_as_it_holds(journal):
    """No newer rollout has the class: its lines are not counted."""
    judged(journal, "r-0", {QUIRK: 5})
    mark_class(journal, "hello", "lab", QUIRK, "known")
    for number in range(1, 22):
        judged(journal, f"r-{number}", {"level:error": 1})
    found = {one.found.name: one for one in read_classes(journal, "hello", "lab")}
    assert (found[QUIRK].rollouts, found[QUIRK].harmless, found[QUIRK].since) == (0, True, "")
    assert "known quirk  (harmless)" in "\n".join(class_lines(tuple(found.values())))
    mark_class(journal, "hello", "lab", QUIRK, "it is gone", harmless=False)
    assert [one.found.name for one in read_classes(journal, "hello", "lab")] == ["level:error"]


@pytest.mark.parametrize(("name", "strange"), [(QUIRK, False), (f"{QUIRK}s", True)])
def test_a_class_that_nobody_has_seen_is_marked_with_a_word_on_that(journal, name, strange):
    judged(journal, "r-1", {QUIRK: 5})
    words = ["harmless", "hello", "lab", name, "--reason", "known"]
    first, again = (CliRunner().invoke(app, words) for _ in range(2))
    assert ("no rollout into lab has had" in first.output) is strange
    assert "no rollout" not in again.output, "control: what is marked is known"
    assert harmless_of(journal, "hello", "lab") == {name}
