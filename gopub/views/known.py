"""Every rollout that the journal knows, as far as it takes to choose one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.state import fold_env
from gopub.journal.store import Journal


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rollout as far as it takes to choose one; ``active`` says whether its env still waits for its end."""

    rollout: str
    app: str
    env: str
    active: bool

    @property
    def says(self) -> str:
        """For people: which one it is."""
        return f"{self.rollout} ({self.app} into {self.env})"


def candidates(journal: Journal) -> list[Candidate]:
    """Every rollout that the envs' own streams tell of, oldest first; a stream that cannot be read hides no other."""
    found: list[tuple[int, Candidate]] = []
    for stream in journal.streams("env/"):
        try:
            entries = journal.read(stream)
        except GopubError:
            continue
        found += _of_env(stream, entries)
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _of_env(stream: str, entries: Sequence[Entry]) -> Iterator[tuple[int, Candidate]]:
    _, app, env = stream.split("/", 2)
    active = fold_env(entry.event for entry in entries).active
    for entry in entries:
        if isinstance(entry.event, ev.EnvOpened):
            rollout = entry.event.rollout
            yield entry.seq, Candidate(rollout, app, env, rollout == active)
