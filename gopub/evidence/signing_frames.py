"""What the process that signs and whoever asks it say to each other: frames, a length and JSON; and for how long."""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEAD = struct.Struct(">I")
LARGEST = 512 << 20
"""Bytes of a frame that is read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a call of a service may take, in seconds, how often it is made, and when it is made no more."""

    connect: float = 10.0
    call: float = 45.0
    attempts: int = 6
    patience: float = 60.0
    """After it nobody is asked again: a service that hangs takes the time of its calls, one that refuses none."""
    pause: float = 1.0
    """Before the second; each later one waits twice as long, all of them for half as long to half as long again."""

    @property
    def whole(self) -> float:
        """How long one service can keep us, whatever it does."""
        return self.patience + 1.5 * self.pause * float(2**self.attempts) + self.call
