"""Reads the team's own metrics every few seconds, and keeps no look waiting for a slow answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gopub.health.config import JudgeConfig, OwnTarget
from gopub.health.dispersion import Tally
from gopub.health.own import OwnLook, OwnState, OwnTold, OwnWindow
from gopub.health.ownread import Counters, Gauges, OwnAnswer, TrackAnswers, tallies
from gopub.health.samples import NoData, ProcessHealth, ResolvedQuery, TrackWindow, Window
from gopub.health.sources import OwnSource
from gopub.telemetry import log
from gopub.units import say_about

EVERY = 5.0
"""Seconds between two readings."""
PATIENCE = 1.0
"""Seconds that the look which begins a reading waits for it; what takes longer is for a later look."""
LONGEST = 30.0
"""Seconds after which a reading is given up, and after which an old one says nothing of now."""
SETTLES = 15.0
"""Seconds at the start of a step, or two scrapes, in which requests and events of a change of traffic do not fit."""
AT_ONCE = 4
"""Questions under way at a time: a Prometheus serves others, too."""
TRACKS = ("canary", "stable")

_log = log("own")


@dataclass(frozen=True, slots=True)
class Tracks:
    """Whom a reading is about: the hosts of each track, and the release on it."""

    hosts: Mapping[str, Sequence[str]]
    releases: Mapping[str, str]


def tracks_of(
    config: JudgeConfig, asked: Iterable[ProcessHealth], canary: frozenset[str], stable: frozenset[str]
) -> Tracks:
    """Hosts that were asked how they are run the canary, whatever edges have counted of them so far."""
    ours = canary | {host.host for host in asked}
    hosts = {"canary": sorted(ours), "stable": sorted(stable - ours) if config.stable else []}
    return Tracks(hosts, {"canary": config.canary, "stable": config.stable or ""})


@dataclass(frozen=True, slots=True)
class _Reading:
    at: float
    tracks: Tracks
    answers: Mapping[str, Mapping[str, TrackAnswers]]
    requests: Mapping[str, Mapping[str, int]]
    """What edges sent since the reading before, by track and host."""


@dataclass(slots=True)
class _Trail:
    """What is remembered of one metric, by track."""

    bad: dict[str, Counters] = field(default_factory=lambda: {track: Counters() for track in TRACKS})
    of: dict[str, Counters] = field(default_factory=lambda: {track: Counters() for track in TRACKS})
    values: dict[str, Gauges] = field(default_factory=lambda: {track: Gauges() for track in TRACKS})
    sent: dict[str, dict[str, int]] = field(default_factory=lambda: {track: {} for track in TRACKS})
    """Requests that are still without the events of their time."""
    since: float | None = None

    def begin(self) -> None:
        """Forget what counters were: what comes is a starting point."""
        self.bad, self.sent = ({track: Counters() for track in TRACKS}, {track: {} for track in TRACKS})
        self.since = None

    def counted(self, target: OwnTarget, reading: _Reading) -> dict[str, Mapping[str, Tally] | str]:
        """What each track counted since the last reading that was one."""
        found: dict[str, Mapping[str, Tally] | str] = {}
        for track, whole in reading.answers[target.name].items():
            answer = whole.of(reading.tracks.hosts[track])
            if not isinstance(answer.query, OwnAnswer):
                continue
            hosts = reading.tracks.hosts[track]
            bad = self.bad[track].gained(answer.query, hosts)
            if isinstance(answer.per, OwnAnswer):
                of = self.of[track].gained(answer.per, hosts)
            else:
                of = self._requests(track, answer.query, bad)
            found[track] = tallies(bad, of, part=target.kind == "ratio")
        return found

    def _requests(self, track: str, answer: OwnAnswer, bad: Mapping[str, float]) -> Mapping[str, float]:
        """The requests of the hosts that have a series; those of a host without one wait until it has one again."""
        sent, named = self.sent[track], {one.host for one in answer.series}
        if "" in named:
            whole, self.sent[track] = float(sum(sent.values())), {}
            return {"": whole} if "" in bad else {}
        taken = {host: float(sent.pop(host, 0)) for host in sorted(named)}
        return {host: taken[host] for host in bad}


class OwnWatch:
    """One per observer; begins anew with each driver: counts of the time without one are nobody's."""

    def __init__(self, source: object, config: JudgeConfig, patience: float = PATIENCE) -> None:
        """Take the source; where it answers no queries, each look says so."""
        self._source, self._config, self._patience = source, config, patience
        self._trails = {target.name: _Trail() for target in config.own}
        self._requests: dict[str, dict[str, int]] = {track: {} for track in TRACKS}
        self._asking: asyncio.Task[_Reading] | None = None
        self._asked: float | None = None
        self._last: float | None = None
        self._told: tuple[OwnTold, ...] = ()
        self._step, self._stepped = -1, 0.0

    def count(self, window: Window) -> None:
        """What the edges sent to both tracks."""
        for track, found in zip(TRACKS, (window.canary, window.stable), strict=True):
            _add(self._requests[track], found)

    async def read(
        self, at: float, step: int, tracks: Tracks, state: OwnState, interval: float
    ) -> tuple[OwnLook | None, tuple[ResolvedQuery, ...]]:
        """The newest figures, and what was asked for them; None where the team has no metrics of its own.

        Args:
            at: now.
            step: the rollout's.
            tracks: who is on which track.
            state: what was counted so far.
            interval: seconds between two scrapes of the edges.
        """
        if not self._config.own:
            return None, ()
        if step != self._step:
            self._step, self._stepped = step, at
        if not isinstance(self._source, OwnSource):
            told = tuple(OwnTold(one.name, "these metrics answer no queries") for one in self._config.own)
            return OwnLook(state, (), told), ()
        reading = await self._newest(at, tracks)
        if reading is None:
            return OwnLook(state, (), self._as_last_told(at)), ()
        for trail in self._trails.values():
            for track, sent in reading.requests.items():
                for host, count in sent.items():
                    trail.sent[track][host] = trail.sent[track].get(host, 0) + count
        settled = reading.at - self._stepped >= max(SETTLES, 2 * interval)
        found = [self._taken(target, reading, state, settled=settled) for target in self._config.own]
        self._last, self._told = reading.at, tuple(told for told, _ in found)
        windows = tuple(window for _, window in found if window is not None)
        return OwnLook(state, windows, self._told), _queries(reading)

    async def _newest(self, at: float, tracks: Tracks) -> _Reading | None:
        """A reading that ended since the last look; begins one where it is time."""
        due = self._asked is None or not 0 <= at - self._asked < EVERY
        if self._asking is None and due:
            self._asked = at
            requests, self._requests = self._requests, {track: {} for track in TRACKS}
            self._asking = asyncio.create_task(self._ask(at, tracks, requests))
            await asyncio.wait({self._asking}, timeout=self._patience)
        if self._asking is None or not self._asking.done():
            return None
        reading, self._asking = self._asking.result(), None
        return reading

    def _as_last_told(self, at: float) -> tuple[OwnTold, ...]:
        if self._last is None:
            return tuple(OwnTold(one.name, "its first reading is still under way") for one in self._config.own)
        if at - self._last <= LONGEST:
            return self._told
        why = f"no answer for {say_about(at - self._last)}"
        return tuple(OwnTold(one.name, why) for one in self._config.own)

    async def _ask(self, at: float, tracks: Tracks, requests: Mapping[str, Mapping[str, int]]) -> _Reading:
        limit = asyncio.Semaphore(AT_ONCE)
        asked = [(target, track) for target in self._config.own for track in TRACKS if tracks.hosts[track]]
        found = await asyncio.gather(*(self._of_track(target, track, tracks, at, limit) for target, track in asked))
        answers: dict[str, dict[str, TrackAnswers]] = {target.name: {} for target in self._config.own}
        for (target, track), answer in zip(asked, found, strict=True):
            answers[target.name][track] = answer
        return _Reading(at, tracks, answers, requests)

    async def _of_track(
        self, target: OwnTarget, track: str, tracks: Tracks, at: float, limit: asyncio.Semaphore
    ) -> TrackAnswers:
        """Both queries of one metric for one track; whatever goes wrong is said and never raised."""

        async def one(query: str | None) -> OwnAnswer | NoData | None:
            if query is None or not isinstance(self._source, OwnSource):
                return None
            config, hosts, release = self._config, tracks.hosts[track], tracks.releases[track]
            try:
                async with limit:
                    asked = self._source.own(query, config.app, config.env, release, hosts, at)
                    return await asyncio.wait_for(asked, LONGEST)
            except TimeoutError:
                return NoData(f"no answer within {say_about(LONGEST)}")
            except Exception as error:  # noqa: BLE001 - whatever a source raises, the way back goes on
                _log.exception("a metric of the team's own cannot be read")
                return NoData(f"its source failed: {type(error).__name__}")

        query, per = await asyncio.gather(one(target.query), one(target.per))
        return TrackAnswers(query, per)

    def _taken(
        self, target: OwnTarget, reading: _Reading, state: OwnState, *, settled: bool
    ) -> tuple[OwnTold, OwnWindow | None]:
        answers = reading.answers[target.name]
        for track in TRACKS:
            if track in answers and (why := answers[track].wrong(target)):
                return OwnTold(target.name, f"{why}{_on(track)}", settles=not settled and answers[track].empty), None
        if "canary" not in answers:
            return OwnTold(target.name, "no canary host is known yet", settles=True), None
        if silent := answers["canary"].silent(reading.tracks.hosts["canary"]):
            why = f"it gives no series of {', '.join(silent[:5])}"
            missing = OwnTold(target.name, why, settles=not settled)
        else:
            missing = OwnTold(target.name, note=_without(answers, reading))
        if target.kind == "gauge":
            return self._valued(target, reading, missing), None
        return self._counted(target, reading, missing, state, settled=settled)

    def _valued(self, target: OwnTarget, reading: _Reading, told: OwnTold) -> OwnTold:
        trail, answers = self._trails[target.name].values, reading.answers[target.name]
        for track, found in answers.items():
            if isinstance(ours := found.of(reading.tracks.hosts[track]).query, OwnAnswer):
                trail[track].add(ours, reading.at)
        means = {track: trail[track].means() for track in answers}
        if not told.unread and not all(means.values()):
            return replace(told, unread="too few readings so far", settles=True)
        return replace(told, canary=means.get("canary", {}), stable=means.get("stable", {}))

    def _counted(
        self, target: OwnTarget, reading: _Reading, told: OwnTold, state: OwnState, *, settled: bool
    ) -> tuple[OwnTold, OwnWindow | None]:
        trail, known = self._trails[target.name], state.metrics.get(target.name)
        before = known.canary.exposed if known else 0
        if target.per is None and not settled:
            trail.begin()
            why = "requests and events of a change of traffic have to settle"
            return told if before or told.unread else replace(told, unread=why, settles=True), None
        start, trail.since = trail.since, reading.at
        counts = trail.counted(target, reading)
        for track, found in counts.items():
            if isinstance(found, str):
                return replace(told, unread=f"{found}{_on(track)}"), None
        ours, theirs = (_plain(counts.get(track, {})) for track in TRACKS)
        if not before + sum(tally.exposed for tally in ours.values()) and not told.unread:
            told = replace(told, unread="it has counted nothing on the canary so far", settles=True)
        if start is None or not (ours or theirs):
            return told, None
        return told, OwnWindow(target.name, self._step, start, reading.at, ours, theirs)


def _add(sent: dict[str, int], found: TrackWindow | None) -> None:
    for host in found.hosts if found else ():
        sent[host.host] = sent.get(host.host, 0) + host.attempts


def _plain(found: Mapping[str, Tally] | str) -> Mapping[str, Tally]:
    return {} if isinstance(found, str) else found


def _on(track: str) -> str:
    return "" if track == "canary" else " (asked for stable)"


def _without(answers: Mapping[str, TrackAnswers], reading: _Reading) -> str:
    others = sum(found.strangers(reading.tracks.hosts[track]) for track, found in answers.items())
    left = f'series of hosts that are not of their track ({others}) are left out: write host=~"{{{{ hosts }}}}"'
    return "; ".join(text for text in (_unpaired(answers, reading), left if others else "") if text)


def _unpaired(answers: Mapping[str, TrackAnswers], reading: _Reading) -> str:
    if "stable" not in answers:
        return "not compared: no stable host is beside it"
    silent = answers["stable"].silent(reading.tracks.hosts["stable"])
    return f"no series of {len(silent)} of stable's hosts" if silent else ""


def _queries(reading: _Reading) -> tuple[ResolvedQuery, ...]:
    both: Iterable[OwnAnswer | NoData | None] = (
        answer for tracks in reading.answers.values() for one in tracks.values() for answer in (one.query, one.per)
    )
    return tuple(query for answer in both if answer is not None for query in answer.queries)
