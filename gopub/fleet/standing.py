"""What stands on a host where gopub wants to be: a unit of that name, another tool's `current`, a port that is held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gopub.canon import Json


@dataclass(frozen=True, slots=True)
class Taken:
    """A TCP port that somebody else than the instance's unit listens on; pid 0 is the kernel."""

    port: int
    pid: int = 0
    name: str = ""

    @property
    def says(self) -> str:
        """Who holds it, for people."""
        if not self.pid:
            return "the kernel"
        return f"process {self.pid} ({self.name})" if self.name else f"process {self.pid}"


@dataclass(frozen=True, slots=True)
class Standing:
    """What gopub did not make; an older host program says nothing of it.

    ``unit`` is the file of a unit of that name, ``drop_ins`` are files that change it, ``current`` is what
    /opt/INSTANCE/current is in words (`a folder`, `a link to …`). ``adopted`` tells that a person gave the word for all
    of it. ``socket`` is the file of a socket of that name, in the way of the mode socket alone, and of which no
    word lets gopub take the place. ``taken`` are ports that are held on every address or on the loopback.
    """

    unit: str = ""
    drop_ins: tuple[str, ...] = ()
    socket: str = ""
    current: str = ""
    adopted: bool = False
    taken: tuple[Taken, ...] = ()

    @property
    def found(self) -> tuple[str, ...]:
        """Each thing that gopub did not make, for people; none where the place is free."""
        unit = [f"the unit {self.unit}"] if self.unit else []
        drop_ins = [f"the drop-in {path}" for path in self.drop_ins]
        return (*unit, *drop_ins, *([f"`current`, {self.current}"] if self.current else []))

    @classmethod
    def parse(cls, said: Mapping[str, str]) -> Standing:
        """Of the values of the verb ``facts``.

        Raises:
            ValueError: a port or a process is no number.
        """
        taken = (text.split("/", 2) for text in said.get("taken", "").split())
        return cls(
            unit=said.get("before.unit", ""),
            drop_ins=tuple(said.get("before.drop_ins", "").split()),
            socket=said.get("before.socket", ""),
            current=said.get("before.current", ""),
            adopted=said.get("before.adopted") == "true",
            taken=tuple(Taken(int(port), int(pid or 0), name) for port, pid, name in taken),
        )

    def to_json(self) -> dict[str, Json]:
        """As gopub/schemas/facts.v1.json says."""
        taken: list[Json] = [{"port": one.port, "pid": one.pid, "name": one.name} for one in self.taken]
        socket: dict[str, Json] = {"socket": self.socket} if self.socket else {}
        return {"unit": self.unit, "drop_ins": list(self.drop_ins), "current": self.current, **socket,
                "adopted": self.adopted, "taken": taken}  # fmt: skip
