"""Names that connections.yaml does not have are looked for among the Blocks of the server."""

from __future__ import annotations

import asyncio
import os

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_ENABLED
from pydantic import ValidationError

from blocks import block_for
from blocks.connection import ConnectionBlock
from blocks.derived import slug_of
from gopub.errors import GopubError, SpecError
from gopub.paths import OWN_SERVER
from gopub.spec.kinds import Connection
from gopub.spec.references import Reference
from gopub.wiring.backends import BACKENDS

BLOCKS_ANSWER_WITHIN = 30.0
"""Seconds for one question: Prefect's client itself goes on for minutes."""


class ServerBlocks:
    """The Blocks of the Prefect server that is set up (gopub.wiring.naming asks it)."""

    def words(self) -> str:
        """The place as an error names it."""
        address = "" if OWN_SERVER in os.environ else PREFECT_API_URL.value()
        return f"the Prefect Blocks of {address}" if address else "the Prefect Blocks of this machine"

    async def find(self, reference: Reference) -> Connection | None:
        """The Block of that name and of one of these kinds, as a connection; None where there is none.

        Raises:
            GopubError: GP928 no server is set, or it does not answer; GP929 it answers what no Prefect server does.
            SpecError: GP927 the Block holds what its kind refuses.
            GopubError: GP968 it is of a plug-in's kind, and that one cannot be used.
        """
        for kind in (kind for door in reference.kinds for kind in BACKENDS.names(door.door)):
            document = await self._read(reference.name, kind)
            block = block_for(kind) if document is not None else None
            if document is not None and block is not None:
                return _made(document, block)
        return None

    async def _read(self, name: str, kind: str) -> BlockDocument | None:
        if not is_set():
            raise self._away(name, "none is set (PREFECT_API_URL)")
        try:
            async with asyncio.timeout(BLOCKS_ANSWER_WITHIN), get_client() as client:
                return await client.read_block_document_by_name(name, slug_of(kind))
        except ObjectNotFound:
            return None
        except (httpx.HTTPError, OSError, RuntimeError) as error:  # away, or refused us
            raise self._away(name, _why(error)) from error
        except (ValueError, TypeError, LookupError, AttributeError) as error:  # what Prefect makes of it
            raise self._unreadable(name, error) from error

    def _away(self, name: str, why: str) -> GopubError:
        problem = f"no connections.yaml has {name!r}, and {self.words()} cannot be asked: {why}"
        return GopubError("GP928", problem, hint="start the server, or write the name into a file")

    def _unreadable(self, name: str, error: Exception) -> GopubError:
        """Somebody answered: whether there is such a Block is not known, and no wait will tell."""
        problem = f"no connections.yaml has {name!r}, and {self.words()} answer what cannot be read: {_why(error)}"
        return GopubError("GP929", problem, hint="look who answers at that address, a proxy say, and of which version")


def is_set() -> bool:
    """Whether Prefect knows of a server to ask; where it does not, its client takes that for a wrong value."""
    return bool(PREFECT_API_URL.value() or PREFECT_SERVER_EPHEMERAL_ENABLED.value())


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {BLOCKS_ANSWER_WITHIN:g}s"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _made(document: BlockDocument, block: type[ConnectionBlock]) -> Connection:
    try:
        return block.model_validate(document.data).to_connection()
    except ValidationError as error:
        raise _refused(document, block, error) from None


def _refused(document: BlockDocument, block: type[ConnectionBlock], error: ValidationError) -> SpecError:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    hint = f"correct it in the UI, or save it again from {block.__name__}"
    return SpecError("GP927", f"the Block {document.name!r}: {field}: {first['msg']}", hint=hint)
