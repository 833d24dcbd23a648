"""Which releases an env was well with: what its journal can say of the folders that its hosts hold. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gopub.fleet.keeping import Known
from gopub.journal import events as ev
from gopub.journal.state import fold_env
from gopub.plan.model import Outcome

NO_NEWS = (Outcome.REFUSED, Outcome.MENDED)
"""Ends of rollouts that tried no release."""


def known_at(events: Sequence[ev.Event], now: str, before: str) -> Known:
    """What an env's stream tells when ``now`` has taken the place of ``before``.

    Good are releases that were stable and were not found bad since; bad are the others that somebody tried. What
    `gopub rollback` would take now stays: the newest good one before ``now``, and ``before``, which it takes where
    the journal is gone.
    """
    bad = fold_env(events).quarantine - {now}
    tried = {event.release for event in events if isinstance(event, ev.EnvOpened)}
    older = [release for release in stable_ones(events) if release != now and release not in bad]
    good = tuple(dict.fromkeys((now, *older, *([before] if before and before not in bad else []))))
    return Known(good, (bad | tried) - set(good), frozenset({*good[:2], before} - {""} - bad))


def stable_ones(events: Sequence[ev.Event]) -> list[str]:
    """What was stable after each rollout that tried something, the last one first."""
    closed = [event for event in events if isinstance(event, ev.EnvClosed) and event.outcome not in NO_NEWS]
    return [event.stable for event in reversed(closed) if event.stable]
