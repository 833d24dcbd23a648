"""Lines that belong together are one event, and nothing that a service prints grows anything."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gopub.health import loglines
from gopub.health.logevents import MOST_CAUSES, MOST_CLASSES, Joiner, count
from gopub.health.logkeys import keyed
from gopub.health.loglines import classes, parse, quiet
from tests.support.pace import at_most


def counted(text: str, joiner: Joiner | None = None) -> dict[str, int]:
    """The classes of one reading."""
    joiner, found = joiner or Joiner(), Counter()
    for line in text.split("\n"):
        count(joiner.take(line, 6), found)
    count(joiner.end(), found)
    return dict(found)


NET_HTTP = """\
2026/01/02 03:04:05 http: panic serving 127.0.0.1:4711: runtime error: index out of range [5] with length 3
goroutine 33 [running]:
net/http.(*conn).serve.func1()
\t/usr/lib/go/src/net/http/server.go:1947 +0xbe
panic({0x6b2a40?, 0xc000018168?})
\t/usr/lib/go/src/runtime/panic.go:785 +0x132
main.(*OrderError).handle(0xc0000)
\t/src/myerror.go:12 +0x1d
created by net/http.(*Server).Serve in goroutine 1
\t/usr/lib/go/src/net/http/server.go:3360 +0x485"""
FATAL = """\
panic: runtime error: invalid memory address or nil pointer dereference [recovered]
\tpanic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x49aa]

goroutine 1 [running]:
example.com/errors.(*ParseError).Error(...)
\t/src/errors/error.go:5
main.main()
\t/src/main.go:5 +0x2
exit status 2"""
RACE = """\
fatal error: concurrent map writes

goroutine 18 [running]:
main.write()
\t/src/main.go:9 +0x2

goroutine 19 [select]:
main.readError()
\t/src/main.go:9 +0x2"""
SPRING = """\
2026-01-02 03:04:05.123 ERROR 1 --- [nio-8080-exec-3] c.e.orders.Orders : cannot load order 77
java.lang.IllegalStateException: no order
\tat com.example.OrderException.<init>(OrderException.java:12)
\tat com.example.A.b(A.java:1) ~[app.jar:1.0]
\tSuppressed: java.lang.InterruptedException: x
Caused by: java.net.ConnectException: Connection refused
\tat x.y.Z(Z.java)
\t... 12 more"""
BARE = """\
Exception in thread "worker" java.lang.OutOfMemoryError: Java heap space
\tat com.example.A.b(A.java:1)"""
WARNED = """\
2026-01-02 03:04:05.123 WARN 1 --- [main] c.e.Orders : retried
java.net.SocketTimeoutException: Read timed out
\tat com.example.NetError.b(A.java:1)"""
DUMPS = {
    "net/http": (NET_HTTP, {"level:error", "error:panic", "error:runtime error"}),
    "panic": (FATAL, {"level:fatal", "error:panic", "error:nil pointer dereference", "error:runtime error"}),
    "race": (RACE, {"level:fatal", "error:fatal error"}),
    "spring": (
        SPRING,
        {"level:error", "error:IllegalStateException", "error:InterruptedException", "error:ConnectException"},
    ),
    "thread": (BARE, {"level:error", "error:OutOfMemoryError"}),
    "a warning's trace": (WARNED, set()),
}


@pytest.mark.parametrize("dump", DUMPS)
def test_a_dump_is_one_event_with_the_classes_of_its_first_line_and_its_causes(dump):
    text, wanted = DUMPS[dump]
    found = counted(f"2026/01/02 03:04:04 INFO ready\n{text}\n2026/01/02 03:04:06 INFO ready")
    assert {name for name in found if not name.startswith("template:")} == wanted
    assert set(found.values()) <= {1}
    assert sum(name.startswith("template:") for name in found) == bool(wanted)


@pytest.mark.parametrize("dump", ["net/http", "panic", "spring", "a warning's trace"])
def test_control_line_by_line_the_same_dump_is_several(dump):
    each = Counter(name for line in DUMPS[dump][0].split("\n") for name in classes(line))
    assert each["level:error"] + each["level:fatal"] > (dump != "a warning's trace")


@pytest.mark.parametrize("dump", DUMPS)
def test_a_dump_that_two_readings_share_counts_once(dump):
    """Wherever the first reading ended."""
    lines = DUMPS[dump][0].split("\n")
    whole = sum(n for name, n in counted(DUMPS[dump][0]).items() if name.startswith("level:"))
    for cut in range(1, len(lines)):
        joiner = Joiner()
        both = Counter(counted("\n".join(lines[:cut]), joiner))
        both.update(counted("\n".join(lines[cut:]), joiner))
        assert sum(n for name, n in both.items() if name.startswith("level:")) == whole, cut


@pytest.mark.parametrize(("before", "events"), [("INFO ready", 1), ("WARN slow", 0), ("ERROR lost", 1), ("ready", 1)])
def test_a_trace_belongs_to_what_warned_and_to_nothing_else(before, events):
    """An exception that somebody prints after an info line is nobody's but its own."""
    trace = "java.io.IOException: gone\n\tat a.b.C(C.java:1)"
    assert counted(f"2026/01/02 03:04:05 {before}\n{trace}").get("error:IOException", 0) == events
    assert counted(f"2026/01/02 03:04:05 WARN slow\n{BARE}")["error:OutOfMemoryError"] == 1


def test_two_panics_are_two_and_a_line_between_frames_is_its_own():
    other = '{"level":"error","msg":"order lost"}'
    first, *rest = NET_HTTP.split("\n")
    found = counted("\n".join([first, *rest[:3], other, *rest[3:], NET_HTTP]))
    assert found["error:panic"] == 2
    assert found["template:order lost"] == 1
    assert found["level:error"] == 3


@pytest.mark.parametrize(
    "line",
    ["com.example.Orders: ERROR cannot load", "ERROR one more", "order 7 lost: fine (7)", "main.Err failed: ERROR x"],
)
def test_an_error_after_an_error_is_no_part_of_it(line):
    assert counted(f"ERROR first\n{line}\nERROR last")["level:error"] >= 2
    assert counted(f"INFO first\n{line}").get("level:error", 0) == ("ERROR" in line)


# --- what a service may print

WORDS = st.sampled_from(
    ["ERROR", "panic: x", "fatal", "level=error", '{"level":"error"}', "IOException", "i/o timeout", "E1127 1", "FTL",
     "PNC", "eror", "SEVERE", "crit", "lvl=E", '"lvl":"f"', "short_message", "\\u0065", "\x1b[31mERR", "İ", "ERRO[0]",
     '"severityNumber":17', "Connection reset", "\tat a.b(C)", "2026-01-02T03:04:05Z", "INFO", "WARN",
     "ERR", '{"level":"info","msg":"', 'FooError"}', "level=info",
     '"level":"warn"', "time=1", "msg=x", '{"a":{', "goroutine 1 [x]:", "Caused by: a.B", "\x00", "\ud800"]
)  # fmt: skip


@settings(max_examples=300, derandomize=True)
@given(st.lists(st.one_of(WORDS, st.text(max_size=12)), max_size=6).map(" ".join))
def test_a_quiet_line_is_never_an_error_line(text):
    """``quiet`` is a shortcut: what it takes out, the long way takes out as well."""
    line = parse(text)
    level, named = line.level, loglines._kinds(f"{line.message}\n{line.error}", named=not line.lower, sure=False)
    if level or named:
        assert not quiet(text)


SPELLINGS = ("error", "ERR", "eror", "E", "severe", "Fatal", "F", "PANIC", "pnc", "crit", "Emerg", "alert", "fata")


@pytest.mark.parametrize("level", SPELLINGS)
def test_no_spelling_of_a_level_is_quiet(level):
    for line in (f'{{"level":"{level}","msg":"x"}}', f'{{"lvl": "{level}", "msg": "x"}}', f'level={level} msg="x"'):
        assert classes(line), line
        assert not quiet(line)


BOMBS = {
    "nested lists": "[" * 15_000,
    "nested objects": '{"a":' * 3_000,
    "nested in a value": '{"level":"error","msg":' + "[" * 900 + "]" * 900 + "}",
    "a huge number": '{"level":"error","n":' + "9" * 15_000 + "}",
    "many keys": json.dumps({"level": "error", **{f"k{i}": {f"e{i}": 1} for i in range(700)}}),
    "keys alike": '{"level":"info","LEVEL":"error","Level":{"error":1}}',
    "not finite": '{"level":"error","error":NaN,"severityNumber":Infinity,"msg":-Infinity}',
    "binary": bytes(range(256)).decode("latin-1") * 60,
    "invalid UTF-8": b"ERROR \xff\xfe\xc3(".decode(errors="replace"),
    "surrogates": 'ERROR \ud800 {"\udfff',
    "parentheses": "panic: x" + "(" * 15_000,
    "frames": "\tat " + "a." * 7_000 + "(",
    "spaces": " " * 15_000 + "at x(",
    "names": ".".join(["a"] * 7_000) + ".XError: x",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_line_stops_the_reading(bomb):
    """Thread time of the slowest against that of a thousand usual lines: none costs as much."""
    joiner = Joiner()
    for text in ("panic: x", BOMBS[bomb], "ERROR order lost", BOMBS[bomb]):
        found = Counter()
        count(joiner.take(text, 3), found)
        count(joiner.end(), found)
        assert all(len(name) <= 400 for name in found)
    usual = '2026-01-02 ERROR cannot load order 7 of {"a": 1}'
    at_most(1000, lambda: counted(BOMBS[bomb]), than=lambda: counted(usual))


def test_random_lines_fill_no_memory_and_hide_no_level():
    joiner, found = Joiner(), Counter()
    for number in range(3 * MOST_CLASSES):
        word = "".join(chr(97 + int(digit)) for digit in str(number))
        count(joiner.take(f"ERROR {word} X{word}Error", 6), found)
    count(joiner.end(), found)
    assert len(found) <= MOST_CLASSES + 2
    assert found["level:error"] == 3 * MOST_CLASSES
    assert found["template:other"] > MOST_CLASSES
    assert found["error:other"] > MOST_CLASSES


def test_a_trace_without_an_end_holds_a_few_names():
    joiner = Joiner()
    for text in ("ERROR x", *(f"Caused by: a.X{n}Exception: y" for n in range(10_000))):
        assert joiner.take(text, 6) == ()
    (event,) = joiner.end()
    assert len(event.classes) <= MOST_CAUSES + 2


def test_the_first_of_two_spellings_of_a_key_counts():
    assert keyed({"level": "error", "LEVEL": "info", "msg": "x"}).level == "error"
    assert parse('{"Level":"error","Msg":"x"}').level == "error"
