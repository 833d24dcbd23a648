"""A whole Sigstore made in the test, and two who judge: stock cosign believes what gopub does, and once more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gopub.errors import RefusedError
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.statement import Subject, statement
from gopub.evidence.trust import read_trust
from gopub.process import base_environment, run
from tests.minio_server import program
from tests.support.sigstore_world import HOUR, IDENTITY, ISSUER, NOW, Ca, Wish, World, b64, new_key, raw

DATA = b"release"
DIGEST = hashlib.sha256(DATA).hexdigest()
KIND = "https://example.com/x"
SAID = statement([Subject("a", DIGEST)], KIND, {"x": 1})
OLD = SAID | {"_type": "https://in-toto.io/Statement/v0.1"}
Spoil = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def gopub(root: Any, bundle: bytes, *, said: bool) -> str:
    """The code with which gopub refuses it; empty where it believes it."""
    by = KeylessVerifier(read_trust(json.dumps(root).encode(), file="root.json"))
    try:
        _ = by.statement(bundle, DIGEST) if said else by.blob(bundle, DIGEST)
    except RefusedError as error:
        return error.code
    return ""


async def cosign(root: Any, bundle: bytes, folder: Path, *, said: bool, stamped: bool) -> bool:
    """Whether stock cosign believes it."""
    for name, data in (("root", json.dumps(root).encode()), ("bundle", bundle), ("file", DATA)):
        (folder / name).write_bytes(data)
    argv = [str(program("cosign")), *(["verify-blob-attestation", "--type", KIND] if said else ["verify-blob"])]
    argv += ["--bundle", str(folder / "bundle"), "--trusted-root", str(folder / "root")]
    argv += ["--certificate-identity", IDENTITY, "--certificate-oidc-issuer", ISSUER]
    argv += ["--use-signed-timestamps"] if stamped else []
    environment = base_environment(extra={"HOME": str(folder)})
    return (await run([*argv, str(folder / "file")], env=environment, check=False)).code == 0


@pytest.mark.parametrize("said", [None, SAID, OLD], ids=["file", "statement", "older statement"])
@pytest.mark.parametrize("wish", [Wish(), Wish(rekor=1), Wish(rekor=1, stamps=0)], ids=["v2", "v1", "v1 alone"])
async def test_both_believe_what_was_signed(world: World, tmp_path: Path, wish: Wish, said: Any) -> None:
    made = world.statement(said, wish) if said else world.blob(bytes.fromhex(DIGEST), wish)
    root = world.trusted_root()
    assert gopub(root, raw(made), said=bool(said)) == ""
    assert await cosign(root, raw(made), tmp_path, said=bool(said), stamped=bool(wish.stamps))


def nothing(_: dict[str, Any]) -> None:
    """The trust config as it is."""


def over(part: str) -> Spoil:
    def done(root: dict[str, Any]) -> None:
        one = root[part][0]
        one.get("publicKey", one)["validFor"]["end"] = (NOW - HOUR).isoformat()

    return done


BOTH: dict[str, tuple[Wish, Spoil]] = {
    "another authority": (Wish(by=Ca()), nothing),
    "another timestamp authority": (Wish(tsa=Ca(stamps=True, name="tsa")), nothing),
    "stamped after it ended": (Wish(stamped_at=NOW + HOUR), nothing),
    "another log": (Wish(log=b"x" * 32), nothing),
    "another log's key": (Wish(log_key=new_key()), nothing),
    "another log's host": (Wish(origin="other.test"), nothing),
    "another log of certificates": (Wish(sct_key=new_key()), nothing),
    "an authority that was over": (Wish(), over("certificateAuthorities")),
    "a log of certificates that was over": (Wish(), over("ctlogs")),
    "a timestamp authority that was over": (Wish(), over("timestampAuthorities")),
}


@pytest.mark.parametrize("name", BOTH)
async def test_neither_believes_a_forgery(world: World, tmp_path: Path, name: str) -> None:
    wish, spoil = BOTH[name]
    root, made = world.trusted_root(), raw(world.blob(bytes.fromhex(DIGEST), wish))
    spoil(root)
    assert gopub(root, made, said=False) == "GP317"
    assert not await cosign(root, made, tmp_path, said=False, stamped=True)


def body(told: dict[str, Any]) -> None:
    told["verificationMaterial"]["tlogEntries"][0]["canonicalizedBody"] = b64(b"{}")


async def test_what_cosign_lets_through_gopub_does_not(world: World, tmp_path: Path) -> None:
    """A log's key that was over, and a body in the bundle that is not the log's."""
    root, made = world.trusted_root(), world.blob(bytes.fromhex(DIGEST), Wish())
    over("tlogs")(root)
    assert gopub(root, raw(made), said=False) == "GP317"
    assert await cosign(root, raw(made), tmp_path, said=False, stamped=True)
    body(made)
    assert gopub(world.trusted_root(), raw(made), said=False) == "GP317"


async def test_a_certificate_that_began_later_is_none_for_both(world: World, tmp_path: Path) -> None:
    wish = Wish(valid=(timedelta(minutes=-1), timedelta(minutes=10)))
    root, made = world.trusted_root(), raw(world.blob(bytes.fromhex(DIGEST), wish))
    assert gopub(root, made, said=False) == "GP317"
    assert not await cosign(root, made, tmp_path, said=False, stamped=True)
