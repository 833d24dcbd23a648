"""Which release folders of a host go when it is pruned. Pure.

What was good is counted, not what is there: a release that failed, was withdrawn or is quarantined says nothing to go
back to, so it goes before any good one, however new it is. A host cannot know what was good, for it only sees what it
was told to run; the journal knows, and tells it in ``Known``. Of what the journal never saw (it may be a new one, and
the folders of before it) nobody can say that it was bad: it counts as good, after all that is known to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SHORT = 12
"""Characters of a release id that name its folder."""


@dataclass(frozen=True, slots=True)
class Known:
    """Which releases an env was well with, the last one first, which were bad, and which must stay in any case."""

    good: tuple[str, ...] = ()
    bad: frozenset[str] = frozenset()
    stays: frozenset[str] = frozenset()


def surplus(held: Sequence[str], *, now: str, previous: str, keep: int, known: Known) -> tuple[str, ...]:
    """The folders to remove of ``held`` (the newest first), once ``now`` runs and ``previous`` ran before it.

    ``keep`` counts releases. One that is kept keeps its newest folder, which is the one that a rollback takes, and
    those of ``now`` and ``previous``. A bad release goes, even where it was the previous one, unless it is what runs.
    """
    bad = {_short(release) for release in known.bad} - {now[:SHORT]}
    newest: dict[str, str] = {}
    for name in held:
        newest.setdefault(name[:SHORT], name)
    good = [release for release in newest if release not in bad]
    kept = set(_ranked(good, now, known)[: max(keep, 1)]) | {_short(release) for release in known.stays}
    stays = {name for release, name in newest.items() if release in kept} | {now}
    if previous[:SHORT] not in bad:
        stays.add(previous)
    return tuple(name for name in held if name not in stays)


def _ranked(there: Sequence[str], now: str, known: Known) -> list[str]:
    """Releases that are there, from the one that stays longest: what runs, the good ones, the newest of the rest."""
    wanted = dict.fromkeys((now[:SHORT], *(_short(release) for release in known.good), *there))
    return [release for release in wanted if release in there]


def _short(release: str) -> str:
    return release[:SHORT]
