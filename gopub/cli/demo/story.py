"""The acts: what is released, how it should end, and what is seen of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from gopub.canon import Json
from gopub.cli.demo.ground import Ground, Seen
from gopub.cli.demo.talk import Talk
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.views.events import last_of
from gopub.views.follow import Follower, Telling
from gopub.wiring import settings

BAD = {"error_rate": 0.2, "extra_latency_ms": 120, "after_requests": 40, "log_errors": True}


@dataclass(frozen=True, slots=True)
class Scene:
    """One act as it is written down beforehand."""

    title: str
    service: str
    version: str
    ends: str
    behaviour: Mapping[str, Json] | None = None
    by_verdict: bool = True


@dataclass(frozen=True, slots=True)
class Act:
    """One act as it went: the flow's summary, the journal's entries, and what the traffic generator counted."""

    wanted: Scene
    result: Mapping[str, Json]
    entries: tuple[Entry, ...]
    before: Mapping[str, Json]
    after: Mapping[str, Json]
    canary: Mapping[str, Json]
    seconds: float

    @property
    def as_told(self) -> bool:
        """Whether it ended as it should, and because of what was observed under traffic where that was to be shown."""
        ended = self.result.get("outcome") == self.wanted.ends
        return ended and (self.event(ev.Judged) is not None or not self.wanted.by_verdict)

    def event(self, kind: type[ev.Event]) -> ev.Event | None:
        """The last event of a kind."""
        return last_of((entry.event for entry in self.entries), kind)


def hello_acts(bad: str) -> tuple[Scene, ...]:
    """The three releases of examples/hello; ``bad`` (JSON) replaces what is wrong with the third.

    What somebody else makes wrong may show before there is any traffic; ours does not.
    """
    wrong = cast("Mapping[str, Json]", json.loads(bad)) if bad else BAD
    return (
        Scene("hello 1.0.0: the first release, on all hosts", "hello", "1.0.0", "promoted"),
        Scene("hello 1.1.0: a good release, judged and promoted", "hello", "1.1.0", "promoted", {}),
        Scene("hello 1.2.0: a bad release, bad only under traffic", "hello", "1.2.0", "rolled back", wrong, not bad),
    )


def httpbin_act() -> Scene:
    """Somebody else's program, not instrumented."""
    return Scene("httpbin 1.0.0: any Go service, not instrumented", "httpbin", "1.0.0", "promoted")


def play(ground: Ground, wanted: Scene, seen: Seen, talk: Talk) -> Act:
    """Commit, release and roll out one act, telling what happens."""
    talk.headline(wanted.title)
    repository = ground.commit(wanted.service, wanted.version, dict(_changes(ground, wanted)))
    began, before = time.monotonic(), seen.now()
    entries: list[Entry] = []
    telling = Telling()

    def on_entry(entry: Entry) -> None:
        entries.append(entry)
        for number, told in enumerate(telling.lines(entry)):
            talk.line(f"  {told}" if number else told)

    follower = Follower(settings.journal(), wanted.service, "lab", on_entry)
    parameters: dict[str, Json] = {"repository": str(repository), "project": str(repository), "env": "lab",
                                   "ref": f"v{wanted.version}", "version": wanted.version, "actor": "demo",
                                   "reason": wanted.title}  # fmt: skip
    talk.line("building, proving, publishing")

    async def beside() -> None:
        await asyncio.gather(follower.follow(), _show(seen, talk))

    with talk.live():
        result = cast("Mapping[str, Json]", ground.deploy(parameters, beside))
    follower.catch_up()
    time.sleep(1.2)  # the generator writes its counts once a second
    canary = seen.release(str(result.get("release", ""))[:12])
    return Act(wanted, result, tuple(entries), before, seen.now(), canary, time.monotonic() - began)


def _changes(ground: Ground, wanted: Scene) -> Iterator[tuple[str, str]]:
    """A release is a change of the source: here of the one file that says how the service behaves."""
    if wanted.behaviour is None:
        return
    path = ground.repository(wanted.service) / "behaviour.json"
    good = cast("dict[str, Json]", json.loads(path.read_text()))
    yield "behaviour.json", json.dumps({**good, "version": wanted.version, **wanted.behaviour}, indent=2) + "\n"


async def _show(seen: Seen, talk: Talk) -> None:
    while True:
        counts = seen.now()
        talk.now(
            f"traffic: {counts.get('sent', 0)} sent, {counts.get('answered', 0)} answered, {counts.get('lost', 0)} lost"
        )
        await asyncio.sleep(0.5)
