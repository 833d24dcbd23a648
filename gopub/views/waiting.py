"""Hosts that a rollout waits for while it changes what they run: named again where nothing else is told. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gopub.clock import SILENT
from gopub.journal import events as ev
from gopub.release.progress import Stage, still

_MOST_NAMES = 3
"""Hosts that are named; of more only how many."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The hosts of the switch that is under way, since when it was seen, and whether it is the way back."""

    hosts: tuple[str, ...] = ()
    since: float = 0.0
    back: bool = False

    def after(self, event: ev.Event, now: float) -> Waiting:
        """With one more entry, seen at ``now``."""
        match event:
            case ev.SwitchIntended(hosts=hosts, track=track):
                return Waiting(hosts, now, back=track != "canary")
            case ev.HostSwitched(host=host) | ev.HostFailed(host=host) | ev.HostOwed(host=host):
                return replace(self, hosts=tuple(name for name in self.hosts if name != host))
            case ev.GoingBack() if not self.back:
                return Waiting()
            case ev.Closed():
                return Waiting()
            case _:
                return self

    def says(self, now: float, told: float) -> str:
        """``still waiting for app2 to …, 12s`` where nothing was told for long; empty where nothing is to be said."""
        if not self.hosts or now - max(self.since, told) < SILENT:
            return ""
        names = ", ".join(self.hosts) if len(self.hosts) <= _MOST_NAMES else f"{len(self.hosts)} hosts"
        what = "the release before" if self.back else "the new release"
        return still([Stage(f"waiting for {names} to run {what} and pass the health check", self.since)], now)
