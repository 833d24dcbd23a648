"""Stock clients of a private Sigstore: sigstore-python signs and verifies, cosign verifies with no way to the outside.

As a program, it does all of it with a stack of its own in the folder that it is given.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from sigstore.dsse import StatementBuilder, Subject
from sigstore.models import Bundle, ClientTrustConfig
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

from gopub.build.sandbox import find_sandbox
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.keyless_signing import keyless_signing
from gopub.evidence.signing import ToSign
from gopub.evidence.statement import Subject as OurSubject
from gopub.evidence.statement import statement
from gopub.evidence.trust import SignsWith, Ticket, read_trust
from gopub.process import base_environment, run
from tests.minio_server import program
from tests.sigstore_stack import PROJECT, REF, SigstoreStack, running_sigstore

PAYLOAD = b"an archive"
SLSA = "https://slsa.dev/provenance/v1"
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Signed:
    """A file, another that was not signed, and the bundles for the first."""

    file: Path
    other: Path
    artifact: Path
    statement: Path

    def read(self, bundle: Path) -> Bundle:
        return Bundle.from_json(bundle.read_text())


def signed(stack: SigstoreStack, folder: Path) -> Signed:
    """Sign ``PAYLOAD`` and a statement about it, with one certificate."""
    made = Signed(*(folder / name for name in ("a.tar.gz", "b.tar.gz", "a.sigstore.json", "a.slsa.json")))
    made.file.write_bytes(PAYLOAD)
    made.other.write_bytes(b"another archive")
    subject = Subject(name=made.file.name, digest={"sha256": hashlib.sha256(PAYLOAD).hexdigest()})
    about = StatementBuilder([subject]).predicate_type(SLSA).predicate({"buildDefinition": {}}).build()
    config = ClientTrustConfig.from_json(stack.trust.read_text())
    with SigningContext.from_trust_config(config).signer(IdentityToken(stack.token())) as signer:
        made.artifact.write_text(signer.sign_artifact(PAYLOAD).to_json())
        made.statement.write_text(signer.sign_dsse(about).to_json())
    return made


def verified(stack: SigstoreStack, made: Signed) -> None:
    """Both bundles, by sigstore-python."""
    config = ClientTrustConfig.from_json(stack.trust.read_text())
    verifier = Verifier(trusted_root=config.trusted_root)
    identity = policy.Identity(identity=stack.identity(PROJECT, REF), issuer=stack.issuer)
    verifier.verify_artifact(PAYLOAD, made.read(made.artifact), identity)
    kind, body = verifier.verify_dsse(made.read(made.statement), identity)
    assert kind == "application/vnd.in-toto+json" and SLSA.encode() in body


async def checked_by_cosign(
    stack: SigstoreStack, bundle: Path, file: Path, *, ref: str = REF, issuer: str = "", root: Path | None = None
) -> int:
    """Cosign's exit code for a bundle and a file; whatever it asks for on the network, it does not get."""
    about = "slsa" in bundle.name
    words = ["verify-blob-attestation", "--type", "slsaprovenance1"] if about else ["verify-blob"]
    words += ["--bundle", str(bundle), "--trusted-root", str(root or stack.trusted_root)]
    words += ["--certificate-identity", stack.identity(PROJECT, ref)]
    words += ["--certificate-oidc-issuer", issuer or stack.issuer, str(file)]
    environment = base_environment(
        extra={"HOME": str(bundle.parent), "HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "NO_PROXY": ""}
    )
    return (await run([str(program("cosign")), *words], env=environment, check=False)).code


async def signed_by_gopub(stack: SigstoreStack, folder: Path) -> tuple[Path, Path]:
    """The same by gopub: the bundles of ``PAYLOAD`` and of a statement about it."""
    config = stack.trust.read_bytes()
    told = SignsWith(config.decode(), read_trust(config, file="trust.json", name="lab"), Ticket(stack.token()))
    about = statement([OurSubject("a.tar.gz", hashlib.sha256(PAYLOAD).hexdigest())], SLSA, {"buildDefinition": {}})
    async with keyless_signing(told, await find_sandbox(waived=True), folder / "signing") as signing:
        bundles = await signing.bundles([ToSign(PAYLOAD), ToSign.stating(about)])
    made = folder / "ours.sigstore.json", folder / "ours.slsa.json"
    for path, bundle in zip(made, bundles, strict=True):
        path.write_bytes(bundle)
    return made


async def _all(folder: Path) -> None:
    print("links:", *(name for _, name in socket.if_nameindex()))
    with running_sigstore(folder / "stack") as stack:
        made = signed(stack, folder)
        verified(stack, made)
        kept = folder / "trusted-root.json"
        kept.write_bytes(stack.trusted_root.read_bytes())
        ours = await signed_by_gopub(stack, folder)
    by, digest = KeylessVerifier(read_trust(kept.read_bytes(), file="root.json")), hashlib.sha256(PAYLOAD).hexdigest()
    assert by.blob(ours[0].read_bytes(), digest) and by.statement(ours[1].read_bytes(), digest)
    print("signed and verified")  # what follows needs no service any more, and the trusted root alone
    bundles = (made.artifact, made.statement, *ours)
    print("cosign:", *[await checked_by_cosign(stack, one, made.file, root=kept) for one in bundles])


if __name__ == "__main__":
    asyncio.run(_all(Path(sys.argv[1])))
