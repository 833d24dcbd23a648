"""Signs without a key of one's own: a Sigstore gives one certificate for all that a release has signed.

The signing itself is done by a process of its own, which has the token and sees neither the commit nor this machine's
files (:mod:`gopub.evidence.signing_child`). What comes back is believed as little as anybody else's: each bundle is
verified against the same trust config before it is given on.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gopub
from gopub.build.sandbox import Bind, Room, Sandbox
from gopub.canon import canonical
from gopub.errors import GopubError, RefusedError, UsageError
from gopub.evidence.bundle import envelope_of
from gopub.evidence.claims import Claims
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.reading import read_bundle
from gopub.evidence.signers import disagreement
from gopub.evidence.signing import ToSign
from gopub.evidence.signing_frames import HEAD, LARGEST, Limits
from gopub.evidence.statement import subject_digests
from gopub.evidence.trust import SignsWith
from gopub.process import Companion, proxies

_SYSTEM = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")
_CODE = "/signing"
_SERVICES = 3
"""An authority, a log and a clock are asked one after the other."""
_START = 60.0
_LATER = "nothing was published; release it again once it is mended: what Go compiled is kept"


@asynccontextmanager
async def keyless_signing(
    using: SignsWith, sandbox: Sandbox, scratch: Path, limits: Limits | None = None
) -> AsyncIterator[KeylessSigning]:
    """Whoever signs with this, until this ends; the folder ``scratch`` is for what the process is given."""
    named = os.environ.get("SSL_CERT_FILE")
    authorities = next((path for path in map(Path, [named] if named else _SYSTEM) if path.is_file()), None)
    room = signing_room(sandbox, scratch, authorities)
    code = _CODE if sandbox else str(_package().parent)
    words = [sys.executable, "-s", "-P", "-B", "-m", "gopub.evidence.signing_child"]
    async with room.companion(words, _package(), env=proxies() | {"PYTHONPATH": code}) as child:
        seen = room.place(authorities) if authorities else ""
        yield KeylessSigning(using, child, limits or Limits(), seen)


def _package() -> Path:
    return Path(gopub.__file__).resolve().parent


def signing_room(sandbox: Sandbox, scratch: Path, authorities: Path | None) -> Room:
    """Python, what it has installed, and gopub's own code; the network, and nothing else of this machine."""
    places = dict.fromkeys(map(Path, (sys.base_prefix, sys.base_exec_prefix, sys.prefix, sys.exec_prefix)))
    seen = [Bind(one, str(one)) for one in places if not one.is_relative_to("/usr")]
    seen.append(Bind(_package(), f"{_CODE}/gopub"))
    if authorities:
        seen.append(Bind(authorities, f"{_CODE}/authorities.pem"))
    return Room(sandbox, scratch, tuple(seen), network=True)


@dataclass(slots=True)
class KeylessSigning:
    """Asks the process; it gets its certificate when it is first asked for a signature."""

    using: SignsWith
    child: Companion
    limits: Limits
    authorities: str
    _told: bool = False
    _claims: Claims | None = None

    async def ready(self) -> None:
        """See :meth:`Signing.ready`: no service is asked, but a CI for its token.

        Raises:
            GopubError: GP363 the process ended.
            UsageError: GP361 the token cannot be used; GP362 the trust config does not say where to sign.
        """
        if not self._told:
            await self._converse(opening(self.using, self.limits, self.authorities))
            self._told = True

    async def bundles(self, asked: Sequence[ToSign]) -> tuple[bytes, ...]:
        """See :meth:`Signing.bundles`.

        Raises:
            GopubError: GP360 a service does not do its part; GP363 the process ended.
            UsageError: GP361 the token cannot be used; GP362 the trust config does not say where to sign.
            RefusedError: GP364 its own trust config does not believe what was signed.
        """
        await self.ready()
        answer = await self._converse({"asked": [_asked(one) for one in asked]})
        made = tuple(canonical(json.loads(text)) for text in answer["bundles"])
        await asyncio.to_thread(self._insist, asked, made)
        return made

    def disagrees(self, repository: str, ref: str, commit: str) -> str:
        """See :meth:`Signing.disagrees`: admission would refuse it."""
        return disagreement(self._claims, repository, ref, commit) if self._claims else ""

    async def _converse(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        answer = await asyncio.to_thread(self._answer, json.dumps(asked).encode())
        if "failed" in answer:
            raise as_error(answer["failed"], self.using.trust.name)
        return answer

    def _answer(self, asked: bytes) -> dict[str, Any]:
        within = _START + _SERVICES * self.limits.whole
        try:
            self.child.send(HEAD.pack(len(asked)) + asked)
            (size,) = HEAD.unpack(self.child.receive(HEAD.size, within))
            if size <= LARGEST:
                found = json.loads(self.child.receive(size, within))
                if isinstance(found, dict):
                    return found
            problem = "it gave no answer that can be read"
        except (EOFError, BrokenPipeError):
            problem = f"it ended with exit code {self.child.end()[0]}"
        except TimeoutError:
            problem = f"it did not answer for {within:.0f}s"
        self.child.end()
        hint = "is the installation whole? `python -m gopub.evidence.signing_child` starts it"
        raise GopubError("GP363", f"the process that signs gave up: {problem}", hint=hint)

    def _insist(self, asked: Sequence[ToSign], made: Sequence[bytes]) -> None:
        by = KeylessVerifier(self.using.trust)
        try:
            for one, bundle in zip(asked, made, strict=True):
                if not one.is_statement:
                    self._claims = by.blob(bundle, one.digest).claims
                    continue
                self._claims = by.statement(bundle, min(subject_digests(json.loads(one.data)))).by.claims
                _insist_on(one, bundle)
        except RefusedError as error:
            raise RefusedError(
                "GP364",
                f"the trust config of {self.using.trust.name} does not believe what was just signed with it: "
                f"{error.code} {error.problem}",
                hint="does the signing config in it lead to the services whose keys it lists?",
            ) from error


def _insist_on(one: ToSign, bundle: bytes) -> None:
    if envelope_of(read_bundle(bundle)).payload != one.data:
        raise RefusedError("GP313", "it is another statement than the one that was to be signed")


def _asked(one: ToSign) -> dict[str, str]:
    if one.is_statement:
        return {"statement": base64.b64encode(one.data).decode()}
    return {"digest": one.digest}


def opening(using: SignsWith, limits: Limits, authorities: str = "") -> dict[str, Any]:
    """What the process is told at first."""
    return {
        "config": using.config,
        "token": using.ticket.token,
        "ambient": dict(using.ticket.ambient),
        "limits": asdict(limits),
        "authorities": authorities,
    }


def as_error(said: Mapping[str, str], name: str) -> GopubError:
    """What it answered that failed, as people are told; ``name`` is the connection's."""
    why, hint = said["why"], said["hint"]
    if said["kind"] == "token":
        return UsageError("GP361", f"the OIDC token for {name} cannot be used: {why}", hint=hint)
    if said["kind"] == "config":
        return UsageError("GP362", f"{name} cannot sign: {why}", hint=hint or "name a client trust config in `trust`")
    return GopubError(
        "GP360", f"the Sigstore service {said['service']} at {said['url']}: {why}",
        hint=f"{hint}; {_LATER}" if hint else _LATER,
    )  # fmt: skip
