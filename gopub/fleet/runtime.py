"""Variables and limits of a release: their lines in the unit, and what a host reads back from the process. Pure.

They stand in the unit that the release brings, so a release folder has its own and the process of another one keeps
what it was started with. ``INSTANCE.runtime`` beside the unit says what has to be found in the new process; only the
variables that it names are read, for an environment holds secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_BYTES = "{}".format
_DIRECTIVES: Mapping[str, tuple[str, Callable[[int], str]]] = {
    "files": ("LimitNOFILE", _BYTES),
    "processes": ("LimitNPROC", _BYTES),
    "core": ("LimitCORE", _BYTES),
    "locked": ("LimitMEMLOCK", _BYTES),
    "memory": ("MemoryMax", _BYTES),
    "tasks": ("TasksMax", _BYTES),
    "cpu": ("CPUQuota", "{}%".format),
}
"""What each limit is called in a unit. The host program knows the same names (runtime.sh)."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """Variables by name, their values filled in, and limits by name as whole numbers (bytes, counts, percents)."""

    variables: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether a release says anything of it."""
        return bool(self.variables or self.limits)

    @property
    def names(self) -> frozenset[str]:
        """The values of a record in which a host says what it read back."""
        return frozenset((*(f"runtime.{name}" for name in self.variables), *(f"limit.{name}" for name in self.limits)))

    def limit_lines(self) -> str:
        """The limits as lines of a unit."""
        named = ((*_DIRECTIVES[name], amount) for name, amount in self.limits.items())
        return "".join(f"{directive}={say(amount)}\n" for directive, say, amount in named)

    def listing(self) -> bytes:
        """``INSTANCE.runtime``: a line for each, ``variable NAME=TEXT`` or ``limit NAME=NUMBER``."""
        variables = (f"variable {name}={text}\n" for name, text in self.variables.items())
        limits = (f"limit {name}={amount}\n" for name, amount in self.limits.items())
        return "".join((*variables, *limits)).encode()


def listing_name(instance: str) -> str:
    """Where it lies in the release folder, if there is anything to read back."""
    return f"{instance}.runtime"
