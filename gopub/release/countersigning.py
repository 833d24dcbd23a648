"""Who else signed a release: bundles over release.json that lie beside it, added after it was published."""

from __future__ import annotations

from gopub.canon import sha256
from gopub.errors import GopubError, RefusedError
from gopub.evidence.together import Countersigned, Signatory
from gopub.evidence.verifier import Verifier
from gopub.release.model import SignedRelease
from gopub.store.keys import countersignature_key, countersignatures
from gopub.store.protocol import MISSING, ArtifactStore

MOST = 16
"""Signatures that are looked at: whoever can write the store can add any number."""
LARGEST = 1 << 20
"""Bytes of one."""


async def countersigned(store: ArtifactStore, signed: SignedRelease, by: Verifier) -> Countersigned:
    """Those whose signatures are believed; why the others are not is told, and keeps nobody out.

    Raises:
        GopubError: GP342 the store does not answer.
    """
    keys = sorted(await store.list(countersignatures(signed.release_id)))
    found: list[Signatory] = []
    wrong = [f"{len(keys) - MOST} more signatures were not looked at"] if len(keys) > MOST else []
    for key in keys[:MOST]:
        try:
            said = by.blob(await store.get(key, limit=LARGEST), sha256(signed.manifest))
        except GopubError as error:
            if not isinstance(error, RefusedError) and error.code != MISSING:
                raise
            wrong.append(f"a signature beside it does not count: {error.code} {error.problem}")
        else:
            found.append(Signatory(said.signer, said.claims))
    return Countersigned(tuple(found), tuple(wrong))


async def countersign(
    store: ArtifactStore, signed: SignedRelease, bundle: bytes, by: Verifier, *, beside: str
) -> Signatory:
    """Keep a further signature over release.json, of somebody who is believed; gives who it was.

    ``beside`` is who signed the release itself.

    Raises:
        RefusedError: GP310 to GP312, GP316, GP317 it is none, or nobody's who counts; GP346 it is too large; GP350 it
            is of whoever signed the release.
        GopubError: GP342 the store does not answer.
    """
    if len(bundle) > LARGEST:
        raise RefusedError("GP346", f"the signature is larger than {LARGEST} bytes", hint="is it a bundle?")
    said = by.blob(bundle, sha256(signed.manifest))
    if said.signer == beside:
        raise RefusedError("GP350", f"{beside[:200]} signed it already, and does not count twice",
                           hint="somebody else has to sign it as well")  # fmt: skip
    digest = sha256(bundle)
    await store.put(countersignature_key(signed.release_id, digest), bundle, digest=digest)
    return Signatory(said.signer, said.claims)
