"""How journal entries are told to people: one line each, pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from gopub.journal import events as ev
from gopub.journal.hooks import HookEnded, HookIntended
from gopub.spec.decides import IS_THE_PROJECTS
from gopub.units import say_about, say_seconds
from gopub.views.plan import say_unpinned
from gopub.views.verdict import because, verdict_view


def tell(event: ev.Event, judged: ev.Judged | None = None) -> str | None:  # noqa: C901, PLR0911, PLR0912 - one case for each event
    """What happened, as one line; None for what people need not see. ``judged`` is the last verdict before it."""
    match event:
        case ev.Opened():
            return f"rollout {event.rollout}: {event.app} {event.version} into {event.env}"
        case ev.SeatTaken(why=why) if why != "start":
            run = f", run {event.run}" if event.run else ""
            return f"seat taken by {event.driver} ({why}), epoch {event.epoch}{run}"
        case ev.Admitted():
            return f"admitted: {len(event.checks)} checks passed"
        case ev.Refused():
            return f"refused: {'; '.join(event.reasons)}"
        case ev.Planned(plan=plan):
            steps = " → ".join(step.says for step in plan.steps)
            overruled = "".join(f"; {note}" for note in plan.notes if IS_THE_PROJECTS in note)
            loose = f", {say_unpinned(plan)}" if plan.unpinned else ""
            return f"plan ({plan.mode}): {len(plan.hosts)} hosts{loose}; {steps}{overruled}"
        case ev.Waiting():
            return f"waits: {event.why}"
        case ev.HostStaged():
            return f"staged on {event.host}" if event.changed else None
        case ev.HostSwitched() if event.track == "canary":
            return f"{event.host} runs the new release, proven by its process"
        case ev.HostSwitched():
            return f"{event.host} is back on {event.to}" if event.to else stopped(event.host)
        case ev.HostFailed():
            return f"{event.host}: {event.verb} failed: {event.code} {event.message}"
        case ev.HostOwed():
            return f"{event.host} is owed: {event.why}"
        case ev.TablePut():
            bad = [f"{edge}: {said}" for edge, said in event.acks.items() if said != "ok"]
            return f"edges: {'; '.join(bad)}" if bad else None
        case _:
            return _tell_step(event, judged)


def more(event: ev.Event, unpinned: Collection[str] = ()) -> tuple[str, ...]:
    """The lines that follow the one of ``tell``: of a verdict, its rule and figures, and what to do next."""
    return verdict_view(event, unpinned).lines[1:] if isinstance(event, ev.Judged) else ()


def stopped(host: str) -> str:
    """What a way back came to on a host that had nothing before."""
    return f"{host} is stopped: there was nothing before"


def last_of(history: Iterable[ev.Event], kind: type[ev.Event]) -> ev.Event | None:
    """The last event of a kind."""
    return next((event for event in reversed(tuple(history)) if isinstance(event, kind)), None)


def _tell_step(event: ev.Event, judged: ev.Judged | None) -> str | None:  # noqa: C901, PLR0911 - as above
    match event:
        case HookIntended() | HookEnded():
            return _hook(event)
        case ev.StepReached():
            return f"step {event.step + 1} reached, baking"
        case ev.Judged():
            return f"step {event.step + 1}: {verdict_view(event).says}"
        case ev.StepPassed():
            return f"step {event.step + 1} passed ({event.by})"
        case ev.Held():
            until = datetime.fromtimestamp(event.until, UTC)
            why = f": {event.reason}" if event.reason else ""
            return f"held by {event.by}{why}; goes back at {until:%Y-%m-%d %H:%M:%S} UTC unless resumed"
        case ev.Resumed():
            return f"resumed by {event.by}{': ' + event.reason if event.reason else ''}"
        case ev.GoingBack():
            return _going_back(event, judged)
        case ev.TrafficOff():
            return _traffic_off(event)
        case ev.Settling():
            return "settling: stable everywhere"
        case ev.Closed():
            names = (*event.owed, *(f"edge {edge}" for edge in event.owed_edges))
            owed = f"; owed: {', '.join(names)}" if names else ""
            why = because(judged, event.reason)
            return f"{event.outcome.value}{': ' + why if why else ''}{owed}"
        case _:
            return _tell_watch(event)


def _tell_watch(event: ev.Event) -> str | None:
    match event:
        case ev.WatchBegun():
            return f"promoted everywhere, and watched for {say_seconds(event.seconds)}"
        case ev.Watched():
            return f"watched for {say_about(event.seconds)}, {event.finding}: {event.says}"
        case _:
            return None


def _hook(event: HookIntended | HookEnded) -> str:
    what = f"taking back the hook {event.name}" if event.undoes else f"the hook {event.name}"
    if isinstance(event, HookIntended):
        return f"{what} begins on {event.host}" if event.host else f"{what} begins beside the driver"
    return f"{what} {'ended well' if event.ok else 'failed: ' + event.said}"


def _going_back(event: ev.GoingBack, judged: ev.Judged | None) -> str:
    """Why, unless it was told a line above: by the verdict, or as failures of hosts."""
    if judged is not None and event.reason == judged.reason:
        return "going back, as that verdict says"
    return f"going back: {event.reason}" if event.reason else "going back for that"


def _traffic_off(event: ev.TrafficOff) -> str | None:
    """That no request goes to the canary any more, as far as edges confirm it; nothing where there is no edge."""
    if event.missed:
        missed = ", ".join(f"{edge} ({said})" for edge, said in event.missed.items())
        sure = (event.edges or 0) - len(event.missed)
        sure_of_it = f"{sure} of {event.edges} edges confirm that it is off"
        return f"traffic may still reach the canary through {missed}: {sure_of_it}"
    if event.weight:
        return f"the canary keeps {event.weight / 100:g}% of the traffic for now: stable cannot carry that"
    return None if event.edges == 0 else "traffic is off the canary"
