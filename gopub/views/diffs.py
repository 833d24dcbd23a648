"""What a rollout would change on which host, in words first, then line by line; for people and for programs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gopub.canon import Json
from gopub.plan.model import ReleaseRef
from gopub.views.amounts import count, names


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One rendered file: its digest before and after (empty: it is not there), and the hunks, masked.

    Without ``hunks`` a file that changes has ``unread``: why its text is not shown.
    """

    path: str
    before: str
    after: str
    hunks: tuple[str, ...] = ()
    unread: str = ""

    @property
    def changes(self) -> bool:
        """Whether it would be another file."""
        return self.before != self.after

    @property
    def says(self) -> str:
        """What becomes of it."""
        if not self.before:
            return f"{self.path} is new"
        return f"{self.path} {'goes' if not self.after else 'changes'}"

    def to_json(self) -> dict[str, Json]:
        """For ``--json``."""
        return {"path": self.path, "before": self.before, "after": self.after, "diff": list(self.hunks),
                "unread": self.unread}  # fmt: skip


@dataclass(frozen=True, slots=True)
class HostDiff:
    """What would change on one host; ``way`` is how it would get there, ``notes`` what else a person must know."""

    host: str
    runs: ReleaseRef | None
    binary_before: str
    binary_after: str
    unit: FileDiff | None
    files: tuple[FileDiff, ...] = ()
    way: str = ""
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything would be another than it is."""
        return self.binary_before != self.binary_after or bool(self.way) or any(one.changes for one in self.all_files)

    @property
    def all_files(self) -> tuple[FileDiff, ...]:
        """The unit first, then the files by their paths."""
        return (*((self.unit,) if self.unit else ()), *self.files)

    @property
    def says(self) -> str:
        """The host's part of the words, without its name."""
        if not self.changes:
            return "; ".join(("nothing changes", *self.notes))
        said = []
        if not self.binary_before:
            said.append("it comes here for the first time")
        elif self.binary_before != self.binary_after:
            said.append(f"the binary changes ({self.binary_before[:12]} to {self.binary_after[:12]})")
        else:
            said.append("the binary stays")
        said += [one.says for one in self.all_files if one.changes]
        if self.unit and not self.unit.changes:
            said.append("the unit stays")
        return "; ".join((", ".join(said), *((f"way: {self.way}",) if self.way else ()), *self.notes))

    def to_json(self) -> dict[str, Json]:
        """For ``--json``."""
        runs: Json = {"release": self.runs.release, "version": self.runs.version} if self.runs else None
        return {
            "host": self.host,
            "changes": self.changes,
            "runs": runs,
            "binary": {"before": self.binary_before, "after": self.binary_after},
            "unit": self.unit.to_json() if self.unit else None,
            "files": [one.to_json() for one in self.files],
            "way": self.way,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class TableDiff:
    """What the edges of a group hold now, and what they would at the end; both as one line."""

    edge: str
    before: str
    after: str

    @property
    def changes(self) -> bool:
        """Whether the edge would get another table."""
        return self.before != self.after

    def to_json(self) -> dict[str, Json]:
        """For ``--json``."""
        return {"edge": self.edge, "changes": self.changes, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class Differences:
    """All of it; ``silent`` are hosts that did not answer, and why."""

    app: str
    env: str
    release: ReleaseRef
    stable: ReleaseRef | None
    hosts: tuple[HostDiff, ...]
    tables: tuple[TableDiff, ...] = ()
    silent: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    revision: str = ""
    """Under which name the edges would count the stable release with other files; empty where it is another release."""

    @property
    def changes(self) -> bool:
        """Whether anything would change, as far as it was seen."""
        return any(one.changes for one in self.hosts) or any(one.changes for one in self.tables)

    def to_json(self) -> dict[str, Json]:
        """As gopub/schemas/diff.v1.json says."""
        return {
            "schema_version": 1,
            "app": self.app,
            "env": self.env,
            "release": {"release": self.release.release, "version": self.release.version},
            "stable": {"release": self.stable.release, "version": self.stable.version} if self.stable else None,
            "changes": self.changes,
            "hosts": [one.to_json() for one in self.hosts],
            "tables": [one.to_json() for one in self.tables],
            "silent": [{"host": host, "why": why} for host, why in self.silent],
            "notes": list(self.notes),
            "revision": self.revision or None,
        }

    def lines(self) -> list[str]:
        """For people: the words of each host, of the edges, then the text of what changes; alike hosts once."""
        stable = f"where {_ref(self.stable)} is stable" if self.stable else "where nothing is stable"
        changing = sum(one.changes for one in self.hosts)
        many = f"{changing or 'none'} of {count(len(self.hosts))} host{'s' if len(self.hosts) != 1 else ''}"
        counted = f"; they would be counted as revision {self.revision}" if self.revision else ""
        told = [f"{self.app} {_ref(self.release)} into {self.env}, {stable}: {many} would change{counted}"]
        groups = _alike(self.hosts)
        told += [f"  {names(who)}: {one.says}" for who, one in groups]
        told += [f"  {one.edge}: {_table(one)}" for one in self.tables]
        told += [f"  {host}: not seen: {why}" for host, why in self.silent]
        told += [f"  note: {note}" for note in self.notes]
        for who, one in groups:
            for file in one.all_files:
                if file.changes:
                    told += ["", *_text(file, names(who))]
        return told


def _alike(hosts: Sequence[HostDiff]) -> list[tuple[list[str], HostDiff]]:
    groups: dict[HostDiff, list[str]] = {}
    for one in hosts:
        groups.setdefault(replace(one, host=""), []).append(one.host)
    return [(who, one) for one, who in groups.items()]


def _ref(ref: ReleaseRef) -> str:
    return f"{ref.version} ({ref.short})" if ref.version != ref.short else ref.short


def _table(one: TableDiff) -> str:
    return f"the table changes from {one.before} to {one.after}" if one.changes else f"the table stays: {one.before}"


def _text(file: FileDiff, who: str) -> list[str]:
    if file.unread:
        digests = f"{file.before[:12] or 'none'} to {file.after[:12] or 'none'}"
        return [f"{who}: {file.path} ({digests}): {file.unread}"]
    before, after = (f"{who}: {file.path}" if digest else "/dev/null" for digest in (file.before, file.after))
    return [f"--- {before}", f"+++ {after}", *file.hunks]
