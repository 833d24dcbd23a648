from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gopub.clock import ManualClock
from gopub.errors import GopubError
from gopub.health.backends.journald import (
    FEW_BYTES,
    MOST_BYTES,
    MOST_LINES,
    MOST_TEXT,
    Ended,
    JournaldSource,
    parse_reading,
    to_read,
)
from gopub.health.loglines import LONGEST, classes, template
from gopub.health.logscore import MAX_CLASSES, NOVEL, OVERFLOW, LogReading, LogState, fold_logs, log_score, remember
from gopub.health.samples import LogCounts, NoData
from gopub.health.sources import LogTarget
from gopub.health.wire import from_json, to_json
from gopub.process import Result, run
from tests.support.pace import at_least, at_most

LINES = YAML(typ="safe").load(Path(__file__).parents[1] / "cases" / "health" / "loglines.yaml")


@pytest.mark.parametrize("case", LINES, ids=lambda case: case["line"][:40])
def test_classes_of_a_line(case):
    assert list(classes(case["line"], case.get("priority", 6))) == case["classes"]


@given(st.text(max_size=300), st.integers(0, 7))
def test_any_line_can_be_read(text, priority):
    found = classes(text, priority)
    assert len(found) <= 20
    assert len(template(text)) <= 160


LONG = {
    "a run of letters": lambda n: "upload body: " + "QUJD" * (n // 4),
    "pairs": lambda n: "level=info " + "a=b " * (n // 4),
    "quotes": lambda n: 'a="\\"' * (n // 5),
    "dots": lambda n: "a." * (n // 2),
    "lines": lambda n: "\n" * n,
    "colours": lambda n: "\x1b[" + "0" * n,
    "digits": lambda n: "0" * n,
    "JSON": lambda n: json.dumps({"level": "info", "msg": "QUJD" * (n // 4)}),
    "JSON, torn": lambda n: '{"level":"info","msg":"' + "A" * n,
}


@pytest.mark.parametrize("shape", LONG)
def test_a_line_takes_no_longer_than_its_length(shape):
    """Sixteen times as long: sixteen times the work where it is in proportion, 256 times where it is squared."""
    short, long = LONG[shape](5_000), LONG[shape](80_000)
    at_most(64, lambda: classes(long), than=lambda: classes(short))


@pytest.mark.parametrize("pattern", [r"([A-Za-z_][\w.]*)=", r"^\W*(error)\b"])
def test_the_same_measure_finds_what_is_squared(pattern):
    """Control: the patterns that once stood there."""
    squared = re.compile(pattern, re.MULTILINE)
    fill = "A" if "A" in pattern else "\n"
    short, long = fill * 500, fill * 8_000
    at_least(64, lambda: squared.findall(long), than=lambda: squared.findall(short))


def test_only_the_begin_of_a_line_is_read():
    """Control: the same words at the begin count."""
    words = "connection refused "
    assert classes(words + "x" * LONGEST)
    assert classes("x " * (LONGEST // 2) + words) == ()
    assert classes(json.dumps({"level": "error", "msg": "x " * LONGEST}))[0] == "level:error"


# --- the score


def reading(canary, stable, requests=(100, 300), start=0.0):
    hosts = ("h1", "h2", "h3")
    return LogReading(
        start,
        start + 10,
        (LogCounts("h0", "c", canary, 9, ""),),
        tuple(LogCounts(host, "s", {k: v // 3 for k, v in stable.items()}, 9, "") for host in hosts),
        {"h0": requests[0], **dict.fromkeys(hosts, requests[1] // 3)},
    )


def scored(*readings):
    state = LogState()
    for one in readings:
        state = fold_logs(state, one)
    return log_score(state)


def test_silence_is_the_prior():
    found = scored(*[reading({}, {}, start=10.0 * i) for i in range(10)])
    assert found.value == pytest.approx(0.001)
    assert (found.canary_requests, found.stable_requests) == (1000, 3000)


def test_a_reading_is_not_divided_by_the_spread_that_it_shows_itself():
    """Control: the next one is."""
    hosts = ("h1", "h2", "h3")

    def read(split, start):
        stable = tuple(LogCounts(h, "s", {"level:error": n}, 9, "") for h, n in zip(hosts, split, strict=True))
        canary = (LogCounts("h0", "c", {"level:error": 9}, 9, ""),)
        return LogReading(start, start + 10, canary, stable, dict.fromkeys(("h0", *hosts), 100))

    burst, even = (9, 0, 0), (3, 3, 3)
    assert scored(read(burst, 0.0)).log_e == scored(read(even, 0.0)).log_e
    assert scored(read(burst, 0.0), read(even, 10.0)).log_e < scored(read(even, 0.0), read(even, 10.0)).log_e


def test_a_new_kind_of_error_is_found():
    bad = {"level:error": 20, "error:connection refused": 20, "template:cannot load order": 20}
    found = scored(*[reading(bad, {}, start=10.0 * i) for i in range(5)])
    assert found.value > 0.85
    assert found.classes[0].counted
    assert {c.name for c in found.classes} == {*bad, NOVEL}


def test_the_same_errors_on_both_are_no_news():
    same = reading({"level:error": 20}, {"level:error": 60})
    assert scored(*[same] * 20).value < 0.01


def test_twice_as_many_are_below_the_floor_however_sure():
    """Control for the floor: the e-process itself is sure."""
    found = scored(*[reading({"level:error": 40}, {"level:error": 60}, start=10.0 * i) for i in range(40)])
    assert found.classes[0].log_e > math.log(100)
    assert not found.classes[0].counted
    assert found.value < 0.01


@pytest.mark.parametrize(("events", "counted"), [(4, False), (5, True)])
def test_five_events_are_the_least(events, counted):
    found = scored(reading({"level:error": events}, {}))
    assert found.classes[0].counted is counted


def test_without_requests_on_both_tracks_nothing_is_compared():
    bad = {"level:error": 1000}
    assert scored(reading(bad, {}, requests=(100, 0))) == scored()
    assert scored(reading(bad, {}, requests=(0, 300))) == scored()


def test_more_traffic_is_not_more_errors():
    """Nine times the requests and nine times the lines."""
    assert scored(*[reading({"level:error": 90}, {"level:error": 9}, requests=(900, 90))] * 10).value < 0.01


def test_endless_new_templates_are_bounded():
    state = LogState()
    for round_ in range(4):
        new = {f"template:t{round_}.{i}": 1 for i in range(200)}
        state = fold_logs(state, reading(new, {}))
    assert len(state.order) == MAX_CLASSES + 2
    assert state.order[0] == NOVEL
    assert state.order[-1] == OVERFLOW
    assert state.classes[OVERFLOW].canary.bad == 500
    assert log_score(state).value < 0.85


def many_ways(round_, count=3):
    return {"level:error": count, **{f"template:way {'abcdefgh'[round_ % 8]} {i}": 1 for i in range(count)}}


def test_a_canary_that_fails_in_many_ways_a_few_times_each_is_found():
    """No template comes twice, and stable has as many error lines for each request, of kinds it always had."""
    usual = {"level:error": 9, "template:usual": 9}
    state = LogState()
    for i in range(8):
        state = fold_logs(state, reading(many_ways(i), usual, start=10.0 * i))
    found = log_score(state)
    assert found.value > 0.85
    assert [c.name for c in found.classes if c.counted] == [NOVEL]


def test_control_ways_that_stable_had_before_or_has_as_often_are_not_new():
    usual = {"level:error": 9, "template:usual": 9}
    known = remember(LogState(), {name for i in range(8) for name in many_ways(i)})
    shared = LogState()
    for i in range(8):
        known = fold_logs(known, reading(many_ways(i), usual, start=10.0 * i))
        theirs = {name: 3 * n for name, n in many_ways(i).items()}
        shared = fold_logs(shared, reading(many_ways(i), theirs, start=10.0 * i))
    assert known.classes[NOVEL].canary.bad == 0
    assert shared.classes[NOVEL].canary.bad == 0, "what both show in one reading is stable's"
    assert max(log_score(known).value, log_score(shared).value) < 0.01


def test_what_is_known_is_bounded():
    state = remember(LogState(), (f"template:{i}" for i in range(5000)))
    assert len(state.known) == 1000
    assert sum(map(len, state.known)) == 8000
    assert from_json(LogState, to_json(state)) == state


def test_the_state_survives_json():
    state = fold_logs(LogState(), reading({"level:error": 7}, {"level:error": 3}))
    assert from_json(LogState, to_json(state)) == state


def test_the_weights_leave_no_more_than_one_coin():
    """E of a state whose classes all have E = 1 is 1, whatever their number."""
    for count in (0, 1, 5, 50):
        state = fold_logs(LogState(), reading({}, {}))
        names = tuple(f"template:{i}" for i in range(count))
        state = LogState(names, {name: type(next(iter(_one().classes.values())))() for name in names})
        assert log_score(state).log_e == pytest.approx(0.0, abs=1e-9)


def _one():
    return fold_logs(LogState(), reading({"level:error": 1}, {}))


# --- journald


@dataclass
class Journal:
    """A host with a journal: the program that is sent runs, with this journal's own ``journalctl`` and clock."""

    folder: Path
    entries: list[dict] = field(default_factory=list, repr=False)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    fails: BaseException | None = None
    complains: str = ""
    now: int = 1_000

    def say(self, at, message, priority="6", unit="hello.service", invocation="i1"):
        self.entries.append(
            {
                "__CURSOR": f"s=ab;i={len(self.entries):x}",
                "__REALTIME_TIMESTAMP": str(int(at * 1e6)),
                "__MONOTONIC_TIMESTAMP": "123456",
                "_BOOT_ID": "0f" * 16,
                "PRIORITY": priority,
                "MESSAGE": message,
                "_SYSTEMD_UNIT": unit,
                "_SYSTEMD_INVOCATION_ID": invocation,
            }
        )

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        self.asked.append(tuple(argv))
        if self.fails:
            raise self.fails
        newest_first = "".join(f"{json.dumps(entry)}\n" for entry in reversed(self.entries))
        (self.folder / "journal").write_text(newest_first)
        end = f"echo '{self.complains}' >&2; exit 1" if self.complains else ""
        self.program("journalctl", f"cat {self.folder}/journal\n{end}")
        self.program("date", f"echo {self.now}")
        return await run(argv, stdin=stdin, env={"PATH": f"{self.folder}:/usr/bin:/bin"}, check=False)

    def program(self, name: str, text: str) -> None:
        (self.folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.folder / name).chmod(0o755)


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path)


def reader(warmup=0, clock=1_000.0):
    """A source whose driver has that time."""
    return JournaldSource(warmup=warmup, clock=ManualClock(clock))


def target(journal, unit="hello.service"):
    return LogTarget("h1", "c", unit, journal)


async def test_each_line_is_counted_once(journal):
    source = reader()
    journal.say(899, "ERROR before the rollout")
    journal.say(901, "ERROR one")
    first = await source.read(target(journal), 900.7)
    journal.say(902, "ERROR two")
    journal.say(903, "all well")
    second = await source.read(target(journal), 900.7)
    third = await source.read(target(journal), 900.7)
    assert [first.classes, second.classes, third.classes] == [
        {"level:error": 1, "template:ERROR one": 1},
        {"level:error": 1, "template:ERROR two": 1},
        {},
    ]
    assert [asked[5] for asked in journal.asked] == ["", "s=ab;i=1", "s=ab;i=3"]
    assert [first.notes, second.notes, third.notes] == [(), (), ()]


async def test_the_first_seconds_of_each_process_are_left_out(journal):
    source = reader(warmup=5)
    journal.say(900, "starting", invocation="i2")
    journal.say(904.9, "ERROR not connected yet", invocation="i2")
    journal.say(905.1, "ERROR late", invocation="i2")
    found = await source.read(target(journal), 900)
    assert found.classes == {"level:error": 1, "template:ERROR late": 1}
    journal.say(950, "ERROR of a new process", invocation="i3")
    journal.say(951, "ERROR of the old one", invocation="i2")
    found = await source.read(target(journal), 900)
    assert "template:ERROR of the old one" in found.classes
    assert "template:ERROR of a new process" not in found.classes


async def test_what_systemd_says_about_the_unit_is_not_the_units(journal):
    journal.say(901, "hello.service: Failed with result 'exit-code'.", priority="3", unit="init.scope")
    assert (await reader().read(target(journal, "hello"), 900)).classes == {}


async def test_messages_that_are_no_text(journal):
    journal.say(901, [*"ERROR \N{SNOWMAN}".encode(), 255])
    journal.say(902, None, priority="3")
    journal.say(903, ["ERROR a", "b"])
    journal.say(904, 'ERROR "__CURSOR":"x" "_BOOT_ID":"y",')
    found = await reader().read(target(journal), 900)
    assert found.lines == 4
    assert found.classes["level:error"] == 4


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (GopubError("GP410", "no route to h1"), "journald on h1 unreachable: GP410 no route to h1"),
        (OSError("gone"), "journald on h1 unreachable: gone"),
        (TimeoutError(), "journald on h1 did not answer within 4s"),
    ],
)
async def test_a_host_that_does_not_answer_is_no_data(failure, says, journal):
    journal.fails = failure
    assert await reader().read(target(journal), 900) == NoData(says)


async def test_after_a_reading_that_failed_the_next_one_is_a_small_one(journal):
    source = reader()
    for failure in (None, TimeoutError(), None, GopubError("GP416", "prints without end"), None):
        journal.fails = failure
        await source.read(target(journal), 900)
    assert [int(asked[7]) for asked in journal.asked] == [MOST_BYTES, MOST_BYTES, FEW_BYTES, MOST_BYTES, FEW_BYTES]


async def test_a_journal_that_cannot_be_read_says_why(journal):
    journal.complains = "Failed to open the journal: Bad message"
    assert await reader().read(target(journal), 900) == NoData(f"journald on h1: {journal.complains}")


async def test_half_a_journal_is_read_and_told(journal):
    journal.say(901, "ERROR one")
    journal.complains = "Failed to iterate: Bad message"
    found = await reader().read(target(journal), 900)
    assert (found.classes["level:error"], found.notes) == (1, (f"h1: {journal.complains}",))


async def test_a_journal_without_lines_of_the_unit_is_no_failure(journal):
    found = await reader().read(target(journal), 900)
    assert found == LogCounts("h1", "c", {}, 0, "")
    journal.say(901, "ERROR one")
    assert (await reader().read(target(journal), 900)).classes["level:error"] == 1


async def test_after_a_rotation_lines_that_were_read_are_not_read_again(journal):
    source = reader()
    journal.say(901, "ERROR one")
    journal.say(902, "ERROR two")
    await source.read(target(journal), 900)
    journal.say(903, "ERROR three")
    del journal.entries[1]
    found = await source.read(target(journal), 900)
    assert found.classes == {"level:error": 1, "template:ERROR three": 1}


async def test_a_line_of_the_service_cannot_hide_others(journal):
    source = reader()
    journal.say(901, "all well")
    await source.read(target(journal), 900)
    journal.say(902, "ERROR one")
    journal.say(903, '"__CURSOR":"s=ab;i=0"')
    journal.say(904, "gopub 0 0 start s=ab;i=9")
    assert (await source.read(target(journal), 900)).classes["level:error"] == 1


@pytest.mark.parametrize("skew", [-600, 0, 600])
async def test_the_host_s_clock_may_be_another_one(journal, skew):
    source = JournaldSource(warmup=0, clock=(clock := ManualClock(1_000.0)))
    seen = []
    journal.say(990 + skew, "ERROR before the rollout")
    for now in (1_010, 1_020, 1_030):
        await clock.sleep(now - clock.now())
        journal.now = now + skew
        journal.say(journal.now - 2, f"ERROR at {now}")
        seen.append((await source.read(target(journal), 1_000)).classes["level:error"])
    assert seen == [1, 1, 1]


async def test_torn_lines_are_passed_over(journal):
    class Torn(Journal):
        async def exec(self, argv, stdin=b""):
            done = await super().exec(argv, stdin)
            return Result(done.argv, 0, b'{"MESS\n[]\n\xff\n' + done.out, b"")

    torn = Torn(journal.folder)
    torn.say(901, "ERROR one")
    assert (await reader().read(target(torn), 900)).classes["level:error"] == 1


async def test_an_answer_without_its_last_line_is_no_data(journal):
    class Cut(Journal):
        async def exec(self, argv, stdin=b""):
            done = await super().exec(argv, stdin)
            return Result(done.argv, 0, done.out[:-20], b"")

    cut = Cut(journal.folder)
    cut.say(901, "ERROR one")
    assert await reader().read(target(cut), 900) == NoData("journald on h1: its answer has no end")


async def test_a_burst_is_cut_and_told_and_the_next_reading_works(journal):
    source = reader()
    journal.say(901, "all well")
    await source.read(target(journal), 900)
    for _ in range(15_000):
        journal.say(902, "GET /api/v1/orders 200 " + "x" * 200)
    journal.say(903, "ERROR one")
    found = await source.read(target(journal), 900)
    (left,) = (int(note.removeprefix("h1: ").removesuffix(" lines were skipped")) for note in found.notes)
    assert found.classes["level:error"] == 1
    assert found.lines + left == 15_001
    assert 0 < found.lines * 300 < MOST_BYTES * 1.5
    journal.say(904, "ERROR two")
    assert await source.read(target(journal), 900) == LogCounts(
        "h1", "c", {"level:error": 1, "template:ERROR two": 1}, 1, "s=ab;i=3a9a"
    )


async def test_of_a_flood_the_newest_lines_are_looked_at(journal):
    journal.say(901, "ERROR long ago")
    for _ in range(MOST_LINES):
        journal.say(902, "x")
    found = await reader().read(target(journal), 900)
    assert found.classes == {}
    assert found.notes == (f"h1: more than {MOST_LINES - found.lines} older lines were skipped",)


async def test_one_line_that_is_too_large_hides_no_other(journal):
    journal.say(901, "ERROR one")
    journal.say(902, "x" * (MOST_BYTES + 1))
    found = await reader().read(target(journal), 900)
    assert found.notes == ("h1: 1 lines were skipped",)
    assert found.classes["level:error"] == 1


def test_of_a_long_line_the_beginning_is_judged():
    line = json.dumps({"MESSAGE": "x" * 300_000}).encode()
    ((entry,), ended) = parse_reading(line + b"\ngopub 1 0 first s=1\n")
    assert len(entry.text) == MOST_TEXT
    assert ended == Ended(1, 0, "first", "s=1")


def test_the_command():
    words = to_read("hello.service", "", 12.1).argv
    assert words[:2] == ("sh", "-c")
    assert words[3:] == ("gopub", "hello.service", "", "13", str(MOST_BYTES), str(MOST_LINES), "3")
    assert to_read("hello.service", "s=1", -5).argv[5:7] == ("s=1", "0")
