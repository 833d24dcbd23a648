"""What an enrolled host remembers of admissions, in memory: the rule of ``fleet/program/admission.sh``, once more.

It is written anew, from the words of docs/concepts/admission.md, so that a rollout that the real program would stop
stops in seconds, and a test compares both.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gopub.errors import RefusedError
from gopub.evidence.keys import PublicKey
from gopub.evidence.summary import SignedSummary, Summary
from gopub.fleet.orders import ENTERS, Order

CONTROLLER = "c" * 64
"""Who signs the orders, where nobody says otherwise."""


@dataclass
class MemoryAdmission:
    """One host's: whom it believes, what once was let in or was there, the highest serial, and who went back when."""

    keys: dict[str, PublicKey] = field(default_factory=dict)
    ran: set[tuple[str, str]] = field(default_factory=set)
    target: str = "linux/amd64"
    controllers: set[str] = field(default_factory=lambda: {CONTROLLER})
    serial: int = 0
    key: str = ""
    floor: int = 0
    by: str = ""
    refused: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, key: PublicKey, folders: Mapping[str, str]) -> MemoryAdmission:
        """Of a host that is enrolled while these folders are there."""
        return cls({key.fingerprint: key}, set(folders.items()))

    @property
    def held(self) -> int:
        """The highest serial that counts."""
        return max(self.serial if self.key in self.keys else 0, self.floor if self.by in self.controllers else 0)

    @property
    def admits(self) -> int:
        """The lowest epoch of which it takes an admission still."""
        return (self.held + 1) // 2

    def refuse(self, order: Order, folders: Mapping[str, str], previous: str = "", by: str = CONTROLLER) -> str:
        """The code that the order is refused with; empty where it is let in, and then it is remembered."""
        code = self._entering(order) if order.verb in ENTERS else self._returning(order, folders, previous)
        if code:
            self.refused.append(f"{order.verb} {order.folder} {code}")
            return code
        if order.verb in ENTERS:
            self.serial, self.key = int(order.admission["serial"]), order.admission["key"]
            self.ran.add((order.folder, order.digests["binary"]))
            if self.by not in self.controllers:
                self.floor, self.by = 0, ""
        elif order.verb in ("rollback", "stop"):
            mark = 2 * order.epoch + 1
            if self.by not in self.controllers or mark > self.floor:
                self.floor, self.by = mark, by
        return ""

    def _entering(self, order: Order) -> str:
        given = order.admission
        if not all(given.get(name) for name in ("key", "signature", "serial")):
            return "GP467"
        if given["key"] not in self.keys:
            return "GP468"
        try:
            said = _signed(given).by(self.keys[given["key"]])
        except (RefusedError, ValueError, TypeError):
            return "GP468"
        about = [said.app, said.env, said.target, said.release, said.binary]
        due = [order.app, order.env, self.target, order.release, order.digests.get("binary", "")]
        if order.verb == "stage":
            about.append(said.archive)
            due.append(order.digests.get("archive", ""))
        if about != due:
            return "GP469"
        serial = said.serial or 0
        if serial < self.held:
            return "GP470"
        return "GP471" if serial > 2 * order.epoch else ""

    def _returning(self, order: Order, folders: Mapping[str, str], previous: str) -> str:
        folder = order.folder or previous
        if order.verb != "rollback" or folder not in folders:
            return ""
        return "" if (folder, order.digests.get("binary") or folders[folder]) in self.ran else "GP469"


def _signed(given: Mapping[str, str]) -> SignedSummary:
    values = {name: text for name, text in given.items() if name not in ("key", "signature", "serial")}
    serial = given["serial"]
    if not serial.isdecimal() or str(int(serial)) != serial:
        raise ValueError(serial)
    return SignedSummary(Summary(**values, serial=int(serial)), base64.b64decode(given["signature"], validate=True))


def all_refused(admissions: Iterable[MemoryAdmission | None]) -> list[str]:
    """Everything that was refused on these hosts."""
    return [line for one in admissions if one for line in one.refused]
