"""How far a rollout or a way back has come with its hosts: which of how many. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gopub.journal import events as ev
from gopub.journal.state import State
from gopub.plan.model import Plan
from gopub.views.events import more, stopped, tell
from gopub.views.plan import named


@dataclass(frozen=True, slots=True)
class Progress:
    """The plan, where its entry was seen, and the hosts that a stage is done with.

    ``touched`` are those that the release was begun on, whether it came up there or not; ``going`` the hosts that are
    to be brought back, None before the rollout turned around.
    """

    plan: Plan | None = None
    staged: frozenset[str] = frozenset()
    canary: frozenset[str] = frozenset()
    touched: frozenset[str] = frozenset()
    going: frozenset[str] | None = None
    back: frozenset[str] = frozenset()

    def after(self, event: ev.Event) -> Progress:  # noqa: PLR0911 - one case per kind, each a line
        """With one more entry."""
        match event:
            case ev.Planned(plan=plan):
                return replace(self, plan=plan)
            case ev.HostStaged(host=host):
                return replace(self, staged=self.staged | {host})
            case ev.SwitchIntended(hosts=hosts, track="canary"):
                return replace(self, touched=self.touched | set(hosts))
            case ev.HostSwitched(host=host, track="canary"):
                return replace(self, canary=self.canary | {host}, touched=self.touched | {host})
            case ev.GoingBack():
                return replace(self, going=self.touched)
            case ev.HostSwitched(host=host) | ev.HostOwed(host=host) if self.going is not None:
                return replace(self, back=self.back | {host}, going=self.going | {host})
            case _:
                return self


def progress_of(state: State) -> Progress:
    """As it stands after the entries of ``state``."""
    going = frozenset(state.canary) if state.back else None
    staged = frozenset(name for name, host in state.hosts.items() if host.staged)
    canary = frozenset(state.canary)
    return Progress(state.plan, staged, canary, canary, going)


def say_progress(progress: Progress, event: ev.Event, judged: ev.Judged | None = None) -> tuple[str, ...]:
    """The lines that tell of an entry, ``progress`` being what it made; empty where people need not see it."""
    if progress.plan and isinstance(event, ev.SwitchIntended) and event.track == "stable":
        return (f"bringing back {', '.join(event.hosts)}",) if event.hosts else ()
    told = tell(event, judged)
    if not told:
        return ()
    if progress.plan and isinstance(event, ev.HostSwitched) and event.track != "canary":
        told = f"{event.host} is back on {named(progress.plan, event.to)}" if event.to else stopped(event.host)
    return (f"{told}{_of_how_many(progress, event)}", *more(event, progress.plan.unpinned if progress.plan else ()))


def _of_how_many(progress: Progress, event: ev.Event) -> str:
    hosts = len(progress.plan.hosts) if progress.plan else 0
    match event:
        case ev.HostStaged() if hosts:
            return f" ({len(progress.staged)} of {hosts})"
        case ev.HostSwitched(track="canary") if hosts:
            return f" ({len(progress.canary)} of {hosts})"
        case ev.HostSwitched() | ev.HostOwed() if progress.going:
            return f" ({len(progress.back)} of {len(progress.going)})"
        case _:
            return ""


def say_begin(state: State) -> str:
    """What a way back is about to do: from what to what, and on how many hosts."""
    plan = state.plan
    if plan is None:
        return f"rollback {state.rollout}: nothing was changed yet, so nothing is brought back"
    hosts = len(state.canary)
    what = f"{hosts} host{'' if hosts == 1 else 's'} to bring back" if hosts else "no host to bring back"
    begun = f"rollback {state.rollout}: {plan.app} in {plan.env} from {plan.release.version}"
    if plan.stable is None:
        return f"{begun}; there was nothing before, so it is stopped: {what}"
    return f"{begun} to {plan.stable.version}, {what}"
