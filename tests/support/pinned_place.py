"""An enrolled host as readers of logs and drivers of edges reach it: by verbs of its program alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gopub.errors import GopubError
from gopub.fleet.asking import order_of
from gopub.fleet.backends.pinned import Pinned
from gopub.fleet.orders import Order
from gopub.fleet.protocol import Payload
from gopub.process import Call, Result, run
from tests.support.enrolled import SHELLS, EnrolledHost


@dataclass
class PinnedPlace:
    """A channel as gopub has one, to a program that runs here; ``within`` is what it is run by."""

    host: EnrolledHost
    instance: str = ""
    runs: str = "dash"
    within: Sequence[str] = ()
    down: bool = False
    env: str = "lab"
    pinned: Pinned = field(init=False)
    sent: list[bytes] = field(default_factory=list)
    """What was given to the program, for who would give it again."""

    def __post_init__(self) -> None:
        """Nothing is asked yet."""
        self.pinned = Pinned("h1", self.host.key, self.talk)

    async def talk(self, argv: Sequence[str], pieces: Payload) -> Result:
        """Give the program what a connection would carry."""
        sent = b"".join(piece.read_bytes() if isinstance(piece, Path) else piece for piece in pieces)
        self.sent.append(sent)
        command = (*self.within, *SHELLS[self.runs], str(self.host.program))
        return await run(command, stdin=sent, check=False, timeout=300)

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        """No program is run there."""
        raise AssertionError(argv)

    async def by_verb(self, call: Call, stdin: bytes = b"") -> Result:
        """As ``gopub.fleet.asking.Asked`` over a channel."""
        if self.down:
            raise GopubError("GP413", "h2 cannot be reached")
        instance = self.instance or call.app
        order = order_of(call, Order("logs", "h1", "", instance, call.app or instance, self.env), stdin)
        assert await self.pinned.is_enrolled(order)
        return (await self.pinned.carry_out(order, (stdin,))).raw(call.argv)
