"""Consul's KV as a source: one key for each upstream, written by check-and-set of its index."""

from __future__ import annotations

import base64
import binascii
from typing import Self

from pydantic import Field, model_validator

from gopub.canon import Json
from gopub.spec.fields import refuse
from gopub.spec.kinds import LocalPath
from gopub.spec.texts import HttpUrl
from gopub.traffic.sources.asking import Endpoints, Said, away, trusting
from gopub.traffic.sources.keys import KeptSecret, Prefix
from gopub.traffic.sources.protocol import Held, SourceKey


class Consul(SourceKey):
    """A Consul; edges watch it over the same addresses. It takes values of up to 512 KiB, as it is set up."""

    endpoints: tuple[HttpUrl, ...] = Field(min_length=1)
    """Addresses of its agents, asked in turn."""
    prefix: Prefix
    """What stands before the upstream in a key, without the slash between."""
    token: KeptSecret | None = None
    """The token that may write there; an edge has one of its own."""
    ca: LocalPath | None = None
    """The certificate of the authority that signed the server's (PEM), where it is a private one."""
    cert: LocalPath | None = None
    """The certificate that this machine shows (PEM)."""
    key: LocalPath | None = None
    """Its key (PEM), where it is not in the same file."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.key and not self.cert:
            raise refuse("GP115", "a key needs its certificate", "write cert: FILE.pem, too")
        return self

    def open(self) -> ConsulSource:
        """The server; nothing is asked yet."""
        return ConsulSource(self)

    def settings(self) -> tuple[tuple[str, str], ...]:
        """For the watcher."""
        urls = (("endpoint", url.rstrip("/")) for url in self.endpoints)
        return (("kind", "consul"), *urls, ("prefix", self.prefix))


class ConsulSource:
    """One key for each upstream; its mark is the key's ``ModifyIndex``."""

    def __init__(self, said: Consul) -> None:
        """Read no secret yet.

        Raises:
            UsageError: GP145 a file of its certificates cannot be used.
        """
        self._said = said
        self._endpoints = Endpoints("consul", said.endpoints, trusting(said.ca, said.cert, said.key))

    async def read(self, upstream: str) -> Held | None:
        """See ``Source.read``; the leader answers."""
        said = await self._ask("GET", upstream, {"consistent": "true"})
        if said.status == 404:
            return None
        try:
            [first] = self._fine(said)  # type: ignore[misc]
            value = base64.b64decode(first["Value"] or "", validate=True)  # type: ignore[index,arg-type,call-overload]
            return Held(value, str(int(first["ModifyIndex"])))  # type: ignore[index,arg-type,call-overload]
        except (LookupError, TypeError, ValueError, binascii.Error):
            raise away("consul", "its answer cannot be read") from None

    async def swap(self, upstream: str, value: bytes, before: Held | None) -> bool:
        """See ``Source.swap``; an index of 0 stands for none."""
        said = await self._ask("PUT", upstream, {"cas": before.mark if before else "0"}, value)
        if said.status == 413:
            raise away("consul", f"it takes no value of {len(value)} bytes; see kv_max_value_size of its agents")
        return self._fine(said) is True

    async def close(self) -> None:
        """Let go of the connections."""
        await self._endpoints.close()

    async def _ask(self, method: str, upstream: str, query: dict[str, str], body: bytes = b"") -> Said:
        token = self._said.token
        headers = {"X-Consul-Token": token.reveal()} if token else {}
        path = f"/v1/kv/{self._said.prefix}/{upstream}"
        return await self._endpoints.ask(method, path, body=body, query=query, headers=headers)

    def _fine(self, said: Said) -> Json:
        if said.status != 200:
            raise away("consul", f"it answers {said.status}: {said.body[:300].decode(errors='replace')}")
        return said.json("consul")
