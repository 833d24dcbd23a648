"""What every connection to a Sigstore must do: believe whom its trust config names, and say what is wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gopub.errors import RefusedError, UsageError
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.trust import SigstoreConnection
from gopub.spec.connections import parse_connections
from gopub.spec.kinds import Kinds
from gopub.wiring.backends import BACKENDS
from tests.support.sigstore_world import IDENTITY, ISSUER, World, raw

DIGEST = hashlib.sha256(b"release").hexdigest()


@dataclass
class SigstoreGround:
    """A connection, and where it finds its trust config."""

    connection: SigstoreConnection
    put: Callable[[bytes], object]
    """Let it find this trust config."""
    clear: Callable[[], None]
    """Let it find none."""

    def believes(self, world: World) -> bool:
        """Whether what that Sigstore signed is believed."""
        bundle = raw(world.blob(bytes.fromhex(DIGEST)))
        try:
            signed = KeylessVerifier(self.connection.open("corp")).blob(bundle, DIGEST)
        except RefusedError:
            return False
        assert signed.claims
        return (signed.claims.identity, signed.claims.issuer, signed.claims.trust) == (IDENTITY, ISSUER, "corp")


def in_a_file(text: str, folder: Path, kinds: Kinds = BACKENDS) -> SigstoreGround:
    """A connection of that text, whose trust config lies in ``trust.json``."""
    made = parse_connections(f"s: {text}\n", "c.yaml", folder, kinds)["s"]
    assert isinstance(made, SigstoreConnection)
    file = folder / "trust.json"
    return SigstoreGround(made, file.write_bytes, file.unlink)


class SigstoreContract:
    """The suite; a subclass gives ``ground``."""

    KIND: str

    def test_it_believes_whom_its_trust_config_names_and_nobody_else(self, ground: SigstoreGround) -> None:
        ours, theirs = World(), World()
        ground.put(json.dumps(ours.trusted_root()).encode())
        assert ground.believes(ours)
        assert not ground.believes(theirs)

    def test_another_trust_config_holds_from_when_it_is_opened_again(self, ground: SigstoreGround) -> None:
        ours, theirs = World(), World()
        ground.put(json.dumps(ours.trusted_root()).encode())
        assert ground.believes(ours)
        ground.put(json.dumps(theirs.trusted_root()).encode())
        assert (ground.believes(ours), ground.believes(theirs)) == (False, True)

    @pytest.mark.parametrize("config", [b"", b"{", b"[]", b"{}", b"\xff", b"null", b'{"mediaType": "x"}'])
    def test_what_is_no_trust_config_is_told_with_what_to_do(self, ground: SigstoreGround, config: bytes) -> None:
        ground.put(config)
        with pytest.raises(UsageError) as caught:
            ground.connection.open("corp")
        assert (caught.value.code, bool(caught.value.hint)) == ("GP318", True)

    def test_one_that_is_not_there_is_told_with_what_to_do(self, ground: SigstoreGround) -> None:
        ground.put(json.dumps(World().trusted_root()).encode())
        assert ground.connection.open("corp").name == "corp"
        ground.clear()
        with pytest.raises(UsageError) as caught:
            ground.connection.open("corp")
        assert (caught.value.code, bool(caught.value.hint)) == ("GP318", True)


class TestSigstore(SigstoreContract):
    KIND = "sigstore"

    @pytest.fixture
    def ground(self, tmp_path: Path) -> SigstoreGround:
        return in_a_file("{kind: sigstore, trust: trust.json}", tmp_path)
