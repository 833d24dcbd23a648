"""Names that connections.yaml does not have are looked for among the Blocks of the server."""

from __future__ import annotations

from dataclasses import replace

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import BlockDocument
from pydantic import ValidationError

from blocks import BLOCKS
from blocks.connection import ConnectionBlock
from gopub.errors import SpecError
from gopub.spec.connections import Connections
from gopub.spec.kinds import Connection
from gopub.telemetry import log

_LOG = log("blocks")
_BY_SLUG = {block.get_block_type_slug(): block for block in BLOCKS}


async def with_blocks(connections: Connections) -> Connections:
    """The connections of the files, and beneath them those of the Prefect server that is set up.

    A name in a file hides the Block of that name. A server that is away adds nothing: its absence is told by the
    name that is then not found.

    Raises:
        SpecError: GP927 a Block holds what its kind refuses.
    """
    found = {name: made for name, made in (await _blocks()).items() if name not in connections.entries}
    return replace(connections, entries={**found, **connections.entries})


async def _blocks() -> dict[str, Connection]:
    async with get_client() as client:
        try:
            documents = await client.read_block_documents()
        except Exception as error:  # noqa: BLE001 - whatever keeps a server from answering
            _LOG.warning("no Blocks: the Prefect server does not answer (%s)", error)
            return {}
    blocks = [(document, _class_of(document)) for document in documents]
    return {document.name: _made(document, block) for document, block in blocks if document.name and block}


def _class_of(document: BlockDocument) -> type[ConnectionBlock] | None:
    return _BY_SLUG.get(document.block_type.slug) if document.block_type else None


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
