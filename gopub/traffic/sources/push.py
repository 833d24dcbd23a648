"""Tables that are pushed to the edges by mutual TLS, and what becomes of them where that way is closed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gopub.spec.fields import Word, refuse
from gopub.spec.kinds import LocalPath
from gopub.traffic.protocol import CountingRouter, EdgeAck, EdgeCounts, EdgeStatus, Purpose, Router
from gopub.traffic.table import RouteTable

_HOST = re.compile(r"[A-Za-z0-9.{}_-]{1,200}")


def _host(value: str) -> str:
    if not _HOST.fullmatch(value) or set(value.replace("{edge}", "")) & set("{}"):
        raise refuse("GP129", f"{value!r} is no host", 'write "{edge}", or a name with it such as "{edge}.corp"')
    return value


class Push(BaseModel):
    """Edges that take tables by mutual TLS; their certificates lie in /etc/gopub/push on each edge."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    ca: LocalPath
    """The certificate of the authority that signed the edges' (PEM)."""
    cert: LocalPath
    """The certificate that this machine shows (PEM)."""
    key: LocalPath | None = None
    """Its key (PEM), where it is not in the same file."""
    port: Annotated[int, Field(ge=1, le=65535)] = 9443
    """The port that the edges listen on."""
    host: Annotated[Word, AfterValidator(_host)] = "{edge}"
    """The name of an edge in its certificate; {edge} is its name in the inventory."""

    def address(self, edge: str) -> str:
        """Where an edge is reached."""
        return f"https://{self.host.replace('{edge}', edge)}:{self.port}"


class PushedRouter:
    """A ``Router`` over two ways: ``first`` pushes, ``past`` reaches edges where that way is closed."""

    def __init__(self, first: Router, past: Router) -> None:
        """Ask nobody yet."""
        self._first, self._past = first, past

    async def put(self, table: RouteTable) -> tuple[EdgeAck, ...]:
        """By mutual TLS alone."""
        return await self._first.put(table)

    async def put_for(self, table: RouteTable, purpose: Purpose) -> tuple[EdgeAck, ...]:
        """Going back goes both ways at once; a term is renewed by the other way where the first is closed."""
        if purpose == "back":
            return await self._back(table)
        acks = await self._first.put(table)
        if purpose == "renew" and any(not ack.ok and not ack.revision for ack in acks):
            return _either(acks, await self._past.put(table))
        return acks

    async def _back(self, table: RouteTable) -> tuple[EdgeAck, ...]:
        """Both ways; where all edges took it by one, nobody waits for a port that does not answer."""
        first = asyncio.create_task(self._first.put(table))
        try:
            acks = await self._past.put(table)
            return acks if all(ack.ok for ack in acks) else _either(await first, acks)
        finally:
            first.cancel()
            await asyncio.wait({first})

    async def status(self, app: str, env: str, upstream: str) -> tuple[EdgeStatus, ...]:
        """By mutual TLS; an edge that does not answer so is asked the other way."""
        found = await self._first.status(app, env, upstream)
        if not any(one.error for one in found):
            return found
        others = {one.edge: one for one in await self._past.status(app, env, upstream)}
        return tuple(others.get(one.edge, one) if one.error else one for one in found)

    async def count(self, edge: str, app: str, env: str, upstream: str, releases: Sequence[str]) -> EdgeCounts:
        """The other way: by mutual TLS there are tables alone."""
        if not isinstance(self._past, CountingRouter):
            return EdgeCounts(edge, error="it cannot be asked for its counters", older=True)
        return await self._past.count(edge, app, env, upstream, releases)

    async def close(self) -> None:
        """Let go of both ways."""
        await self._first.close()
        await self._past.close()


def _either(first: Sequence[EdgeAck], past: Sequence[EdgeAck]) -> tuple[EdgeAck, ...]:
    """The answer that took the table, of the two that each edge gave; the first one's words where none did."""
    others = {ack.edge: ack for ack in past}
    return tuple(others[ack.edge] if not ack.ok and others[ack.edge].ok else ack for ack in first)
