"""A private Sigstore that really runs: gopub believes what sigstore-python and stock cosign signed with it."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gopub.errors import RefusedError
from gopub.evidence.claims import Claims, Clock
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.keys import PublicKey
from gopub.evidence.trust import Trust, read_trust
from gopub.evidence.verifier import KeyVerifier
from gopub.process import base_environment, run
from tests.contracts.sigstore_client import PAYLOAD, SLSA, signed
from tests.minio_server import program
from tests.sigstore_stack import PROJECT, REF, SigstoreStack

DIGEST = hashlib.sha256(PAYLOAD).hexdigest()
OTHER = hashlib.sha256(b"another archive").hexdigest()


def trusting(stack: SigstoreStack) -> Trust:
    return read_trust(stack.trust.read_bytes(), file=stack.trust.name, name="lab")


async def cosign(stack: SigstoreStack, folder: Path, *words: str, key: bool = False) -> bytes:
    """The bundle that stock cosign makes, with a certificate or with a key, and with log and timestamp in any case."""
    bundle, token = folder / f"{words[0]}.json", folder / "token"
    (folder / "signing.json").write_text(json.dumps(json.loads(stack.trust.read_text())["signingConfig"]))
    (folder / "file").write_bytes(PAYLOAD)
    token.write_text(stack.token())
    argv = [str(program("cosign")), words[0], "--yes", "--signing-config", str(folder / "signing.json")]
    argv += ["--trusted-root", str(stack.trusted_root), "--bundle", str(bundle), *words[1:]]
    argv += ["--key", "cosign.key"] if key else ["--identity-token", str(token)]
    await run([*argv, "file"], env=environment(folder), cwd=folder, timeout=300)
    return bundle.read_bytes()


def environment(folder: Path) -> dict[str, str]:
    return base_environment(extra={"HOME": str(folder), "COSIGN_PASSWORD": ""})


def is_of_the_job(claims: Claims | None, stack: SigstoreStack) -> bool:
    """As the token says, and signed just now."""
    assert claims is not None
    assert (claims.identity, claims.issuer, claims.trust) == (stack.identity(PROJECT, REF), stack.issuer, "lab")
    assert claims.build.source_repository_uri.endswith(f"/{PROJECT}") and claims.build.source_repository_ref == REF
    assert claims.build.build_config_uri == claims.identity and claims.build.build_trigger == "push"
    assert [one.told_by for one in claims.times] == [Clock.TSA]
    return True


def refused(by: KeylessVerifier, made: Any) -> str:
    with pytest.raises(RefusedError) as found:
        by.blob(made.artifact.read_bytes(), DIGEST)
    return found.value.code


def test_what_sigstore_python_signs_is_believed_and_nothing_else(sigstore_stack: SigstoreStack, tmp_path: Path) -> None:
    made, by = signed(sigstore_stack, tmp_path), KeylessVerifier(trusting(sigstore_stack))
    assert is_of_the_job(by.blob(made.artifact.read_bytes(), DIGEST).claims, sigstore_stack)
    said = by.statement(made.statement.read_bytes(), DIGEST)
    assert is_of_the_job(said.by.claims, sigstore_stack) and said.statement["predicateType"] == SLSA
    with pytest.raises(RefusedError, match="GP312"):
        by.blob(made.artifact.read_bytes(), OTHER)
    with pytest.raises(RefusedError, match="GP313"):
        by.statement(made.statement.read_bytes(), OTHER)


async def test_what_stock_cosign_signs_is_believed(sigstore_stack: SigstoreStack, tmp_path: Path) -> None:
    by = KeylessVerifier(trusting(sigstore_stack))
    assert is_of_the_job(by.blob(await cosign(sigstore_stack, tmp_path, "sign-blob"), DIGEST).claims, sigstore_stack)
    (tmp_path / "predicate").write_text('{"buildDefinition": {}}')
    words = ("attest-blob", "--predicate", "predicate", "--type", "slsaprovenance1")
    said = by.statement(await cosign(sigstore_stack, tmp_path, *words), DIGEST)
    assert is_of_the_job(said.by.claims, sigstore_stack) and said.statement["predicateType"] == SLSA


async def test_what_stock_cosign_logs_beside_a_key_is_checked(sigstore_stack: SigstoreStack, tmp_path: Path) -> None:
    await run([str(program("cosign")), "generate-key-pair"], env=environment(tmp_path), cwd=tmp_path, timeout=300)
    key, trust = PublicKey.parse((tmp_path / "cosign.pub").read_bytes()), trusting(sigstore_stack)
    bundle = await cosign(sigstore_stack, tmp_path, "sign-blob", key=True)
    assert KeyVerifier(key).blob(bundle, DIGEST).unchecked == ("log entry", "timestamp")
    assert KeyVerifier(key, trust).blob(bundle, DIGEST).unchecked == ()
    told = json.loads(bundle)
    told["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["rootHash"] = "AAAA"
    with pytest.raises(RefusedError, match=r"GP317 .*: log entry: "):
        KeyVerifier(key, trust).blob(json.dumps(told).encode(), DIGEST)


def test_a_service_that_was_over_when_it_was_signed_is_not_believed(
    sigstore_stack: SigstoreStack, tmp_path: Path
) -> None:
    made, long_ago = signed(sigstore_stack, tmp_path), datetime.now(UTC) - timedelta(days=2)
    window = {"start": (long_ago - timedelta(days=2)).isoformat(), "end": long_ago.isoformat()}
    told = {}
    for part in ("tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities"):
        root = json.loads(sigstore_stack.trusted_root.read_text())
        for one in root[part]:
            one.get("publicKey", one)["validFor"] = window
        by = KeylessVerifier(read_trust(json.dumps(root).encode(), file="root.json"))
        told[part] = refused(by, made)
    assert set(told.values()) == {"GP317"} and len(told) == 4
