"""`gopub logs classes`: what the newest rollouts remembered, without secrets and control characters."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, replace

import pytest
from typer.testing import CliRunner

from gopub.cli.logs import app
from gopub.clock import ManualClock
from gopub.errors import UsageError
from gopub.health.logevents import Classes, Joiner, count, is_harmless
from gopub.health.logexamples import LONG, MOST, examples, masked
from gopub.health.loglines import classes
from gopub.health.logscore import LogReading, LogState, fold_logs, log_score
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


def judged(journal, rollout, canary, stable=None, *, memory=True, examples=None):
    """A rollout whose judge read one reading of the logs."""
    hosts = {"h1": 100, "h2": 300}
    ours = LogCounts("h1", "c", dict(canary), 1, "", (), examples or {})
    theirs = LogCounts("h2", "s", stable or {}, 1, "")
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


# --- examples


def shown(journal):
    return {one.found.name: one.example for one in read_classes(journal, "hello", "lab")}


def found_in(*lines):
    joiner, found = Joiner(), Classes()
    for line in lines:
        count(joiner.take(line, 6), found)
    count(joiner.end(), found)
    return found


def test_a_class_has_the_line_that_came_first_and_its_level_has_none(journal):
    found = found_in("ERROR order 7 lost: FooError", "ERROR order 8 lost: FooError", "INFO order 9 well")
    judged(journal, "r-1", found, examples=found.examples)
    line = "ERROR order 7 lost: FooError"
    two = {name: line for name in found if name.startswith(("error:", "template:"))}
    assert shown(journal) == two | {"level:error": "", "new:templates": ""}
    assert len(two) == 2
    text = class_lines(read_classes(journal, "hello", "lab"))
    assert [row.strip() for row in text].count(f"such as: {line}") == 2
    judged(journal, "r-2", found)
    assert shown(journal)["error:FooError"] == line, "a rollout that kept none takes none away"
    printed = json.loads(CliRunner().invoke(app, ["classes", "hello", "lab", "--json"]).stdout)
    assert line in [row["example"] for row in printed["classes"]]


@pytest.mark.parametrize(
    ("line", "kept"),
    [("ERROR password=hunter2, again", "ERROR password=***, again"),
     ('{"level":"error","api_key":"a b, c","msg":"x"}', '{"level":"error","api_key":***,"msg":"x"}'),
     ("ERROR Authorization: Bearer abc.def: refused", "ERROR Authorization: ***"[:24] + " refused"),
     ("ERROR sent bearer abc.def", "ERROR sent bearer ***"),
     ("ERROR dial postgres://me:pw@db:5432/x", "ERROR dial postgres://***@db:5432/x"),
     ("ERROR no mail to ada.l@example.org.", "ERROR no mail to ***."),
     ("ERROR id 0123456789abcdef01234567 gone", "ERROR id *** gone"),
     ("ERROR card 4111 1111 1111 1111 refused", "ERROR card *** refused"),
     ("ERROR order 1234 lost \x1b[31m", "ERROR order 1234 lost \\u001b[31m"),
     ("ERROR in com.example.orders.VeryLongNameOfAHandler", "ERROR in com.example.orders.VeryLongNameOfAHandler")],
)  # fmt: skip
def test_what_looks_like_a_secret_or_a_person_is_not_kept(line, kept):
    assert masked(line) == kept


@pytest.mark.parametrize(
    "line",
    ["Cookie: a=1; sid=§; theme=dark", "Set-Cookie: sid=§; Path=/", "got map[Authorization:[Token §] Accept:[*/*]]",
     "got map[Cookie:[a=1; sid=§] X-Api-Key:[§]]", "Authorization: Token §", "Authorization: ApiKey §",
     'Proxy-Authorization: Digest username="bob", response="§"', "Authorization: AWS4-HMAC-SHA256 Credential=§, Sig=§",
     "X-Auth: §", "auth=§", "pass=§", "DB_PASS=§", "passphrase: §", "access_key: §", "secret=[a § b]", "tokens=[a § b]",
     'password "§" is wrong', "password '§' is wrong", "psql --password § -h db", "token := §", "token => §",
     "password%3D§&x=1", "<Password>§</Password>", '<token kind="x">§</token>',
     "\x1b[31mtoken\x1b[0m=\x1b[33m§\x1b[0m",
     "https://me:a@§@db/x", "postgres://me:a/§@db/x", "postgres://me:§/b@db/x", "GET /cb?code=§&state=§ failed",
     "GET /f?x=1&sig=§", "Bearer=§", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n§\n-----END RSA PRIVATE KEY-----",
     "-----BEGIN PRIVATE KEY-----\\nMIIE\\n§", "key ghp_§", "key AKIA§", "key sk_live_§", "jwt eyJ§.eyJ§.§",
     "hash $2y$10$§"],
)  # fmt: skip
def test_a_secret_is_not_kept_in_whichever_form_it_stands(line):
    assert "swordfish" not in masked("ERROR " + line.replace("§", "swordfish"))


@pytest.mark.parametrize(
    "line",
    ["card 4111.1111.1111.1111", "card 4111  1111  1111  1111", "card 4111\u00a01111\u00a01111\u00a01111",
     "phone (415) 555-2671", "phone +49 (0)30 1234567", "phone 415.555.2671", "mail ada%40example.org"],
)  # fmt: skip
def test_a_number_of_a_person_is_not_kept_however_it_is_parted(line):
    assert masked(f"ERROR {line} refused") == f"ERROR {line.split(' ')[0]} *** refused"


@pytest.mark.parametrize(
    "line",
    ["dial tcp 203.0.113.7:5432: connect: connection refused", "GET http://db.example:8080/x/y failed after 3 tries",
     "order 1234 of 192.168.100.200 lost", "no package at https://registry.example:8080/@scope/x",
     "session closed: EOF",
     "passenger 7 has no seat", "shipping=late bypass is open", "author: unknown", "compass north", "token expired",
     "index out of range [3] with length 3", "-----BEGIN CERTIFICATE----- is missing", "a secret of the cache is gone"],
)  # fmt: skip
def test_what_a_person_needs_to_know_the_class_is_kept(line):
    assert masked(f"ERROR {line}") == f"ERROR {line}"


@pytest.mark.parametrize(
    ("line", "kept"),
    [("password: swordfish is wrong", "* * is wrong"), ("token = swordfish is wrong", "token * * is wrong"),
     ("Authorization: Token swordfish refused", "* * * refused"), ("sent bearer swordfish to", "sent bearer * to"),
     ("psql --password swordfish failed", "psql * * failed"), ("db_pass: swordfish failed", "* * failed"),
     ("cannot load order: lost", "cannot load * lost"), ("run --fast now", "run * now")],
)  # fmt: skip
def test_a_template_has_no_word_that_follows_the_name_of_a_secret(line, kept):
    assert classes(f"ERROR {line}") == ("level:error", f"template:ERROR {kept}")


def test_a_secret_that_gopub_knows_is_not_kept_and_a_long_line_is_cut():
    REDACTOR.learn(SECRET)
    assert masked(f"ERROR {SECRET} refused") == "ERROR ********** refused"
    assert masked("ERROR " + "word " * 100) == ("ERROR " + "word " * 100)[: LONG - 1] + "…"
    assert "abc" not in masked("ERROR " + "0123456789abcdef0123456789 " * 18 + "xx abcd0123456789abcdef0123456789")


def test_so_many_lines_are_kept_and_no_more():
    names = [f"template:ERROR lost by {chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(MOST + 20)]
    counts = LogCounts("h1", "c", dict.fromkeys(names, 1), 1, "", (), dict.fromkeys(names, "ERROR lost"))
    first = examples({}, [counts], names[5:])
    assert list(first) == names[5 : MOST + 5]
    assert examples(first, [counts], names) == first
    assert examples({}, [counts], ()) == {}


def test_nothing_is_concluded_from_a_line():
    found = found_in("ERROR order 7 lost: FooError")
    hosts = {"h1": 100, "h2": 300}
    stable = LogCounts("h2", "s", {}, 1, "")
    with_line, without = (
        fold_logs(
            LogState(), LogReading(0.0, 5.0, (LogCounts("h1", "c", dict(found), 1, "", (), lines),), (stable,), hosts)
        )
        for lines in (found.examples, {})
    )
    assert with_line.examples
    assert replace(with_line, examples={}) == without
    assert log_score(with_line) == log_score(without)
