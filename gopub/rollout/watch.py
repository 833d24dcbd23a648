"""After the last step: the promoted release is watched, and brought back where it breaks what it promised.

The release serves everywhere, edges and hosts are settled, and the folder of the release before lies on each host: the
way back is the usual one, with what is there. A look that finds nothing out, a journal or metrics that are away, and a
fault of ours never bring it back; a person, or a breach that stands for ``TWICE`` looks and is the release's doing, do.
The time is watched time, by all drivers together. A hold lets the watch go on, a rollout that begins ends it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gopub.errors import GopubError, LockedError
from gopub.health.counters import disagreement, gained, merged
from gopub.health.course import Course, slice_of
from gopub.health.edges import only_ours
from gopub.health.observation import Totals
from gopub.health.samples import CounterSnapshot, NoData
from gopub.health.wire import from_json
from gopub.journal import events as ev
from gopub.journal.transitions import Phase
from gopub.judge.after import Finding, Found, Rules, Seen, look
from gopub.judge.gates import UNWATCH, held_until, hold_of
from gopub.plan.model import Outcome
from gopub.rollout import hosts
from gopub.rollout.bake import healths, note_hold
from gopub.rollout.box import Trouble, obey_abort
from gopub.rollout.close import close
from gopub.rollout.judging import judging
from gopub.rollout.lease import QUICK
from gopub.rollout.run import Run
from gopub.rollout.turn import turn_back
from gopub.telemetry import log
from gopub.units import say_about, say_seconds

RULE = 8
"""The number by which people are told of a way back that the watch began."""
TWICE = 2
"""Looks in a row that have to find the breach."""
LOOKS, LONGEST_LOOK = 20, 15.0
"""So many looks a watch at the least, and seconds between two of them at the most."""
RETELL = 60.0
"""Seconds after which a finding that did not change is written again: so much of a watch is lost with its driver."""

_log = log("watch")


def is_watched(run: Run) -> bool:
    """Whether the promoted release is watched now."""
    return run.state.phase is Phase.WATCHING


def begin(run: Run) -> None:
    """Write that the watch begins, once the release is settled; without a watch nothing happens.

    A first release is watched and never taken back.
    """
    watch = run.ports.environment.rollout.watch
    if run.state.phase is Phase.SETTLING and watch is not None:
        then = watch.then if run.plan.stable else "alarm"  # nothing to go back to: that would end the service
        run.record(ev.WatchBegun(run.ports.clock.now(), watch.for_, then))


async def watch(run: Run, *, while_held: bool = False) -> None:
    """Watch until the time is over, a person or a rollout ends it, or the release goes back.

    ``while_held`` stops as soon as nobody holds it any more, for a driver that somebody else goes on for.

    Raises:
        LockedError: somebody else drives now.
    """
    if run.state.phase is not Phase.WATCHING or run.state.watch is None:
        return
    run.ports.journal.wait_at_most(QUICK)  # whoever waits for it does not look; what it did not take is written later
    watching = _Watch(run, run.state.watch, while_held)
    try:
        while not await _ended(run, watching):
            await run.ports.clock.sleep(watching.pause)
    except Trouble as trouble:
        await turn_back(run, trouble.outcome, trouble.rule, trouble.reason)
        return
    if run.state.closed:
        await hosts.let_remember(run)


async def _ended(run: Run, watching: _Watch) -> bool:
    """Watch to the end and write it; whether that came about. A journal that is away is waited for, and watched on."""
    if run.state.closed is None:
        watching.over = await watching.until_over()
    if watching.over is None:
        return True
    try:
        close(run, Outcome.PROMOTED, watching.over)
    except GopubError as error:
        if error.code != "GP701":
            raise
        run.alarm(f"the watch is over, and that could not be written yet: {error.problem}")
        return False
    return True


@dataclass
class _Watch:
    """One driver's part of a watch."""

    run: Run
    begun: ev.WatchBegun
    while_held: bool
    over: str | None = None
    course: Course = field(default_factory=Course)
    last: CounterSnapshot | None = None
    bad: int = 0
    asked: tuple[ev.Asked, ...] = ()

    def __post_init__(self) -> None:
        """Go on from what the journal says was watched already."""
        before = self.run.state.watched
        self.seconds = before.seconds if before else 0.0
        self.told, self.told_at = "", -RETELL
        usual = self.run.ports.environment.judge.look or LONGEST_LOOK
        self.pause = min(usual, max(0.05, self.begun.seconds / LOOKS))

    async def until_over(self) -> str | None:
        """Look until it is over; gives why it is, empty where its time simply is, None where others go on."""
        clock = self.run.ports.clock
        while True:
            began = clock.now()
            self._obey()
            self._heed(await self._look(began))
            if (why := self._ended()) is not None:
                return why
            if self.while_held and hold_of(self.asked) is None:
                return None
            await clock.sleep(self.pause)
            self.seconds += min(max(0.0, clock.now() - began), 2 * self.pause + LONGEST_LOOK)

    async def _look(self, now: float) -> Found:
        """One look; whatever goes wrong with it is a look without data."""
        try:
            return await self._seen(now)
        except LockedError:
            raise
        except Exception as error:  # noqa: BLE001 - a look that fails must bring nothing back
            _log.exception("%s: a look of the watch failed", self.run.rollout)
            return Found(Finding.BLIND, f"no data: the look failed: {error}")

    async def _seen(self, now: float) -> Found:
        run, state = self.run, self.run.state
        names = tuple(name for name, host in state.hosts.items() if host.track == "canary" and not host.owed)
        health = await healths(run, names)
        metrics = run.ports.metrics if run.plan.mode == "judged" else None
        no_data = "" if metrics is None else await self._count(now)
        slo = run.ports.environment.judge.slo
        rules = Rules(slo.error_rate, slo.latency_p95 is not None, run.ports.environment.judge.min_requests,
                      self.begun.at)  # fmt: skip
        return look(Seen(now, self.course, tuple(health), _past(run), no_data, metrics is None), rules)

    async def _count(self, now: float) -> str:
        """Take in what was counted since the look before; why nothing could be."""
        run, plan = self.run, self.run.plan
        if run.ports.metrics is None:
            return "there are no metrics"
        releases = tuple(one.short for one in (plan.stable, plan.release) if one)
        answer = await run.ports.metrics.counters(plan.app, plan.env, releases, now)
        if isinstance(answer, NoData):
            return answer.reason
        ours = only_ours(answer, run.edges.known)
        wrong = ours if isinstance(ours, str) else disagreement(ours)
        if isinstance(ours, str) or wrong:
            return wrong or ""
        before, self.last = self.last, merged(self.last, ours) if self.last else ours
        if before is not None and ours.at > before.at:
            slow_above = run.ports.environment.judge.slo.latency_p95
            self.course = self.course.plus(slice_of(gained(before, ours), plan.release.short, slow_above))
        return ""

    def _obey(self) -> None:
        """Hear what people asked; a journal that is away says nothing, and keeps nobody from watching.

        Raises:
            Trouble: withdrawn, as somebody asked.
            LockedError: somebody else drives now.
        """
        try:
            obey_abort(self.run)
            self.asked = self.run.asked()
            note_hold(self.run)
        except LockedError:
            raise
        except GopubError as error:
            _log.debug("%s: what people ask is not known: %s", self.run.rollout, error.problem)

    def _heed(self, found: Found) -> None:
        """Write what is new, and turn around where a breach stands that is the release's doing.

        Raises:
            Trouble: rolled back by the watch.
        """
        now = self.run.ports.clock.now()
        self.bad = self.bad + 1 if found.finding is Finding.BREACH else 0
        if found.finding != self.told or now - self.told_at >= RETELL:
            self.told, self.told_at = found.finding, now
            self._write(found, now)
        if self.bad >= TWICE and self.begun.then == "rollback":
            raise Trouble(Outcome.ROLLED_BACK, RULE, f"{found.says}; found {say_about(now - self.begun.at)} after the "
                          "last step, while the promoted release was watched")  # fmt: skip

    def _write(self, found: Found, now: float) -> None:
        """A journal that is away keeps nobody from watching."""
        loud = found.finding in (Finding.BREACH, Finding.OUTSIDE)
        if loud:
            note = "" if found.finding is Finding.BREACH else "; it is not taken back for that"
            self.run.alarm(f"watched after the last step: {found.says}{note}")
        try:
            self.run.record(ev.Watched(found.finding.value, found.says, round(self.seconds, 3), now))
        except LockedError:
            raise
        except GopubError as error:
            self.run.alarm(f"what the watch found could not be written: {error.problem}")
            self.told = ""

    def _ended(self) -> str | None:
        run, plan = self.run, self.run.plan
        ends = [one for one in self.asked if one.what == UNWATCH]
        if ends:
            return f"the watch was ended by {ends[-1].actor or 'somebody'}: {ends[-1].reason or 'no reason given'}"
        hold = hold_of(self.asked)
        if hold and run.ports.clock.now() < held_until(plan, run.state.reached, hold):
            return None
        if self.seconds < self.begun.seconds:
            return None
        told = run.state.watched
        if told is not None and told.finding != Finding.GOOD:
            return f"watched for {say_seconds(self.begun.seconds)}; at its end: {told.says}"
        return ""


def _past(run: Run) -> Totals:
    """What stable and the canary answered while it was rolled out, as the judge remembers it."""
    memory = judging(run).memory()
    kept = memory.get("rollout_totals") if isinstance(memory, dict) else None
    return from_json(Totals, kept) if kept is not None else Totals()
