"""`gopub audit verify`: the journal's own chain, and what the hosts remember of it.

Whoever owns the journal's database can write a whole new chain, and nothing in it tells. Enrolled hosts keep the
journal's head with each order (`gopub.journal.remembered`), out of that owner's reach. Hosts are asked first and the
journal is walked then, so that a rollout under way is no difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from gopub.canon import Json, bounded
from gopub.errors import GopubError, InconclusiveError, RefusedError, UsageError
from gopub.fleet.host import Host
from gopub.fleet.orders import Order
from gopub.fleet.protocol import Fleet
from gopub.journal.heads import Chain
from gopub.journal.remembered import Compared, Remembered, compare, numbers, read_remembered
from gopub.journal.store import Journal
from gopub.rollout.survey import HOSTS_ANSWER_WITHIN, ask_all
from gopub.wiring import settings
from gopub.wiring.allowed import of_project
from gopub.wiring.naming import Elsewhere
from gopub.wiring.outside import open_ports
from gopub.wiring.ports import Ports
from gopub.wiring.project import Project, open_project

ANSWER = 30.0
"""Seconds for one host's memory."""


class Stands(StrEnum):
    """What a host has to say of the journal."""

    AGREES = "agrees"
    DIFFERS = "differs"
    NOTHING = "remembers nothing"
    UNPINNED = "unpinned"
    SILENT = "not reached"


@dataclass(frozen=True, slots=True)
class Witness:
    """One host of an env: what it remembers against the journal, or why it says nothing."""

    env: str
    host: str
    compared: Compared | None = None
    why: str = ""
    enrolled: bool = True

    @property
    def stands(self) -> Stands:
        """What it comes to."""
        if not self.enrolled:
            return Stands.UNPINNED
        if self.compared is None:
            return Stands.SILENT
        if self.compared.differs:
            return Stands.DIFFERS
        return Stands.AGREES if self.compared.same else Stands.NOTHING

    @property
    def says(self) -> str:
        """For people."""
        match self.stands:
            case Stands.UNPINNED:
                told = "unpinned: it remembers nothing, or `sign` of the ssh connection is missing here"
            case Stands.SILENT:
                told = f"not asked: {self.why}"
            case Stands.NOTHING:
                told = "remembers nothing of it yet"
            case _:
                told = self.compared.says if self.compared else ""
        return f"{self.host} ({self.env}): {told}"

    def to_json(self) -> dict[str, Json]:
        """For ``--json``."""
        found = self.compared.to_json() if self.compared else None
        return {"env": self.env, "host": self.host, "stands": self.stands.value, "why": self.why or None,
                "memory": found}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Audit:
    """The journal, and all who were asked about it."""

    chain: Chain
    witnesses: tuple[Witness, ...]
    since: str = ""

    def of(self, stands: Stands) -> tuple[Witness, ...]:
        """Those who stand so."""
        return tuple(one for one in self.witnesses if one.stands is stands)

    @property
    def vouched(self) -> int:
        """The newest entry that a host remembers as the journal has it; 0 where none does."""
        return max((one.compared.newest for one in self.witnesses if one.compared), default=0)

    @property
    def failed(self) -> GopubError | None:
        """GP488 where history differs, GP489 where nobody could tell; None where hosts remember it as it is."""
        differ, chain = self.of(Stands.DIFFERS), self.chain
        if differ or chain.breaks:
            broken = [f"the journal's chain breaks at {chain.breaks}"] if chain.breaks else []
            told = "; ".join([*broken, *(one.says for one in differ)])
            return RefusedError("GP488", f"history differs: {told}",
                                hint="keep the database as it is and find out who wrote to it; where an older state "
                                "was restored on purpose, --since TIME leaves out what was before")  # fmt: skip
        if not self.of(Stands.AGREES):
            why = "; ".join(one.says for one in self.witnesses) or "there is no host"
            return InconclusiveError("GP489", f"no host vouches for the journal: {why}",
                                     hint="the chain holds in itself, which its owner can see to; enrolled hosts "
                                     "remember it with each order")  # fmt: skip
        return None

    def lines(self) -> list[str]:
        """For people: the journal, then host by host."""
        chain = self.chain
        told = [
            f"journal: {chain.entries} entries, the chain holds" + (f" until {chain.breaks}" if chain.breaks else "")
        ]
        told += [one.says for one in self.witnesses]
        if self.vouched and (behind := chain.entries - self.vouched) > 0:
            told.append(f"{behind} {'entry' if behind == 1 else 'entries'} after entry {self.vouched}: "
                        "remembered by no host that was asked")  # fmt: skip
        if left := sum(one.compared.left_out for one in self.witnesses if one.compared):
            told.append(f"left out: {left} remembered before {self.since}")
        return told

    def to_json(self) -> dict[str, Json]:
        """For ``--json``."""
        journal: dict[str, Json] = {"entries": self.chain.entries, "hash": self.chain.last.hash,
                                    "breaks": self.chain.breaks, "vouched": self.vouched}  # fmt: skip
        witnesses: list[Json] = [one.to_json() for one in self.witnesses]
        return {"journal": journal, "since": self.since or None, "hosts": witnesses,
                "differs": isinstance(self.failed, RefusedError)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Told:
    """What one host answered: its memory, or why there is none."""

    env: str
    host: str
    memory: tuple[Remembered, ...] | None = None
    why: str = ""
    enrolled: bool = True


async def audit(folder: str, envs: Sequence[str] = (), *, since: str = "", elsewhere: Elsewhere | None = None) -> Audit:
    """Ask every enrolled host of these envs (of all, where none is named), then walk the journal.

    Raises:
        UsageError: GP942 there is no such env.
        GopubError: GP701 the journal cannot be read.
    """
    project = await open_project(folder).naming_store(elsewhere)
    journal = settings.journal()
    told: list[Told] = []
    for env in envs or tuple(project.spec.environments):
        told += await _of_env(project, env, journal, elsewhere)
    return judged(journal, told, since)


def moment(text: str) -> str:
    """A time in the words of a host's memory: RFC 3339 in UTC, to the second; empty stays so.

    Raises:
        UsageError: GP489 it is no such time.
    """
    if not text:
        return ""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise _no_time(text) from error
    if at.tzinfo is None:
        raise _no_time(text)
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _no_time(text: str) -> UsageError:
    return UsageError("GP489", f"--since {bounded(text, 60)}: no time with its zone",
                      hint="write it as 2026-11-30T12:00:00Z")  # fmt: skip


def judged(journal: Journal, told: Sequence[Told], since: str = "") -> Audit:
    """Hold what hosts told against the journal as it is now."""
    chain = journal.chain(numbers(one.memory or () for one in told))
    witnesses = tuple(
        Witness(
            one.env, one.host, None if one.memory is None else compare(one.memory, chain, since), one.why, one.enrolled
        )
        for one in told
    )
    return Audit(chain, witnesses, since)


async def _of_env(project: Project, env: str, journal: Journal, elsewhere: Elsewhere | None) -> list[Told]:
    allowed = of_project(project, env)
    named = await project.naming(allowed.environment, elsewhere)
    async with open_ports(named, allowed, journal=journal) as ports:
        return await memories(ports, project.spec.app, env)


async def memories(ports: Ports, app: str, env: str) -> list[Told]:
    """What each host of an env remembers; one that cannot be asked is no reason not to ask the others."""
    instance = ports.environment.instance
    facts, silent = await ask_all(ports.fleet, ports.hosts, instance, patience=HOSTS_ANSWER_WITHIN)

    async def one(host: Host) -> Told:
        if error := silent.get(host.name):
            return Told(env, host.name, why=f"{error.code} {error.problem}")
        known = facts[host.name]
        if known.enrolled is None:
            return Told(env, host.name, enrolled=False)
        return await _memory(ports.fleet, host, Order("heads", host.name, known.machine_id, instance, app, env))

    return list(await asyncio.gather(*(one(host) for host in ports.hosts)))


async def _memory(fleet: Fleet, host: Host, order: Order) -> Told:
    try:
        record = await (await fleet.channel(host)).run(order, timeout=ANSWER)
    except GopubError as error:
        return Told(order.env, host.name, why=f"{error.code} {error.problem}")
    if not record.ok:
        return Told(order.env, host.name, why=f"{record.code} {record.message}")
    return Told(order.env, host.name, read_remembered(record.values))
