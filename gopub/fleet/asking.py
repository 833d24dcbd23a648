"""What readers of logs and drivers of edges ask of a host, as orders: they know no fleet, and a host knows verbs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gopub.canon import sha256
from gopub.errors import GopubError
from gopub.fleet.orders import VERBS, Order
from gopub.fleet.protocol import HostChannel
from gopub.process import Call, Result
from gopub.tracing.context import header


@dataclass(frozen=True, slots=True)
class Asked:
    """A channel as what calls it by verb or by program (``ByVerb``): the host decides which of both it takes.

    ``order`` names the host, and instance, app and env where calls do not. ``by_root`` lets programs run on an enrolled
    host, too, where root may log in.
    """

    channel: HostChannel
    order: Order
    by_root: bool = False

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        """See ``HostChannel.exec``."""
        return await self.channel.exec(argv, stdin, by_root=self.by_root)

    async def by_verb(self, call: Call, stdin: bytes = b"") -> Result:
        """See ``HostChannel.ask``."""
        return await self.channel.ask(order_of(call, self.order, stdin), call.argv, stdin)


def to_edge(channel: HostChannel, name: str, *, by_root: bool = False) -> Asked:
    """The channel to the edge of that name: each call says for which app it is, and that is its instance there."""
    return Asked(channel, Order("table-get", name, "", "", "", ""), by_root)


def order_of(call: Call, whose: Order, stdin: bytes) -> Order:
    """The order that a call is: a payload by its size and digest, for these are what is signed.

    Raises:
        GopubError: GP416 no program of a host knows that verb.
    """
    verb = next((verb for verb in VERBS if verb == call.verb), None)
    if verb is None:
        raise GopubError("GP416", f"no host knows the verb {call.verb!r}", hint="report it")
    size = {"files_size": str(len(stdin))} if stdin else {}
    made = replace(whose, verb=verb, arguments={**call.arguments, **size}, trace=header())
    if call.app:
        made = replace(made, instance=whose.instance or call.app, app=call.app, env=call.env)
    if call.token:
        made = replace(made, epoch=call.epoch, token=call.token)
    return replace(made, digests={"files": sha256(stdin)}) if stdin else made
