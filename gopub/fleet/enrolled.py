"""What an enrolled host says of its enrolment. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gopub.canon import Json


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A host that obeys signed orders alone: as what it was enrolled, and whom it believes.

    ``roles`` is the serial of its list of roles, ``program`` the SHA-256 of the program that lies there, and
    ``controllers`` are the fingerprints of the keys whose orders it takes. ``admits`` is the lowest epoch of which it
    takes an admission still: a seat must not be below it.
    """

    names: tuple[str, ...]
    envs: tuple[str, ...]
    roles: int
    program: str
    controllers: tuple[str, ...]
    admits: int = 0

    @classmethod
    def parse(cls, said: Mapping[str, str]) -> Enrolment | None:
        """Of the values of the verb ``facts``; None where the host is not enrolled.

        Raises:
            ValueError: the serial is no number.
            KeyError: one of them is missing.
        """
        if said.get("enrolled") != "1":
            return None
        return cls(
            names=tuple(said["names"].split()),
            envs=tuple(said["envs"].split()),
            roles=int(said["roles"]),
            program=said["program"],
            controllers=tuple(said["keys.controller"].split()),
            admits=int(said.get("admits", "0")),
        )

    def to_json(self) -> dict[str, Json]:
        """As gopub/schemas/facts.v1.json says."""
        return {"names": list(self.names), "envs": list(self.envs), "roles": self.roles, "program": self.program,
                "controllers": list(self.controllers), "admits": self.admits}  # fmt: skip
