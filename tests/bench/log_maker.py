"""Lines of made-up services in Go and Java, with what is known of each: the labelled set, and the simulator's lines.

    python -m tests.bench.log_maker > tests/cases/health/labelled.jsonl

Each service has a logger's form and a vocabulary: what it says when all is well, errors that it always has at a low
rate, and what each planted fault says. A label is the number of the message in the vocabulary; whether it is an error
event is what its writer meant, not what a parser makes of it. Words, numbers and ids are drawn anew for each line.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

SEED = 20261130
GO_STACK = (
    "goroutine {n} [running]:\nmain.(*Server).{word}(0xc{hex}, {{0x{hex}, 0x{n}}})\n"
    "\t/src/{word}/error.go:{n} +0x{hex}\n"
    "net/http.HandlerFunc.ServeHTTP(...)\n\t/usr/lib/go/src/net/http/server.go:2171\n"
    "created by net/http.(*Server).Serve in goroutine 1\n\t/usr/lib/go/src/net/http/server.go:3285 +0x4b4"
)
JAVA_STACK = (
    "\n\tat com.example.{word}.ErrorMapper.map(ErrorMapper.java:{n})"
    "\n\tat java.base/java.lang.Thread.run(Thread.java:840)"
    "\nCaused by: java.sql.SQLTransientException: {word} {n}\n\tat com.example.Dao.{word}(Dao.java:{n})\n\t... {n} more"
)


@dataclass(frozen=True)
class Message:
    """One thing a service says: its level, its words, and the dump that follows."""

    level: str
    text: str
    dump: str = ""
    error: str = ""


WELL = (
    Message("info", "order {id} stored in {n} ms"),
    Message("info", "GET /api/v1/orders/{id} 200 {n}"),
    Message("debug", "cache {word} hit, {n} of {n}"),
    Message("info", "no error so far, {n} requests"),
    Message("warn", "slow query on {word}: {n} ms"),
    Message("warn", "retried {word} once, last error is mended"),
    Message("info", "user {id} asked for ErrorPage {n}"),
)
USUAL = (
    Message("error", "cannot parse request {id}", error="unexpected EOF"),
    Message("error", "payment {id} declined by {word}"),
    Message("error", "peer {host} gone", error="dial tcp {host}:{n}: connect: connection refused"),
)
WAYS = tuple(
    Message("error", f"{what} of {{id}} {how}")
    for what in ("checkout", "shipping", "invoice", "refund", "stock", "coupon")
    for how in ("not possible", "lost", "in an unknown state", "rejected twice")
)
GO_FAULTS = {
    "exception": (
        Message("error", "cannot decode cart {id}", error="json: cannot unmarshal string into field {word}"),
    ),
    "panic": (
        Message(
            "raw",
            "2026/01/02 03:04:05 http: panic serving {host}:{n}: runtime error: index out of range [{n}]",
            GO_STACK,
        ),
    ),
    "many ways": WAYS,
}
JAVA_FAULTS = {
    "exception": (Message("error", "cannot map cart {id}", "java.lang.IllegalStateException: cart {id}" + JAVA_STACK),),
    "panic": (
        Message(
            "raw",
            'Exception in thread "pool-{n}" java.lang.OutOfMemoryError: Java heap space',
            "\tat com.example.{word}.ErrorBuffer.grow(ErrorBuffer.java:{n})",
        ),
    ),
    "many ways": WAYS,
}
WORDS = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "theta",
    "kappa",
    "lambda",
    "sigma",
    "omega",
    "orders",
    "carts",
    "users",
    "stock",
]


def _json(keys: dict[str, str]) -> str:
    return json.dumps(keys, separators=(",", ":"))


def _slog(at: str, said: Message, text: str, error: str) -> list[str]:
    return [_json({"time": at, "level": said.level.upper(), "msg": text, **({"err": error} if error else {})})]


def _zap(at: str, said: Message, text: str, error: str) -> list[str]:
    keys = "\t" + json.dumps({"error": error}) if error else ""
    return [f"{at}\t{said.level.upper()}\torders/main.go:12\t{text}{keys}"]


def _logfmt(at: str, said: Message, text: str, error: str) -> list[str]:
    return [f"time={at} level={said.level} msg={json.dumps(text)}" + (f" err={json.dumps(error)}" if error else "")]


def _spring(at: str, said: Message, text: str, error: str) -> list[str]:
    tail = f": {error}" if error else ""
    return [f"{at}  {said.level.upper():5} 1 --- [nio-8080-exec-3] c.e.orders.OrderController : {text}{tail}"]


def _logback(at: str, said: Message, text: str, error: str) -> list[str]:
    keys = {"@timestamp": at, "level": said.level.upper(), "logger_name": "c.e.Orders", "message": text}
    return [_json({**keys, **({"error": error} if error else {})})]


Form = Callable[[str, Message, str, str], list[str]]


@dataclass(frozen=True)
class Service:
    """A service: how its logger writes, and what each fault makes it say."""

    name: str
    form: Form
    faults: dict[str, tuple[Message, ...]]

    def lines(self, rng: random.Random, said: Message) -> list[str]:
        """The lines of one event."""
        names = {
            "id": f"{rng.randrange(16**8):08x}", "n": rng.randrange(2, 900), "hex": f"{rng.randrange(16**6):06x}",
            "word": rng.choice(WORDS), "host": f"10.0.{rng.randrange(9)}.{rng.randrange(250)}",
        }  # fmt: skip
        text, error, dump = (part.format(**names) for part in (said.text, said.error, said.dump))
        at = f"2026-01-02T03:{rng.randrange(60):02}:{rng.randrange(60):02}.{rng.randrange(1000):03}Z"
        if said.level == "raw":
            return [text, *dump.split("\n")]
        if self.form is _logback and dump:
            return [_json({"@timestamp": at, "level": "ERROR", "message": text, "stack_trace": dump})]
        return [*self.form(at, said, text, error), *(dump.split("\n") if dump else [])]

    def vocabulary(self) -> tuple[Message, ...]:
        """Everything it may say, each once."""
        return tuple(dict.fromkeys((*WELL, *USUAL, *chain.from_iterable(self.faults.values()))))


SERVICES = (
    Service("go, slog JSON", _slog, GO_FAULTS),
    Service("go, zap console", _zap, GO_FAULTS),
    Service("go, logfmt", _logfmt, GO_FAULTS),
    Service("java, spring", _spring, JAVA_FAULTS),
    Service("java, logback JSON", _logback, JAVA_FAULTS),
)


def labelled(each: int = 3) -> Iterator[dict[str, object]]:
    """Every message of every service ``each`` times, in an order that is drawn."""
    rng = random.Random(SEED)
    for service in SERVICES:
        said = [(number, one) for number, one in enumerate(service.vocabulary()) for _ in range(each)]
        rng.shuffle(said)
        for number, one in said:
            wrong = one.level in ("error", "raw")
            yield {"service": service.name, "label": number, "error": wrong, "lines": service.lines(rng, one)}


if __name__ == "__main__":
    for event in labelled():
        sys.stdout.write(json.dumps(event) + "\n")
