"""Log lines: speed, quality on the labelled set, delay of a surge, false alarms; beside the article's rule and peers.

    python tests/bench/bench_logs.py [--only speed|classes|alarms|surge|false] [--weeks 4] [--seed N]

Speed is in lines per second of one processor (``process_time``). Aims: 500,000 for parsing and classing; a surge to
three times of 3 events/s found within 10 s in 95 %; at most one false alarm per service and week (``--weeks 53``: a
service-year). A week is 168 hours with a canary, in rollouts of half an hour. The article's rule is that an error class
comes at least three times as often as on stable within 10 s: here it is asked once every 10 s.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import random
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from gopub.health import logsurge
from gopub.health.backends.journald import parse_reading
from gopub.health.logevents import Joiner, count
from gopub.health.logscore import LogReading, LogState, alerts, fold_logs, log_score
from gopub.health.samples import LogCounts
from tests.bench.log_maker import SERVICES, USUAL, WELL, Message, Service

LABELLED = Path(__file__).parents[1] / "cases" / "health" / "labelled.jsonl"
MARK = 0.85
MARKS = (6.0, logsurge.MARK, 8.0)
LOUD = 5.0
"""The logarithm of a bet below which no class alone condemns."""
STABLE = ("s1", "s2", "s3")
HOSTS = ("c1", *STABLE)
LOOK, EVERY, SUSPICIOUS = 2, 4, math.log(10)


def classed(lines: Sequence[str]) -> Counter[str]:
    """The classes of one reading."""
    joiner, found = Joiner(), Counter[str]()
    for line in lines:
        if said := joiner.take(line, 6):
            count(said, found)
    count(joiner.end(), found)
    return found


def labelled() -> list[dict]:
    """The committed set."""
    return [json.loads(line) for line in LABELLED.read_text().splitlines()]


# --- speed


def mixture(errors: float, number: int = 50_000) -> list[str]:
    """Lines of all services, of which about this share begins an error event."""
    rng, out = random.Random(1), list[str]()
    while len(out) < number:
        service = rng.choice(SERVICES)
        out += service.lines(rng, rng.choice(USUAL if rng.random() < errors else WELL))
    return out[:number]


def as_journal(lines: Sequence[str]) -> bytes:
    """What a host prints of these lines, as journal.sh leaves them."""
    entries = (
        json.dumps({"__REALTIME_TIMESTAMP": str(10**15 + at), "_SYSTEMD_UNIT": "hello.service", "PRIORITY": "6",
                    "_SYSTEMD_INVOCATION_ID": "0f" * 16, "MESSAGE": line})
        for at, line in enumerate(lines)
    )  # fmt: skip
    return "\n".join([*reversed(list(entries)), f"gopub {len(lines)} 0 first s=1"]).encode()


def rate(work: Callable[[], object], lines: int) -> float:
    """Lines per second of the processor, the best of three."""

    def once() -> float:
        begun = time.process_time()
        work()
        return time.process_time() - begun

    return lines / min(once() for _ in range(3))


_WORDS = re.compile(r"\b(?:ERROR|error|FATAL|panic|Exception)\b|level=(?:error|fatal)")


def plain_peer(lines: Sequence[str]) -> Counter[str]:
    """What a short script does: JSON by its level, all else by one pattern."""
    found = Counter[str]()
    for line in lines:
        if line.startswith("{"):
            level = str(json.loads(line).get("level")).lower()
        else:
            match = _WORDS.search(line)
            level = match[0] if match else ""
        found[level] += 1
    return found


def drain_peer() -> Callable[[Sequence[str]], object] | None:
    """drain3 with its default settings, where it is installed."""
    try:
        drain3 = importlib.import_module("drain3")
    except ImportError:
        return None

    def mine(lines: Sequence[str]) -> object:
        miner = drain3.TemplateMiner()
        return [miner.add_log_message(line) for line in lines]

    return mine


def speed() -> Iterator[str]:
    """The table of speeds."""
    for share in (0.0, 0.01, 0.05, 0.2):
        lines = mixture(share)
        ours = rate(lambda lines=lines: classed(lines), len(lines))
        peer = rate(lambda lines=lines: plain_peer(lines), len(lines))
        row = f"{share:5.0%} errors  ours {ours:>9,.0f}  json.loads + one pattern {peer:>9,.0f} ({ours / peer:.2f})"
        if drain := drain_peer():
            mined = rate(lambda lines=lines, drain=drain: drain(lines), len(lines))
            row += f"  drain3 {mined:>9,.0f} ({ours / mined:.1f})"
        yield row
    lines = mixture(0.01, 20_000)
    out = as_journal(lines)
    whole = rate(lambda: classed([entry.text for entry in parse_reading(out)[0]]), len(lines))
    yield f"end to end, from the journal's JSON to classes, 1% errors: {whole:,.0f}"


# --- quality of classes


def quality() -> dict[str, float]:
    """Of the labelled set: which events are errors, how many of them count once, and which belong together."""
    hits, told, wrong, once = 0, 0, 0, 0
    pairs = Counter[str]()
    by_service: dict[str, list[tuple[int, str]]] = {}
    for event in labelled():
        found = classed(event["lines"])
        levels = sum(number for name, number in found.items() if name.startswith("level:"))
        told, wrong, hits = told + bool(levels), wrong + event["error"], hits + bool(levels and event["error"])
        once += levels == 1 and event["error"]
        template = min((name for name in found if name.startswith("template:")), default="")
        if event["error"]:
            by_service.setdefault(event["service"], []).append((event["label"], template))
    for events in by_service.values():
        for (a, x), (b, y) in combinations(events, 2):
            pairs["same"] += a == b
            pairs["joined"] += x == y
            pairs["right"] += a == b and x == y
    return {
        "errors: precision": hits / told,
        "errors: recall": hits / wrong,
        "counted once": once / wrong,
        "classes: precision": pairs["right"] / pairs["joined"],
        "classes: recall": pairs["right"] / pairs["same"],
    }


# --- quality of alarms


@dataclass(frozen=True)
class Cell:
    """What happens in one simulated rollout."""

    name: str
    guilty: bool
    ours: tuple[Message, ...] = ()
    """What the canary says beside the usual, from the eighth reading on."""
    theirs: tuple[Message, ...] = ()
    surge: float = 1.0
    traffic: float = 1.0


def cells(service: Service) -> tuple[Cell, ...]:
    """Guilty and innocent ones."""
    new = (Message("info", "new: basket {id} warmed"), Message("warn", "new: {word} is slow, no error"))
    both = service.faults["exception"]
    return (
        *(Cell(name, guilty=True, ours=said) for name, said in service.faults.items()),
        Cell("surge", guilty=True, surge=6.0),
        Cell("nothing", guilty=False),
        Cell("new info and warn lines", guilty=False, ours=new),
        Cell("shared incident", guilty=False, ours=both, theirs=both),
        Cell("three times the traffic", guilty=False, traffic=3.0),
    )


def poisson(rng: random.Random, mean: float) -> int:
    """By Knuth, in pieces of 30."""
    if mean > 30:
        return poisson(rng, 30.0) + poisson(rng, mean - 30)
    limit, number, product = math.exp(-mean), 0, rng.random()
    while product > limit:
        number, product = number + 1, product * rng.random()
    return number


def alarmed(service: Service, cell: Cell, seed: int) -> bool:
    """Whether the logs condemn within 24 readings of 5 s: an error every other second on each host as usual."""
    rng, state = random.Random(seed), LogState()
    for step in range(24):
        counts = [_host(rng, service, cell, host, step >= 8) for host in HOSTS]
        requests = {host: round(100 * (cell.traffic if host == "c1" else 1)) for host in HOSTS}
        state = fold_logs(state, LogReading(5.0 * step, 5.0 * step + 5, (counts[0],), tuple(counts[1:]), requests))
        if log_score(state).value >= MARK:
            return True
    return False


def _host(rng: random.Random, service: Service, cell: Cell, host: str, begun: bool) -> LogCounts:
    canary = host == "c1"
    more, busy = (cell.surge if canary and begun else 1.0), (cell.traffic if canary else 1.0)
    said = [rng.choice(WELL) for _ in range(poisson(rng, 3 * busy))]
    said += [rng.choice(USUAL) for _ in range(poisson(rng, 2.5 * more * busy))]
    extra = (cell.ours if canary else cell.theirs) if begun else ()
    said += [rng.choice(extra) for _ in range(poisson(rng, 5) if extra else 0)]
    rng.shuffle(said)
    lines = [line for one in said for line in service.lines(rng, one)]
    return LogCounts(host, "", dict(classed(lines)), len(lines), "")


def alarms(seed: int, each: int = 20) -> Iterator[tuple[str, bool, int, int]]:
    """Of each cell: its name, whether it is guilty, alarms, rollouts."""
    names = dict.fromkeys((cell.name, cell.guilty) for service in SERVICES for cell in cells(service))
    for name, guilty in names:
        some = [(service, cell) for service in SERVICES for cell in cells(service) if cell.name == name]
        found = sum(alarmed(service, cell, seed + i) for service, cell in some for i in range(each))
        yield name, guilty, found, each * len(some)


# --- a surge, and false alarms


def surge_delay(base: float, seed: int, *, longest: float = 120.0) -> tuple[float, float]:
    """Seconds from a surge to three times of ``base`` events/s on the canary until it holds, and until logs condemn."""
    rng, state = random.Random(seed), LogState()
    begins = 300 + 60 * rng.random()
    last = at = 0.0
    held = math.inf
    while at < begins + longest:
        at += LOOK
        if at - last < EVERY and log_score(state).log_e <= SUSPICIOUS and not alerts(state):
            continue
        more = max(0.0, at - max(last, begins))
        means = {host: base * (at - last + (2 * more if host == "c1" else 0)) for host in HOSTS}
        state, last = fold_logs(state, _counts(rng, last, at, means, (0.6, 0.4))), at
        score = log_score(state)
        if at > begins and score.surge and score.surge.log_r >= logsurge.MARK:
            held = min(held, at - begins)
        if at > begins and score.value >= MARK:
            return held, at - begins
    return held, math.inf


def _counts(
    rng: random.Random, start: float, end: float, means: dict[str, float], shares: Sequence[float], rare: float = 0.0
) -> LogReading:
    """One reading in which each host has so many error events, shared by templates; ``rare`` ones are never twice."""
    counts = []
    for host, mean in means.items():
        found = {f"template:{n}": poisson(rng, mean * share) for n, share in enumerate(shares)}
        found |= {f"template:r{rng.random()}": 1 for _ in range(poisson(rng, rare * (end - start)) if rare else 0)}
        found["level:error"] = sum(found.values())
        counts.append(LogCounts(host, "", {name: n for name, n in found.items() if n}, 1, ""))
    requests = {host: round(100 * (end - start)) for host in means}
    return LogReading(start, end, (counts[0],), tuple(counts[1:]), requests)


def three_times(reading: LogReading) -> bool:
    """The article's rule on one reading: some class comes at least three times as often for each request."""
    n = sum(reading.requests[one.host] for one in reading.canary)
    m = sum(reading.requests[one.host] for one in reading.stable)
    theirs = Counter[str]()
    for one in reading.stable:
        theirs.update(one.classes)
    (ours,) = (one.classes for one in reading.canary)
    return any(theirs[name] and number * m >= 3 * theirs[name] * n for name, number in ours.items())


def innocent(seed: int, *, every: float = EVERY, minutes: int = 30) -> Counter[str]:
    """One rollout of a canary that is as good as stable: how often it begins to be held or accused, and by what."""
    rng, state, found = random.Random(seed), LogState(), Counter[str]()
    base, before = rng.choice((0.02, 0.3, 3.0)), frozenset[str]()
    for step in range(int(minutes * 60 / every)):
        shared = 10.0 if seed % 10 == 0 and 600 <= every * step < 660 else 1.0
        means = dict.fromkeys(HOSTS, base * every * shared)
        read = _counts(rng, every * step, every * step + every, means, (0.6, 0.3, 0.1), rare=1 / 600)
        state = fold_logs(state, read)
        now = frozenset(_accused(state, read))
        found.update(now - before)
        before = now
    return found


def _accused(state: LogState, read: LogReading) -> Iterator[str]:
    loud = any(one.bets or max(one.process.started) > LOUD for one in state.classes.values())
    score = log_score(state) if loud else None
    if score and score.value >= MARK:
        yield "condemned"
    if score and score.surge:
        yield from (f"held at {mark:g}" for mark in MARKS if score.surge.log_r >= mark)
    if three_times(read):
        yield "article"


def false_alarms(weeks: float, seed: int, kept: Path | None = None) -> tuple[Counter[str], int]:
    """All innocent rollouts of so many weeks; what was found so far is read from a file, and goes on from there."""
    total, done, rollouts = Counter[str](), 0, round(weeks * 336)
    if kept and kept.exists():
        known = json.loads(kept.read_text())
        total, done = Counter(known["found"]), known["done"]
    for number in range(done, rollouts):
        total += innocent(seed + number)
        if kept and (number % 50 == 49 or number + 1 == rollouts):
            kept.write_text(json.dumps({"found": total, "done": number + 1}))
    return total, max(done, rollouts)


def _surges(seed: int) -> Iterator[str]:
    for base in (0.3, 1.0, 3.0, 10.0):
        pairs = [surge_delay(base, seed + i) for i in range(300)]
        for what, found in (("holds", sorted(a for a, _ in pairs)), ("condemns", sorted(b for _, b in pairs))):
            yield (
                f"{base:4g} -> {3 * base:4g} events/s {what:8}: median {statistics.median(found):5.1f} s,"
                f" p95 {found[284]:5.1f} s, within 10 s {sum(delay <= 10 for delay in found) / 300:.0%}"
            )


def _false(weeks: float, seed: int, kept: Path | None) -> Iterator[str]:
    found, rollouts = false_alarms(weeks, seed, kept)
    weeks = rollouts / 336
    yield f"{rollouts} innocent rollouts of 30 min, {weeks:.3g} service-weeks:"
    for what, often in sorted(found.items()):
        yield f"  {what:12} {often:>7,} ({often / weeks:,.3g} a week)"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", choices=("", "speed", "classes", "alarms", "surge", "false"))
    parser.add_argument("--weeks", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a file by which `--only false` goes on where it was ended")
    args = parser.parse_args()
    tables: dict[str, Callable[[], Iterator[str]]] = {
        "speed": speed,
        "classes": lambda: (f"{name:20} {value:.3f}" for name, value in quality().items()),
        "alarms": lambda: (
            f"{'guilty' if guilty else 'innocent':8} {name:24} {found:3}/{of}"
            for name, guilty, found, of in alarms(args.seed)
        ),
        "surge": lambda: _surges(args.seed),
        "false": lambda: _false(args.weeks, args.seed, args.keep),
    }
    for name, rows in tables.items():
        if args.only in ("", name):
            sys.stdout.write(f"## {name}\n")
            for row in rows():
                sys.stdout.write(f"{row}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
