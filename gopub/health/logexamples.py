"""A line of each class of error lines, so that a person knows what a class is: short, and without what is secret.

It is kept as long as the rollout's journal is, and read by more people than the log: so what names a person or lets
somebody in is masked before it is kept, whether anybody has said that it is a secret or not. What has no such shape,
such as a name within a sentence, is not found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gopub.health.logmasks import MASKS
from gopub.health.samples import LogCounts
from gopub.telemetry import REDACTOR, one_line

MOST = 40
"""Classes of a rollout that have one; those that came first."""
LONG = 160
"""Characters of a line that are kept."""
LOOKED_AT = 512
"""Characters that are looked through for what is to be masked."""


def examples(known: Mapping[str, str], read: Iterable[LogCounts], order: Iterable[str]) -> Mapping[str, str]:
    """With a line of each class of ``order`` that had none, while there is room."""
    wanted, found = set(order) - known.keys(), dict(known)
    for counts in read:
        for name, text in counts.examples.items():
            if name in wanted and name not in found and len(found) < MOST:
                found[name] = masked(text)
    return found if len(found) > len(known) else known


def of_classes(classes: Iterable[str]) -> Iterator[str]:
    """Those of an event's classes that say what it is; its level does not."""
    return (name for name in classes if not name.startswith("level:"))


def masked(text: str) -> str:
    """A line as it may be kept."""
    shown = text[:LOOKED_AT]
    if len(text) > LOOKED_AT:
        shown = shown.rpartition(" ")[0]  # half of a secret has another shape
    shown = REDACTOR.clean(shown)
    for pattern, instead in MASKS:
        shown = pattern.sub(instead, shown)
    shown = one_line(shown)
    return shown if len(shown) <= LONG else f"{shown[: LONG - 1]}…"
