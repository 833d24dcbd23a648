"""The observer: asks the sources at each look and folds the answers into observations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from gopub.canon import Json
from gopub.health.aside import ASKED, Gained, Standing, Warming, heard, settled, suspects, told
from gopub.health.beside import Beside, Uses
from gopub.health.config import NEARER, JudgeConfig
from gopub.health.counters import answers, bounds_of, disagreement, gained, merged, starts_of, warmed, window_of
from gopub.health.edges import older, only_ours
from gopub.health.endpoints import Counting, learn_endpoints, uncounted
from gopub.health.logscore import LogState, alerts, fold_logs, log_score, remember
from gopub.health.logwatch import LogOutcome, LogWatch
from gopub.health.observation import Observation, Totals, conclude
from gopub.health.own import OwnLook, OwnState
from gopub.health.ownwatch import OwnWatch, tracks_of
from gopub.health.quantile import near, quantile
from gopub.health.recent import Recent, usable
from gopub.health.runtime import RuntimeTrail
from gopub.health.samples import (
    CounterSnapshot,
    NoData,
    ProcessHealth,
    ResolvedQuery,
    TrackWindow,
    Window,
    sum_tracks,
)
from gopub.health.score import ScoreInput
from gopub.health.sequential import EvidenceState, learn
from gopub.health.sources import LogSource, LogTarget, MetricSource
from gopub.health.spending import SpendWatch
from gopub.health.starts import Starts
from gopub.health.wire import from_json, to_json

USUAL = 15.0
"""Seconds between two scrapes, where nobody can say."""
QUICK = 0.025
"""Seconds: answers quicker than this are never "slow" without an SLO, and never "late"."""
_STABLE_RUNTIMES = 10
_UNWATCHED = 30.0
"""Seconds between two looks that count as watched at most."""
_BLURRED = 10.0
"""Seconds between two looks from which on nobody can say how old the hosts were."""
_SUSPICIOUS = math.log(10)
"""From here on, logs are read at every look."""


@dataclass(frozen=True, slots=True)
class ObserverState:
    """What survives the driver; windows do not, for counts of the time without a driver are nobody's."""

    evidence: EvidenceState = field(default_factory=EvidenceState)
    logs: LogState = field(default_factory=LogState)
    step: int = -1
    step_totals: Totals = field(default_factory=Totals)
    rollout_totals: Totals = field(default_factory=Totals)
    hosts: Mapping[str, Standing] = field(default_factory=dict)
    warming: Warming = field(default_factory=Warming)
    starts: Starts = field(default_factory=Starts)
    """How slow the canary's hosts were at which age: a later rollout warms up for as long as these took."""
    reference: TrackWindow | None = None
    """The newest stable counts that were many enough: what the score is held against once stable has no traffic."""
    watched: float = 0.0
    """Seconds for which a canary's growth was watched."""
    kills: Mapping[str, int] = field(default_factory=dict)
    """Of stable hosts: processes that were killed for want of memory before this rollout looked."""
    own: OwnState = field(default_factory=OwnState)
    """What the team's own metrics counted."""


class Observer:
    """One per rollout and driver; what it must not forget is in ``state()``."""

    def __init__(
        self,
        metrics: MetricSource,
        logs: LogSource | None,
        config: JudgeConfig,
        state: Json = None,
    ) -> None:
        """Take the sources; ``state`` is what an earlier driver's ``state()`` gave, None at the first start.

        Raises:
            UsageError: GP601, ``state`` is none.
        """
        self._metrics, self._config = metrics, config
        self._resumed = state is not None
        self._state = ObserverState() if state is None else from_json(ObserverState, state)
        self._last: CounterSnapshot | None = None
        self._recent = Recent(config.horizon, config.min_requests)
        self._runtime = RuntimeTrail(config.score.profile)
        self._uses, self._beside = Uses(), Beside(self._state.kills)
        self._canaries: frozenset[str] = frozenset()
        self._watched: float | None = None
        self._busy: float | None = None
        self._waiting: tuple[Gained, ...] = ()
        self._since: Mapping[str, float] = {}
        self._logs = LogWatch(logs, config)
        self._spend = SpendWatch(metrics, config)
        self._endpoints = Counting(config.endpoints)
        self._own = OwnWatch(metrics, config)

    def state(self) -> Json:
        """What must survive the driver, for the journal: evidence, totals, log evidence."""
        return to_json(self._state)

    async def start(self, at: float) -> None:
        """Learn the spread of the stable hosts and what is slow from before the rollout; take the first counters.

        Call it before the canary gets traffic. A source that is down is no error here: the looks will say so.
        """
        config = self._config
        if config.slo.latency_p95 is not None:
            self._slow_above(config.slo.latency_p95)
        if config.stable and not self._resumed:
            past = await self._metrics.history(config.app, config.env, (config.stable,), at)
            self._learn(past if not isinstance(past, NoData) else ())
        first = await self._metrics.counters(config.app, config.env, self._releases(), at)
        self._last = first if isinstance(first, CounterSnapshot) else None
        self._logs.start(at)

    async def look(
        self,
        at: float,
        hosts: Sequence[ProcessHealth],
        step: int,
        *,
        compare: bool = True,
        logs: Sequence[LogTarget] = (),
        edges: Mapping[str, str | None] | None = None,
        others: Sequence[ProcessHealth] = (),
        since: Mapping[str, float] | None = None,
        beside: Sequence[ProcessHealth] = (),
    ) -> Observation:
        """One look: three queries, and the logs where they are due.

        Args:
            at: now.
            hosts: the health of every canary host.
            step: the step that the rollout is in; another one than before starts its own totals.
            compare: False for a step that only a header rule sends traffic to.
            logs: where the logs of canary and stable hosts lie.
            edges: the inventory's edges and who each said it is; see ``only_ours``.
            since: when the process of each canary host was proven; for ``warmup`` seconds its latency does not count.
            beside: stable hosts that were asked for this look how their process is.
            others: whether the hosts that ``suspects()`` named at the look before answer.
        """
        if step != self._state.step:
            self._state = replace(self._state, step=step, step_totals=Totals(), warming=Warming())
        self._since = since or {}
        config = self._config
        self._state = replace(self._state, hosts=heard(self._state.hosts, hosts, others, at))
        hosts = self._uses.told(hosts, at)
        self._beside.heard(self._uses.told(beside, at), {host.host for host in hosts})
        self._state = replace(self._state, kills=self._beside.kills)
        answer = await self._metrics.counters(config.app, config.env, self._releases(), at)
        own = OwnLook(self._state.own) if config.own else None
        blank = Observation(config, step, at, compare, hosts, before=self._state.evidence, own=own,
                            beside=self._beside.hosts, aside=told(self._state.hosts, at))  # fmt: skip
        if isinstance(answer, NoData):
            return self._nothing(blank, answer.reason, answer.queries)
        queries = answer.queries
        ours = only_ours(answer, edges or {})
        wrong = ours if isinstance(ours, str) else disagreement(ours)
        if isinstance(ours, str) or wrong:
            return self._nothing(blank, wrong or "", queries)
        answer = ours
        blind = uncounted(answer.series, config.canary, answer.names) if config.endpoints else ()
        notes = (*answer.notes, *older(answer), *blind, *self._changed(answer))
        new = self._windows(answer, hosts, others)
        queries = (*queries, *await self._ask_runtime(at, (*hosts, *beside)))
        if not any(series.release == config.canary for series in answer.series):
            reason = f"the edges have counted no answer of the canary release {config.canary} so far"
            return replace(
                self._nothing(blank, reason, queries), unseen=USUAL if answer.interval is None else answer.interval
            )
        blank = replace(blank, aside=told(self._state.hosts, at))
        who = tracks_of(config, hosts, *self._tracks(self._recent.total(at)))
        own, asked = await self._own.read(at, step, who, self._state.own, answer.interval or USUAL)
        seen = self._judge(replace(blank, queries=(*queries, *asked), notes=notes, own=own), new)
        return replace(await self._with_logs(seen, logs), spending=await self._spend.read(at))

    def suspects(self) -> tuple[str, ...]:
        """The stable hosts that should be asked at the next look whether they are there."""
        named = dict.fromkeys(host for gained in self._waiting for host in suspects(gained, self._state.hosts))
        silent = (host for host, one in self._state.hosts.items() if not one.canary and one.silent_since is not None)
        return tuple(dict.fromkeys((*named, *silent)))[:ASKED]

    def _releases(self) -> tuple[str, ...]:
        return tuple(name for name in (self._config.stable, self._config.canary) if name)

    def _nothing(self, blank: Observation, why: str, queries: Sequence[ResolvedQuery]) -> Observation:
        """A look without usable counts: what was learnt before stands, nothing new is claimed."""
        known = self._state.evidence
        empty = conclude(self._config, None, ScoreInput(), (), known, compare=blank.compare, own=blank.own)
        return replace(
            blank,
            no_data=why,
            step_totals=self._state.step_totals,
            rollout_totals=self._state.rollout_totals,
            warming=self._state.warming,
            score=empty.score,
            evidence=empty.evidence,
            log_note="not read: no counts to relate lines to",
            queries=tuple(queries),
        )

    def _changed(self, answer: CounterSnapshot) -> tuple[str, ...]:
        """What a reader of the verdict has to know where the edges have become others."""
        if self._last is None or not bounds_of(self._last) or bounds_of(answer) <= bounds_of(self._last):
            return ()
        return ("the edges measure latency by other bounds than before: what was counted before is left out",)

    def _windows(
        self, answer: CounterSnapshot, hosts: Sequence[ProcessHealth], others: Sequence[ProcessHealth]
    ) -> tuple[Window, ...]:
        """The counts that may be folded now; none at the first look."""
        before, self._last = self._last, merged(self._last, answer) if self._last else answer
        if before is not None:
            new = gained(before, answer)
            self._waiting = (*self._waiting, new)
            if any(any(one.classes.values()) for one in new.series if one.release == self._config.canary):
                self._busy = new.end
        standings, ready, self._waiting = settled(self._state.hosts, self._waiting, hosts, others, answer.at)
        self._state = replace(self._state, hosts=standings)
        return tuple(self._take(found) for found in ready)

    def _take(self, found: Gained) -> Window:
        config, evidence = self._config, self._state.evidence
        self._learn_starts(found)
        booted = [host for host, one in self._state.hosts.items() if one.born > self._since.get(host, 0.0)]
        found, cold = warmed(found, self._warm_until(found), config.canary, evidence.slow_above, booted, self._lag)
        state = self._state = replace(self._state, warming=self._with_stables(self._state.warming.plus(cold)))
        new = window_of(
            found,
            canary=config.canary,
            stable=config.stable,
            slow_above=evidence.slow_above,
            late_above=evidence.late_above,
        )
        new = self._endpoints.counted(new, found)
        self._recent.add(new)
        self._logs.count(new)
        self._own.count(new)
        self._state = replace(
            state,
            step_totals=state.step_totals.plus(new),
            rollout_totals=state.rollout_totals.plus(new),
        )
        return new

    def _learn_starts(self, found: Gained) -> None:
        slow_above, starts = self._state.evidence.slow_above, self._state.starts
        if slow_above is None or found.end - found.start > _BLURRED:
            return
        for one in found.series:
            known, since = self._state.hosts.get(one.host), self._since.get(one.host)
            if one.release == self._config.canary and since and not (known and known.born > since):
                cold = answers(one, slow_above)
                starts = starts.plus(found.end - since, cold.timed, cold.slow)
        self._state = replace(self._state, starts=starts)

    def _with_stables(self, cold: Warming) -> Warming:
        config, slow = self._config, self._state.evidence.slow_above
        starts = starts_of(self._last, config.stable, slow) if self._last and config.stable else Warming()
        return replace(cold, stable_timed=starts.timed, stable_slow=starts.slow)

    @property
    def _lag(self) -> float:
        return self._last.interval or 0.0 if self._last else 0.0

    def _warm_until(self, found: Gained) -> Mapping[str, float]:
        """From when on the latency of each canary host counts; counts may be as old as one scrape.

        A start that lies ahead says that the clock was set back since: that host is warm.
        """
        late = self._config.warmup + self._lag
        born = {host: one.born for host, one in self._state.hosts.items()}
        names = {one.host for one in found.series if one.release == self._config.canary}
        starts = {name: max(self._since.get(name, 0.0), born.get(name, 0.0)) for name in names}
        return {name: start + late for name, start in starts.items() if start <= found.end}

    def _judge(self, seen: Observation, new: tuple[Window, ...]) -> Observation:
        config, at = self._config, seen.at
        recent = self._recent.total(at)
        canary, stable = (recent.canary, recent.stable) if recent else (None, None)
        if stable and usable(stable, config.min_requests):
            self._state = replace(self._state, reference=stable)
        against = stable if usable(stable, config.min_requests) else self._state.reference or stable
        scored = ScoreInput(canary, against, self._runtime.facts(*self._tracks(recent)))
        known = self._state.evidence
        found = conclude(config, recent, scored, new, known, compare=seen.compare, step=seen.step, own=seen.own)
        self._state = replace(self._state, evidence=found.state, own=found.own or self._state.own)
        self._learn_slow(self._state.reference)
        return replace(
            seen,
            windows=new,
            recent=recent,
            watched=self._state.watched,
            idle=None if self._busy is None else at - self._busy,
            step_totals=self._state.step_totals,
            rollout_totals=self._state.rollout_totals,
            warming=self._state.warming,
            slo_canary=found.slo_canary,
            slo_stable=found.slo_stable,
            score=found.score,
            scored=scored,
            evidence=found.evidence,
        )

    async def _with_logs(self, seen: Observation, targets: Sequence[LogTarget]) -> Observation:
        if not seen.compare:
            note = "not compared: the canary's users chose themselves in this step"
            return self._scored(seen, LogOutcome(note=note, blind=True))
        doubt = max(seen.evidence.log_e, log_score(self._state.logs).log_e)
        urgent = doubt > _SUSPICIOUS or bool(seen.slo_canary.broken) or alerts(self._state.logs)
        outcome = await self._logs.read(seen.at, targets, urgent=urgent)
        if outcome.known:
            self._state = replace(self._state, logs=remember(self._state.logs, outcome.known))
        if outcome.reading:
            article = self._config.logs_profile == "article"
            folded = fold_logs(self._state.logs, outcome.reading, article=article)
            self._state = replace(self._state, logs=folded)
        return self._scored(seen, outcome)

    def _scored(self, seen: Observation, outcome: LogOutcome) -> Observation:
        """A score that condemns stands when logs cannot be read any more: silence takes nothing back."""
        known = log_score(self._state.logs)
        if not outcome.blind:
            return replace(seen, log_score=known, log_note=outcome.note)
        if known.value < self._config.log_score:
            return replace(seen, log_score=None, log_note=outcome.note)
        return replace(seen, log_score=known, log_note=f"as last read; since then: {outcome.note}")

    async def _ask_runtime(self, at: float, health: Sequence[ProcessHealth]) -> tuple[ResolvedQuery, ...]:
        weights = self._config.score
        if not weights.gc_pause and not weights.memory_growth:
            return ()
        canary, stable = self._tracks(self._recent.total(at))
        for host in canary - self._canaries:
            self._runtime.forget(host)
        self._canaries = canary
        hosts = (*sorted(canary), *sorted(stable)[:_STABLE_RUNTIMES])
        answer = await self._metrics.runtime(self._config.app, self._config.env, hosts, at)
        self._runtime.add(answer)
        self._runtime.add_health(health, at)
        if canary:
            gap = 0.0 if self._watched is None else min(max(0.0, at - self._watched), _UNWATCHED)
            self._watched, self._state = at, replace(self._state, watched=self._state.watched + gap)
        return answer.queries

    def _tracks(self, recent: Window | None) -> tuple[frozenset[str], frozenset[str]]:
        """Hosts by what they run now: edges keep the stable counters of a host that has become a canary."""
        canary = _hosts(recent.canary) if recent else frozenset()
        return canary, (_hosts(recent.stable) if recent else frozenset()) - canary

    def _learn(self, past: Sequence[CounterSnapshot]) -> None:
        """φ, a reference for the score and, without an SLO, what is slow, from the hour before the rollout."""
        stable = self._config.stable
        pairs = [(a, b) for a, b in pairwise(past) if b.at > a.at and len(bounds_of(a, b, past[-1])) < 2]
        gains = [gained(a, b) for a, b in pairs]
        first = [window_of(found, canary="", stable=stable, slow_above=None).stable for found in gains]
        total = sum_tracks(first)
        if total and usable(total, self._config.min_requests):
            self._state = replace(self._state, reference=total)
            self._learn_slow(total)
        slow, late = self._state.evidence.slow_above, self._state.evidence.late_above
        windows = [self._past(found, slow, late) for found in gains]
        evidence = learn(self._state.evidence, windows)
        self._state = replace(self._state, evidence=learn_endpoints(evidence, windows, len(self._config.endpoints)))

    def _past(self, found: Gained, slow: float | None, late: float | None) -> Window:
        new = window_of(found, canary="", stable=self._config.stable, slow_above=slow, late_above=late)
        return self._endpoints.counted(new, found)

    def _learn_slow(self, stable: TrackWindow | None) -> None:
        """Fix what is slow without an SLO, and late with one, once and for all: at or near stable's 95th percentile."""
        known = self._state.evidence
        p95 = quantile(0.95, stable.latency) if stable is not None else None
        if stable is None or p95 is None:
            return
        if known.slow_above is None:
            self._slow_above(max(QUICK, p95.value))
        elif known.late_above is None and self._config.looks_at_late:
            exact = self._config.rules < NEARER
            late = max(QUICK, p95.value if exact else near(p95.value, stable.latency))
            self._state = replace(self._state, evidence=replace(known, late_above=late))

    def _slow_above(self, value: float) -> None:
        self._state = replace(self._state, evidence=replace(self._state.evidence, slow_above=value))


def _hosts(track: TrackWindow | None) -> frozenset[str]:
    return frozenset(host.host for host in track.hosts) if track else frozenset()
