"""The recent past: the last minute of windows, or further back until enough canary requests are together."""

from __future__ import annotations

from dataclasses import replace

from gopub.health.samples import TrackWindow, Window, sum_windows

REACH = 10
"""How many times the horizon the recent past may reach back at most; older counts say nothing of now."""


class Recent:
    """Keeps the newest windows of one driver."""

    def __init__(self, horizon: float, min_requests: int) -> None:
        """Seconds, and canary requests."""
        self._horizon, self._min_requests = horizon, min_requests
        self._windows: list[Window] = []

    def add(self, window: Window) -> None:
        """Take the newest window and forget what is too old, or was measured by other latency bounds.

        Endpoints are left out: nothing but their evidence is made of them, and that is folded window by window.
        """
        window = replace(window, canary=_plain(window.canary), stable=_plain(window.stable))
        bounds = _bounds(window)
        if bounds:
            self._windows = [kept for kept in self._windows if _bounds(kept) in ((), bounds)]
        self._windows = [kept for kept in self._windows if kept.end <= window.end]  # else the clock was set back
        self._windows.append(window)
        limit = window.end - REACH * self._horizon
        self._windows = [kept for kept in self._windows if kept.end > limit]

    def total(self, at: float) -> Window | None:
        """The sum of the recent windows as of ``at``."""
        chosen: list[Window] = []
        requests = 0
        for window in reversed(self._windows):
            if window.end <= at - self._horizon and requests >= self._min_requests:
                break
            chosen.append(window)
            requests += window.canary.attempts if window.canary else 0
        return sum_windows(reversed(chosen))


def _plain(track: TrackWindow | None) -> TrackWindow | None:
    return replace(track, endpoints=()) if track and track.endpoints else track


def _bounds(window: Window) -> tuple[float, ...]:
    """Of both tracks, for they are counted by the same edges; empty where nothing was timed."""
    return next(
        (track.latency.bounds for track in (window.canary, window.stable) if track and track.latency.bounds), ()
    )


def usable(track: TrackWindow | None, min_requests: int) -> bool:
    """Whether a track has enough timed requests to be held something against."""
    return track is not None and min(track.attempts, track.latency.total) >= min_requests
