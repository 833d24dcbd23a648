"""What a host says of its two slots (``switch: side-by-side``), and of the memory that a second process would find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gopub.canon import Json

SIDE = "side-by-side"
"""The mode by its name in gopub.yaml."""
SLOTS = ("a", "b")


@dataclass(frozen=True, slots=True)
class Slots:
    """``slot`` and ``port`` are those of what serves, "" and 0 where that is no slot; an older host says nothing.

    ``folders`` are the releases there that run in a slot; ``free`` and ``used`` are bytes: what is available, without
    what a slot that does not serve holds, and what the processes of the serving unit hold. None: not told.
    """

    slot: str = ""
    port: int = 0
    folders: tuple[str, ...] = ()
    free: int | None = None
    used: int | None = None

    @property
    def lacks(self) -> int:
        """Bytes that are too few for a second process like the one that serves; 0 where it fits, or nobody knows."""
        return max(0, self.used - self.free) if self.free is not None and self.used is not None else 0

    @classmethod
    def parse(cls, said: Mapping[str, str]) -> Slots:
        """Of the values of the verb ``facts``.

        Raises:
            ValueError: a figure is none.
        """
        return cls(
            slot=said.get("slot", ""),
            port=int(said.get("port", "") or 0),
            folders=tuple(said.get("beside", "").split()),
            free=_bytes(said.get("memory.free", "")),
            used=_bytes(said.get("memory.used", "")),
        )

    def to_json(self) -> dict[str, Json]:
        """As gopub/schemas/facts.v1.json says."""
        folders: list[Json] = [*self.folders]
        return {"slot": self.slot, "port": self.port, "folders": folders, "free": self.free, "used": self.used}


def _bytes(text: str) -> int | None:
    return int(text) if text else None
