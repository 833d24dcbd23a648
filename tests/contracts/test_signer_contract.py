"""What everything that signs must do: its public half proves it, no other byte does, and a key is never shown."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from gopub.build.sandbox import NONE
from gopub.errors import GopubError
from gopub.evidence.bundle import sign_blob, sign_statement, verify_blob, verify_dsse
from gopub.evidence.keys import PublicKey, Signer, SignerConnection
from gopub.evidence.signing import ToSign
from gopub.evidence.statement import Subject, statement
from gopub.release.config import open_signing
from gopub.spec.connections import parse_connections
from gopub.spec.kinds import Kinds
from gopub.wiring.backends import BACKENDS

DATA = (b"", b"x", bytes(range(256)), b"one line\n" * 100_000)


def pem_of(key: PrivateKeyTypes, passphrase: bytes = b"") -> str:
    """A private key as openssl writes it."""
    shut = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, shut).decode()


def a_key() -> str:
    """A key that may sign."""
    return pem_of(ec.generate_private_key(ec.SECP256R1()))


def unusable() -> Iterator[str]:
    """Keys that may not."""
    yield pem_of(ec.generate_private_key(ec.SECP384R1()))
    yield pem_of(rsa.generate_private_key(65537, 2048))
    yield pem_of(ec.generate_private_key(ec.SECP256R1()), b"a passphrase")
    yield a_key()[:-40]
    yield f"no key at all, but {secrets.token_hex(20)}\n"


def accepts(public: PublicKey, signature: bytes, data: bytes) -> bool:
    """Whether the key's signature it is, over all of the data."""
    return public.accepts(signature, digest=hashlib.sha256(data).digest())


@dataclass
class SignerGround:
    """A connection to whoever signs, and the key that it finds."""

    connection: SignerConnection
    put: Callable[[str], None]
    """Let it find this key (PEM)."""
    clear: Callable[[], None]
    """Let it find none."""
    place: str
    """What tells people where the key lies."""

    def opened(self) -> Signer:
        return self.connection.open()


def connected(text: str, folder: Path, kinds: Kinds = BACKENDS) -> SignerConnection:
    """The connection of that text."""
    made = parse_connections(f"s: {text}\n", "c.yaml", folder, kinds)["s"]
    assert isinstance(made, SignerConnection)
    return made


class SignerContract:
    """The suite; a subclass gives ``ground``, at first with a key that may sign."""

    def test_what_was_signed_is_proven_by_the_public_half(self, ground: SignerGround) -> None:
        signer = ground.opened()
        for data in DATA:
            assert accepts(signer.public, signer.sign(data), data)

    def test_another_byte_is_not_proven(self, ground: SignerGround) -> None:
        signer = ground.opened()
        for data in DATA[1:]:
            signature = signer.sign(data)
            for at in (0, len(data) // 2, len(data) - 1):
                other = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
                assert not accepts(signer.public, signature, other)
            assert not accepts(signer.public, signature, data + b"\0")
            assert not accepts(signer.public, signature, data[:-1])

    def test_a_signature_with_another_byte_proves_nothing(self, ground: SignerGround) -> None:
        signer = ground.opened()
        signature = signer.sign(b"data")
        for at in range(len(signature)):
            assert not accepts(
                signer.public, signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :], b"data"
            )

    def test_the_public_half_is_one_that_others_can_read_and_prove_with(self, ground: SignerGround) -> None:
        signer = ground.opened()
        theirs = serialization.load_pem_public_key(signer.public.pem)
        assert isinstance(theirs, ec.EllipticCurvePublicKey)
        theirs.verify(signer.sign(b"data"), b"data", ec.ECDSA(hashes.SHA256()))
        assert PublicKey.parse(signer.public.pem) == signer.public

    def test_it_has_one_key_whenever_it_is_opened(self, ground: SignerGround) -> None:
        first, second = ground.opened(), ground.opened()
        assert first.public == first.public == second.public
        assert accepts(first.public, second.sign(b"data"), b"data")
        ground.put(a_key())
        other = ground.opened()
        assert other.public != first.public, "control: another key is another one"
        assert not accepts(first.public, other.sign(b"data"), b"data")

    def test_a_bundle_of_it_is_evidence(self, ground: SignerGround) -> None:
        signer = ground.opened()
        verify_blob(sign_blob(signer, b"data"), b"data", signer.public)
        digest = hashlib.sha256(b"data").hexdigest()
        said = statement([Subject("data", digest)], "https://example.org/predicate", {"a": 1})
        assert verify_dsse(sign_statement(signer, said), signer.public, digest) == said
        ground.put(a_key())
        with pytest.raises(GopubError, match="GP311"):
            verify_blob(sign_blob(signer, b"data"), b"data", ground.opened().public)

    async def test_a_release_is_signed_with_it(self, ground: SignerGround) -> None:
        signer = ground.opened()
        said = statement(
            [Subject("data", hashlib.sha256(b"data").hexdigest())], "https://example.org/p", {"a": [1, "é"]}
        )
        async with open_signing(ground.connection, NONE, Path("nowhere")) as signing:
            await signing.ready()
            blob, stated = await signing.bundles([ToSign(b"data"), ToSign.stating(said)])
        assert blob != stated
        verify_blob(blob, b"data", signer.public)
        assert verify_dsse(stated, signer.public, hashlib.sha256(b"data").hexdigest()) == said
        for bundle in (blob, stated):
            made = json.loads(bundle)["verificationMaterial"]
            assert made == {"publicKey": {"hint": signer.public.hint}}, "a key's bundle is what it was"

    def test_many_sign_at_once(self, ground: SignerGround) -> None:
        signer = ground.opened()
        with ThreadPoolExecutor(8) as threads:
            signatures = list(threads.map(lambda n: signer.sign(b"%d" % n), range(40)))
        assert all(accepts(signer.public, signature, b"%d" % n) for n, signature in enumerate(signatures))

    def test_a_key_that_is_not_there_is_told_with_what_to_do(self, ground: SignerGround) -> None:
        ground.clear()
        with pytest.raises(GopubError) as caught:
            ground.opened()
        assert ground.place in caught.value.problem
        assert caught.value.hint

    def test_a_key_that_may_not_sign_is_told_and_not_shown(self, ground: SignerGround) -> None:
        for pem in unusable():
            ground.put(pem)
            with pytest.raises(GopubError) as caught:
                ground.opened()
            assert (caught.value.code, bool(caught.value.hint)) == ("GP300", True)
            assert not shows(str(caught.value), pem)

    def test_nothing_of_the_key_is_shown(self, ground: SignerGround) -> None:
        ground.put(pem := a_key())
        signer = ground.opened()
        shown = f"{ground.connection!r} {ground.connection.model_dump_json()} {signer!r} {signer} {signer.public!r}"
        assert not shows(shown, pem)
        key = serialization.load_pem_private_key(pem.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        number = key.private_numbers().private_value
        assert str(number) not in shown
        assert f"{number:x}" not in shown


def shows(text: str, pem: str) -> bool:
    """Whether a line of the key stands in it."""
    return any(line[:20] in text for line in pem.splitlines() if not line.startswith("-----"))


class TestKeyFile(SignerContract):
    KIND = "key"

    @pytest.fixture
    def ground(self, tmp_path: Path) -> SignerGround:
        path = tmp_path / "gopub.key"
        path.touch(0o600)
        path.write_text(a_key())
        made = connected("{kind: key, private: {file: gopub.key}, public: gopub.pub}", tmp_path)
        return SignerGround(made, lambda pem: path.write_text(pem) and None, path.unlink, str(path))

    def test_a_key_that_others_may_read_signs_nothing(self, ground: SignerGround, tmp_path: Path) -> None:
        (tmp_path / "gopub.key").chmod(0o640)
        with pytest.raises(GopubError, match=r"GP301 .* is open to other users"):
            ground.opened()


class TestKeyVariable(SignerContract):
    KIND = "key"

    @pytest.fixture
    def ground(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SignerGround:
        monkeypatch.setenv("GOPUB_TEST_KEY", a_key())
        made = connected("{kind: key, private: {env: GOPUB_TEST_KEY}, public: gopub.pub}", tmp_path)
        return SignerGround(
            made,
            lambda pem: monkeypatch.setenv("GOPUB_TEST_KEY", pem),
            lambda: monkeypatch.delenv("GOPUB_TEST_KEY"),
            "GOPUB_TEST_KEY",
        )
