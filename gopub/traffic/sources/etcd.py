"""etcd as a source, over its JSON gateway (v3): one key for each upstream, written by compare and swap."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from gopub.canon import Json
from gopub.spec.fields import Word, refuse
from gopub.spec.kinds import LocalPath
from gopub.spec.texts import HttpUrl
from gopub.traffic.sources.asking import Endpoints, Said, away, trusting
from gopub.traffic.sources.keys import KeptSecret, Prefix
from gopub.traffic.sources.protocol import Held, SourceKey


class Etcd(SourceKey):
    """An etcd; edges watch it over the same addresses."""

    endpoints: tuple[HttpUrl, ...] = Field(min_length=1)
    """Addresses of its members, asked in turn."""
    prefix: Prefix
    """What stands before the upstream in a key, without the slash between."""
    user: Word | None = None
    """Its user, with `password`; an edge has one of its own."""
    password: KeptSecret | None = None
    """The user's password."""
    ca: LocalPath | None = None
    """The certificate of the authority that signed the server's (PEM), where it is a private one."""
    cert: LocalPath | None = None
    """The certificate that this machine shows (PEM)."""
    key: LocalPath | None = None
    """Its key (PEM), where it is not in the same file."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise refuse("GP115", "user and password go together", "write both, or none")
        if self.key and not self.cert:
            raise refuse("GP115", "a key needs its certificate", "write cert: FILE.pem, too")
        return self

    def open(self) -> EtcdSource:
        """The server; nothing is asked yet."""
        return EtcdSource(self)

    def settings(self) -> tuple[tuple[str, str], ...]:
        """For the watcher."""
        urls = (("endpoint", url.rstrip("/")) for url in self.endpoints)
        return (("kind", "etcd"), *urls, ("prefix", self.prefix))


class EtcdSource:
    """One key for each upstream; its mark is the key's ``mod_revision``."""

    def __init__(self, said: Etcd) -> None:
        """Read no secret yet.

        Raises:
            UsageError: GP145 a file of its certificates cannot be used.
        """
        self._said, self._token = said, ""
        self._endpoints = Endpoints("etcd", said.endpoints, trusting(said.ca, said.cert, said.key))

    async def read(self, upstream: str) -> Held | None:
        """See ``Source.read``; a range of one key, which etcd answers from its quorum."""
        found = _object(await self._ask("/v3/kv/range", {"key": self._key(upstream)}))
        kvs = found.get("kvs")
        if not kvs:
            return None
        try:
            first = kvs[0]  # type: ignore[index]
            value = base64.b64decode(first.get("value", ""), validate=True)  # type: ignore[union-attr,arg-type]
            return Held(value, str(int(first["mod_revision"])))  # type: ignore[index,call-overload,arg-type]
        except (LookupError, TypeError, AttributeError, ValueError, binascii.Error):
            raise away("etcd", "its answer cannot be read") from None

    async def swap(self, upstream: str, value: bytes, before: Held | None) -> bool:
        """See ``Source.swap``; a transaction that compares the key's revision, 0 for none."""
        key = self._key(upstream)
        mark = before.mark if before else "0"
        done = _object(
            await self._ask(
                "/v3/kv/txn",
                {
                    "compare": [{"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": mark}],
                    "success": [{"request_put": {"key": key, "value": base64.b64encode(value).decode()}}],
                },
            )
        )
        return done.get("succeeded") is True

    async def close(self) -> None:
        """Let go of the connections."""
        await self._endpoints.close()

    def _key(self, upstream: str) -> str:
        return base64.b64encode(f"{self._said.prefix}/{upstream}".encode()).decode()

    async def _ask(self, path: str, question: Mapping[str, Json]) -> Json:
        """Logged in where there is a user; once more with a new token where the old one is over, or etcd began anew."""
        said = await self._post(path, question)
        if said.status == 401 and self._token:
            self._token = ""
            said = await self._post(path, question)
        if said.status != 200:
            raise away("etcd", f"it answers {said.status}: {said.body[:300].decode(errors='replace')}")
        return said.json("etcd")

    async def _post(self, path: str, question: Mapping[str, Json]) -> Said:
        if self._said.user and self._said.password and not self._token:
            login = {"name": self._said.user, "password": self._said.password.reveal()}
            token = _object((await self._send("/v3/auth/authenticate", login)).json("etcd")).get("token")
            if not isinstance(token, str) or not token.isascii() or not token.isprintable():
                raise away("etcd", "it refuses user and password")
            self._token = token
        return await self._send(path, question)

    async def _send(self, path: str, question: Mapping[str, Json]) -> Said:
        headers = {"Authorization": self._token} if self._token else {}
        return await self._endpoints.ask(
            "POST", path, body=json.dumps(question).encode(), headers=headers, denied_too=True
        )


def _object(answer: Json) -> Mapping[str, Json]:
    if not isinstance(answer, dict):
        raise away("etcd", "its answer cannot be read")
    return answer
