from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gopub.errors import GopubError
from gopub.health.backends.journald import MAX_LINES, JournaldSource, argv
from gopub.health.loglines import classes, template
from gopub.health.logscore import MAX_CLASSES, OVERFLOW, LogReading, LogState, fold_logs, log_score
from gopub.health.samples import NoData
from gopub.health.sources import LogCounts, LogTarget
from gopub.health.wire import from_json, to_json
from gopub.process import Result

LINES = YAML(typ="safe").load(Path(__file__).parents[1] / "cases" / "health" / "loglines.yaml")


@pytest.mark.parametrize("case", LINES, ids=lambda case: case["line"][:40])
def test_classes_of_a_line(case):
    assert list(classes(case["line"], case.get("priority", 6))) == case["classes"]


@given(st.text(max_size=300), st.integers(0, 7))
def test_any_line_can_be_read(text, priority):
    found = classes(text, priority)
    assert len(found) <= 20
    assert len(template(text)) <= 160


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


def test_a_new_kind_of_error_is_found():
    bad = {"level:error": 20, "error:connection refused": 20, "template:cannot load order": 20}
    found = scored(*[reading(bad, {}, start=10.0 * i) for i in range(5)])
    assert found.value > 0.85
    assert found.classes[0].counted
    assert {c.name for c in found.classes} == set(bad)


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
    assert len(state.order) == MAX_CLASSES + 1
    assert state.order[-1] == OVERFLOW
    assert state.classes[OVERFLOW].canary.bad == 500
    assert log_score(state).value < 0.85


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
    """A host's journal as ``journalctl -o json`` tells it: lines after a cursor or a time."""

    entries: list[dict] = field(default_factory=list)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    fails: BaseException | None = None
    complains: str = ""

    def say(self, at, message, priority="6", unit="hello.service", invocation="i1"):
        self.entries.append(
            {
                "__CURSOR": f"s={len(self.entries)}",
                "__REALTIME_TIMESTAMP": str(int(at * 1e6)),
                "PRIORITY": priority,
                "MESSAGE": message,
                "_SYSTEMD_UNIT": unit,
                "_SYSTEMD_INVOCATION_ID": invocation,
            }
        )

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        self.asked.append(tuple(argv))
        await asyncio.sleep(0)
        if self.fails:
            raise self.fails
        if self.complains:
            return Result(tuple(argv), 1, b"", self.complains.encode())
        start = argv[-1]
        if start.startswith("--after-cursor=s="):
            found = self.entries[int(start.removeprefix("--after-cursor=s=")) + 1 :]
        else:
            since = float(start.removeprefix("--since=@"))
            found = [entry for entry in self.entries if int(entry["__REALTIME_TIMESTAMP"]) >= since * 1e6]
        return Result(tuple(argv), 0, "\n".join(json.dumps(entry) for entry in found).encode(), b"")


def target(journal, unit="hello.service"):
    return LogTarget("h1", "c", unit, journal)


async def test_each_line_is_counted_once():
    journal, source = Journal(), JournaldSource(warmup=0)
    journal.say(50, "ERROR before the rollout")
    journal.say(101, "ERROR one")
    first = await source.read(target(journal), 100.7)
    journal.say(102, "ERROR two")
    journal.say(103, "all well")
    second = await source.read(target(journal), 100.7)
    third = await source.read(target(journal), 100.7)
    assert [first.classes, second.classes, third.classes] == [
        {"level:error": 1, "template:ERROR one": 1},
        {"level:error": 1, "template:ERROR two": 1},
        {},
    ]
    assert [asked[-1] for asked in journal.asked] == ["--since=@100", "--after-cursor=s=1", "--after-cursor=s=3"]


async def test_the_first_seconds_of_each_process_are_left_out():
    journal, source = Journal(), JournaldSource(warmup=5)
    journal.say(100, "starting", invocation="i2")
    journal.say(104.9, "ERROR not connected yet", invocation="i2")
    journal.say(105.1, "ERROR late", invocation="i2")
    found = await source.read(target(journal), 100)
    assert found.classes == {"level:error": 1, "template:ERROR late": 1}
    journal.say(200, "ERROR of a new process", invocation="i3")
    journal.say(201, "ERROR of the old one", invocation="i2")
    found = await source.read(target(journal), 100)
    assert "template:ERROR of the old one" in found.classes
    assert "template:ERROR of a new process" not in found.classes


async def test_what_systemd_says_about_the_unit_is_not_the_units():
    journal, source = Journal(), JournaldSource(warmup=0)
    journal.say(101, "hello.service: Failed with result 'exit-code'.", priority="3", unit="init.scope")
    assert (await source.read(target(journal, "hello"), 100)).classes == {}


async def test_messages_that_are_no_text():
    journal, source = Journal(), JournaldSource(warmup=0)
    journal.say(101, [*"ERROR \N{SNOWMAN}".encode(), 255])
    journal.say(102, None, priority="3")
    journal.say(103, ["ERROR a", "b"])
    found = await source.read(target(journal), 100)
    assert found.lines == 3
    assert found.classes["level:error"] == 3


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (GopubError("GP410", "no route to h1"), "journald on h1 unreachable: GP410 no route to h1"),
        (OSError("gone"), "journald on h1 unreachable: gone"),
        (TimeoutError(), "journald on h1 did not answer within 4s"),
    ],
)
async def test_a_host_that_does_not_answer_is_no_data(failure, says):
    found = await JournaldSource().read(target(Journal(fails=failure)), 100)
    assert found == NoData(says)


async def test_a_lost_cursor_is_told_and_then_the_time_is_used():
    journal, source = Journal(), JournaldSource(warmup=0)
    journal.say(101, "ERROR one")
    await source.read(target(journal), 100)
    journal.complains = "Failed to seek to cursor: Invalid argument\n"
    assert (await source.read(target(journal), 100)).reason.endswith("Failed to seek to cursor: Invalid argument")
    journal.complains = ""
    await source.read(target(journal), 100)
    assert journal.asked[-1][-1] == "--since=@101"


async def test_torn_lines_are_passed_over():
    class Torn(Journal):
        async def exec(self, argv, stdin=b""):
            done = await super().exec(argv, stdin)
            return Result(done.argv, 0, b'{"MESS\n[]\n\xff\n' + done.out, b"")

    journal = Torn()
    journal.say(101, "ERROR one")
    assert (await JournaldSource(warmup=0).read(target(journal), 100)).classes["level:error"] == 1


async def test_a_flood_is_sampled_and_said():
    journal = Journal()
    for _ in range(MAX_LINES):
        journal.say(101, "x")
    found = await JournaldSource().read(target(journal), 100)
    assert found.notes == (f"more than {MAX_LINES} lines on h1: older ones skipped",)


def test_the_command():
    assert argv("hello.service", 12.9, "") == (
        "journalctl",
        "--unit=hello.service",
        "--output=json",
        "--output-fields=MESSAGE,PRIORITY,_SYSTEMD_UNIT,_SYSTEMD_INVOCATION_ID",
        "--all",
        "--no-pager",
        "--quiet",
        f"--lines={MAX_LINES}",
        "--since=@12",
    )
