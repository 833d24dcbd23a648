"""What a way back waits for, where it goes on for longer than a moment: said once, then only when it changed. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from gopub.journal import events as ev
from gopub.views.amounts import names

MOMENT = 3.0
"""Seconds in which most of it is over; what takes no longer needs no line."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """What is waited for, in words that go on ``waiting for``; since when; and what was said last."""

    what: str = ""
    since: float = 0.0
    said: str = ""
    hosts: tuple[str, ...] = ()

    def on(self, what: str, now: float) -> Awaited:
        """Waiting for this from now on; for the same as before, since then. Nothing is an empty text."""
        return self if what == self.what else replace(self, what=what, since=now)

    def after(self, event: ev.Event, now: float) -> Awaited:
        """With one more entry of the rollout that goes back, seen at ``now``."""
        match event:
            case ev.GoingBack() | ev.TableIntended():
                return self.on(EDGES, now) if not self.hosts else self
            case ev.TrafficOff() | ev.TablePut():
                return self.on(_running(self.hosts), now)
            case ev.SwitchIntended(hosts=hosts):
                return replace(self, hosts=hosts).on(_running(hosts), now)
            case ev.HostSwitched(host=host) | ev.HostOwed(host=host):
                left = tuple(name for name in self.hosts if name != host)
                return replace(self, hosts=left).on(_running(left), now)
            case ev.Closed():
                return replace(self, hosts=()).on("", now)
            case _:
                return self

    def line(self, now: float) -> str:
        """``waiting for app2 …``, where that is for longer than a moment and was not said yet; else empty."""
        return f"waiting for {self.what}" if self.what and self.what != self.said and now - self.since >= MOMENT else ""

    def told(self) -> Awaited:
        """The line was said."""
        return replace(self, said=self.what)


EDGES = "the edges to take the table that sends everybody to what was there before"


def answering(hosts: Collection[str]) -> str:
    """Hosts that were asked what they run, and have not said it."""
    return f"{names(list(hosts))} to say what {'it runs' if len(hosts) == 1 else 'they run'}" if hosts else ""


def _running(hosts: Collection[str]) -> str:
    if not hosts:
        return ""
    return f"{names(list(hosts))} to end open requests, run the release before and pass the health check"
