"""Every backend there is, behind the door that it is for: ours, each by one line of its package, and those of plug-ins.

A distribution adds one by an entry point of the group ``gopub.backends``: its name is ``door.kind``, such as
``store.ceph``, and its value the connection's class, such as ``acme.ceph:Ceph``. Names are read from the metadata
alone; a module is imported when a connection of its kind is named, never before.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from gopub.errors import GopubError
from gopub.evidence import backends as signers
from gopub.evidence.keys import SignerConnection
from gopub.evidence.trust import SigstoreConnection
from gopub.fleet import backends as fleets
from gopub.fleet.inventory import InventoryConnection
from gopub.fleet.inventory import backends as inventories
from gopub.fleet.protocol import FleetConnection
from gopub.health import backends as sources
from gopub.health.sources import LogsConnection, MetricsConnection
from gopub.notify import backends as notifiers
from gopub.notify.protocol import NotifyConnection
from gopub.spec.kinds import Connection, SecretRef, kind_of
from gopub.store import backends as stores
from gopub.store.protocol import StoreConnection
from gopub.telemetry import log
from gopub.traffic import backends as routers
from gopub.traffic.door import RouterConnection
from gopub.wiring.guard import ASIDE, FETCHED_WITHIN, as_broken, guarded, in_time

GROUP = "gopub.backends"
_log = log("backends")
Name = tuple[bool, str]
"""Whether it is a way to secrets, and its kind."""


@dataclass(frozen=True, slots=True)
class Door:
    """A part of the outside: what its connections are, and our backends for it."""

    model: type[Connection]
    ours: Mapping[str, str]


DOORS: Mapping[str, Door] = {
    door.model.door: door
    for door in (
        Door(StoreConnection, stores.BACKENDS),
        Door(InventoryConnection, inventories.BACKENDS),
        Door(RouterConnection, routers.BACKENDS),
        Door(MetricsConnection, sources.METRICS),
        Door(LogsConnection, sources.LOGS),
        Door(FleetConnection, fleets.BACKENDS),
        Door(SignerConnection, signers.BACKENDS),
        Door(SigstoreConnection, signers.TRUSTED),
        Door(NotifyConnection, notifiers.BACKENDS),
    )
}
"""Every door by its name."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Where the connection of a kind is; ``whose`` names the distribution of a plug-in."""

    door: str
    kind: str
    place: str
    whose: str = ""
    fault: str = ""
    """Why it cannot be used, as far as its name tells."""

    @property
    def of_secrets(self) -> bool:
        """Whether it is a way to secrets: these have names apart from those of connections."""
        return self.door == SecretRef.door

    @property
    def name(self) -> Name:
        """What it is found by."""
        return self.of_secrets, self.kind

    def load(self) -> type[Connection | SecretRef]:
        """Import its connection, or its way to refer to secrets.

        Raises:
            GopubError: GP968 that of a plug-in cannot be used.
        """
        if self.fault:
            raise self.broken(self.fault)
        module, _, name = self.place.partition(":")
        if not self.whose:
            return getattr(import_module(module), name)  # type: ignore[no-any-return]
        with ASIDE, as_broken(self.broken, "its module failed", most=FETCHED_WITHIN):
            found = in_time(lambda: getattr(import_module(module), name), FETCHED_WITHIN)
        return guarded(self._checked(found), self._model, self.broken)

    @property
    def _model(self) -> type[Connection | SecretRef]:
        return SecretRef if self.of_secrets else DOORS[self.door].model

    def _checked(self, found: object) -> type[Connection | SecretRef]:
        if not (isinstance(found, type) and issubclass(found, self._model)):
            raise self.broken(f"{self.place} is no {self._model.__name__}")
        if issubclass(found, SecretRef):
            return self._of_secrets(found)
        if kind_of(found) != self.kind:
            raise self.broken(f"the kind of {self.place} is {kind_of(found)!r}, not its name")
        if inspect.isabstract(found):
            raise self.broken(f"{self.place} has no open()")
        return found

    def _of_secrets(self, found: type[SecretRef]) -> type[SecretRef]:
        if self.kind not in found.model_fields:
            raise self.broken(f"{self.place} has no field {self.kind!r}")
        if found.open is SecretRef.open:
            raise self.broken(f"{self.place} has no open()")
        return found

    def broken(self, why: str) -> GopubError:
        """The error of a plug-in that cannot be used."""
        hint = f"mend or remove the distribution {self.whose}; everything else goes on without it"
        return GopubError("GP968", f"the backend {self.kind!r} of {self.whose} cannot be used: {why}", hint=hint)


def _installed() -> Iterable[EntryPoint]:
    return entry_points(group=GROUP)


class Backends:
    """The kinds that there are, ours first (``gopub.spec.kinds.Kinds``)."""

    def __init__(self, installed: Callable[[], Iterable[EntryPoint]] = _installed) -> None:
        """``installed`` gives the entry points of plug-ins; it is asked when a name is none of ours."""
        self._installed = installed
        self._ours = {
            kind: Backend(name, kind, place) for name, door in DOORS.items() for kind, place in door.ours.items()
        }
        self._loaded: dict[Name, type[Connection | SecretRef]] = {}

    @cached_property
    def _plugins(self) -> Mapping[Name, Backend]:
        found: dict[Name, Backend] = {}
        for point in sorted(self._installed(), key=lambda point: (point.name, _whose(point))):
            one = _plugin(point)
            taken = SecretRef.model_fields if one.of_secrets else self._ours
            if one.kind in taken:
                _log.warning("%s", one.broken("its name is taken by one of gopub's own").problem)
            elif other := found.get(one.name):
                both = f"{other.whose} and {one.whose} both have one of that name"
                found[one.name] = Backend(other.door, one.kind, other.place, other.whose, both)
            else:
                found[one.name] = one
        return found

    def names(self, door: str = "") -> tuple[str, ...]:
        """The kinds of a door, or all of connections; nothing is imported for it."""
        every = (*self._ours.values(), *self._plugins.values())
        return tuple(one.kind for one in every if door == one.door or (not door and one.door != SecretRef.door))

    def find(self, kind: str) -> type[Connection] | None:
        """The connection of a kind, imported; None where there is none of that name.

        Raises:
            GopubError: GP968 it is a plug-in's, and cannot be used.
        """
        found = self._load((False, kind))
        return found if found is not None and issubclass(found, Connection) else None

    def find_secret(self, kind: str) -> type[SecretRef] | None:
        """How a plug-in refers to secrets, imported; None where there is none of that name.

        Raises:
            GopubError: GP968 it cannot be used.
        """
        found = self._load((True, kind))
        return found if found is not None and issubclass(found, SecretRef) else None

    def _load(self, name: Name) -> type[Connection | SecretRef] | None:
        if name not in self._loaded:
            of_secrets, kind = name
            backend = self._plugins.get(name) if of_secrets else self._ours.get(kind) or self._plugins.get(name)
            if backend is None:
                return None
            self._loaded[name] = backend.load()
        return self._loaded[name]

    def ours(self) -> dict[str, type[Connection]]:
        """Our own kinds, imported: for schemas, Blocks and pages."""
        return {kind: found for kind in self._ours if (found := self.find(kind))}


def _whose(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"


def _plugin(point: EntryPoint) -> Backend:
    door, _, kind = point.name.partition(".")
    doors = (*DOORS, SecretRef.door)
    told = f"its name {point.name!r} is not DOOR.KIND, with one of {', '.join(doors)}"
    return Backend(door, kind or door, point.value, _whose(point), "" if door in doors and kind else told)


BACKENDS = Backends()
"""The backends of this installation."""
