"""Bundles: what was signed is accepted, and everything else is refused for the right reason."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gopub.errors import GopubError, RefusedError
from gopub.evidence import (
    KeySigner,
    PublicKey,
    Subject,
    generate,
    sign_blob,
    sign_statement,
    statement,
    verify_blob,
    verify_digest,
    verify_dsse,
)
from gopub.evidence.backends.key import Key
from gopub.evidence.bundle import pre_authentication
from gopub.spec.kinds import SecretRef

DATA = b"the bytes of a release\n"
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def signer(tmp_path: Path) -> KeySigner:
    return generate(tmp_path / "keys").signer()


@pytest.fixture
def other(tmp_path: Path) -> KeySigner:
    return generate(tmp_path / "other").signer()


def a_statement() -> dict[str, Any]:
    return dict(statement([Subject("a", DIGEST), Subject("b", "0" * 64)], "https://example.org/p", {"x": 1}))


def test_a_signed_blob_is_accepted(signer: KeySigner) -> None:
    bundle = sign_blob(signer, DATA)
    verify_blob(bundle, DATA, signer.public)
    verify_digest(bundle, DIGEST, signer.public)


def test_the_signature_is_plain_ecdsa(signer: KeySigner) -> None:
    """An oracle that knows nothing of bundles: the key of the cryptography package itself."""
    signature = json.loads(sign_blob(signer, DATA))["messageSignature"]["signature"]
    key = serialization.load_pem_public_key(signer.public.pem)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(base64.b64decode(signature), DATA, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("at", [0, 10, len(DATA) - 1])
def test_a_flipped_byte_is_refused(signer: KeySigner, at: int) -> None:
    flipped = DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :]
    with pytest.raises(RefusedError, match="GP312"):
        verify_blob(sign_blob(signer, DATA), flipped, signer.public)


def test_the_bundle_of_another_file_is_refused(signer: KeySigner) -> None:
    with pytest.raises(RefusedError, match="GP312"):
        verify_blob(sign_blob(signer, b"other"), DATA, signer.public)


def test_another_key_is_refused_and_named(signer: KeySigner, other: KeySigner) -> None:
    with pytest.raises(RefusedError, match=r"GP311 .*names another key"):
        verify_blob(sign_blob(other, DATA), DATA, signer.public)


def test_a_digest_put_in_by_hand_is_refused(signer: KeySigner) -> None:
    bundle = json.loads(sign_blob(signer, b"other"))
    bundle["messageSignature"]["messageDigest"]["digest"] = base64.b64encode(bytes.fromhex(DIGEST)).decode()
    with pytest.raises(RefusedError, match=r"GP311 .*it was changed"):
        verify_blob(json.dumps(bundle).encode(), DATA, signer.public)


def test_a_statement_is_accepted_for_each_of_its_subjects(signer: KeySigner) -> None:
    bundle = sign_statement(signer, a_statement())
    for digest in (DIGEST, "0" * 64):
        assert verify_dsse(bundle, signer.public, digest)["predicate"] == {"x": 1}


def test_a_statement_about_another_file_is_refused(signer: KeySigner) -> None:
    with pytest.raises(RefusedError, match="GP313"):
        verify_dsse(sign_statement(signer, a_statement()), signer.public, "1" * 64)


def test_a_statement_by_another_key_is_refused(signer: KeySigner, other: KeySigner) -> None:
    with pytest.raises(RefusedError, match="GP311"):
        verify_dsse(sign_statement(other, a_statement()), signer.public, DIGEST)


def test_a_changed_payload_is_refused_before_it_is_read(signer: KeySigner) -> None:
    bundle = json.loads(sign_statement(signer, a_statement()))
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(b"not even JSON").decode()
    with pytest.raises(RefusedError, match="GP311"):
        verify_dsse(json.dumps(bundle).encode(), signer.public, DIGEST)


def test_the_pre_authentication_encoding_is_that_of_dsse() -> None:
    """The example of the DSSE specification."""
    assert pre_authentication("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def without(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda bundle: bundle.pop(key)


BROKEN: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("has no mediaType", without("mediaType")),
    ("has no verificationMaterial", without("verificationMaterial")),
    ("not exactly one of messageSignature and dsseEnvelope", without("messageSignature")),
    ("a media type that is not", lambda bundle: bundle.update(mediaType="x")),
    ("bundle has a key that is not known", lambda bundle: bundle.update(extra=1)),
    ("publicKey has a key that is not known", lambda b: b["verificationMaterial"]["publicKey"].update(pem="x")),
    ("verificationMaterial has a key that is not known", lambda b: b["verificationMaterial"].update(chain={})),
    ("not exactly one of publicKey and certificate", lambda b: b["verificationMaterial"].update(certificate={})),
    (
        "a digest algorithm that is not SHA2_256",
        lambda b: b["messageSignature"]["messageDigest"].update(algorithm="MD5"),
    ),
    ("signature is not base64", lambda b: b["messageSignature"].update(signature="*")),
    ("messageDigest is not a mapping", lambda b: b["messageSignature"].update(messageDigest=[])),
    ("not exactly one of messageSignature and dsseEnvelope", lambda bundle: bundle.update(dsseEnvelope={})),
]


@pytest.mark.parametrize(("said", "break_it"), BROKEN, ids=[said for said, _ in BROKEN])
def test_a_malformed_bundle_says_what_is_wrong(
    signer: KeySigner, said: str, break_it: Callable[[dict[str, Any]], object]
) -> None:
    bundle = json.loads(sign_blob(signer, DATA))
    break_it(bundle)
    with pytest.raises(RefusedError, match=f"GP310 .*{said}"):
        verify_blob(json.dumps(bundle).encode(), DATA, signer.public)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'{"a":1,"a":1}', b"\xff", b"[" * 10**6])
def test_what_is_no_json_object_is_refused(signer: KeySigner, text: bytes) -> None:
    with pytest.raises(RefusedError, match="GP310"):
        verify_blob(text, DATA, signer.public)


def test_two_signatures_are_one_too_many(signer: KeySigner) -> None:
    bundle = json.loads(sign_statement(signer, a_statement()))
    bundle["dsseEnvelope"]["signatures"] *= 2
    with pytest.raises(RefusedError, match=r"GP310 .*not exactly one signature"):
        verify_dsse(json.dumps(bundle).encode(), signer.public, DIGEST)


@pytest.mark.parametrize("change", [{"subject": []}, {"subject": [{"name": "a"}]}, {"_type": "x"}, {"more": 1},
        {"predicate": "x"}, {"predicate": None}, {"predicateType": 1}])  # fmt: skip
def test_a_signed_statement_of_a_wrong_shape_is_refused(signer: KeySigner, change: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="GP310"):
        verify_dsse(sign_statement(signer, a_statement() | change), signer.public, DIGEST)


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first, second = generate(tmp_path / "keys"), generate(tmp_path / "keys")
    assert first.public_key() == second.public_key() == first.signer().public
    assert first.private.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["gopub.key", "gopub.pub"]


def test_a_public_key_that_was_swapped_is_put_right(tmp_path: Path) -> None:
    files, stranger = generate(tmp_path / "a"), generate(tmp_path / "b")
    files.public.write_bytes(stranger.public.read_bytes())
    assert generate(tmp_path / "a").public_key() == files.signer().public


def test_a_private_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    files = generate(tmp_path / "keys")
    files.private.chmod(0o640)
    with pytest.raises(RefusedError, match="GP301"):
        files.signer()


def test_public_keys_survive_pem(signer: KeySigner) -> None:
    assert PublicKey.parse(signer.public.pem) == signer.public


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        ec.generate_private_key(ec.SECP384R1())
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    ],
)
def test_what_is_no_p256_key_is_refused(pem: bytes) -> None:
    with pytest.raises(GopubError, match="GP300"):
        PublicKey.parse(pem)


def shut(key: KeySigner, form: serialization.PrivateFormat, passphrase: bytes = b"open sesame") -> bytes:
    """The key's PEM with a passphrase, in PKCS #8 or the older form of openssl."""
    lock = serialization.BestAvailableEncryption(passphrase)
    return key.private.private_bytes(serialization.Encoding.PEM, form, lock)


@pytest.mark.parametrize(
    "form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL], ids=str
)
def test_a_key_with_a_passphrase_opens_with_it_alone(signer: KeySigner, form: serialization.PrivateFormat) -> None:
    pem = shut(signer, form)
    assert KeySigner.parse(pem, passphrase="open sesame").public == signer.public
    with pytest.raises(GopubError, match=r"GP300 .*has a passphrase, which was not given"):
        KeySigner.parse(pem)
    with pytest.raises(GopubError, match=r"GP300 .*does not open with its passphrase"):
        KeySigner.parse(pem, passphrase="close sesame")
    with pytest.raises(GopubError, match="GP300"):
        KeySigner.parse(pem, passphrase="")


def test_a_passphrase_of_a_key_that_has_none_is_not_needed(signer: KeySigner, tmp_path: Path) -> None:
    pem = (tmp_path / "keys" / "gopub.key").read_bytes()
    assert KeySigner.parse(pem, passphrase="whatever").public == signer.public


def test_a_connection_names_key_and_passphrase(
    signer: KeySigner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "shut.key"
    file.write_bytes(shut(signer, serialization.PrivateFormat.PKCS8))
    file.chmod(0o600)
    monkeypatch.setenv("RELEASE_PASS", "open sesame")
    named = Key(private=SecretRef(file=file), public=tmp_path / "x", passphrase=SecretRef(env="RELEASE_PASS"))
    assert named.open().public == signer.public
    assert "sesame" not in f"{named!r} {named.model_dump_json()}"
    with pytest.raises(GopubError, match="GP300"):
        Key(private=SecretRef(file=file), public=tmp_path / "x").open()
