"""One bit of a bundle is wrong: it is refused as what it is, whatever the libraries make of it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gopub.errors import RefusedError
from gopub.evidence.certificates import claims_of, read_certificate, seen_by_log
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.trust import read_trust
from tests.support.sigstore_world import Wish, World, b64, new_key, raw

DATA = hashlib.sha256(b"release").digest()
STEP = 7
"""Every seventh byte, and another bit each time."""


def flips(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), STEP):
        yield data[:at] + bytes((data[at] ^ (1 << (at // STEP) % 8),)) + data[at + 1 :]


def leaves(told: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the bundle has bytes in Base64."""
    inner = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
    for key, value in inner:
        if isinstance(value, str) and key not in WORDS:
            yield (*path, key)
        yield from leaves(value, (*path, key))


WORDS = {"mediaType", "logIndex", "kind", "version", "integratedTime", "treeSize", "envelope", "algorithm"}
UNSIGNED = {"signedTimestamp"}
"""A timestamp has parts beside what is signed; where the log tells the time, too, a broken one counts for nothing."""


def with_leaf(bundle: dict[str, Any], path: tuple[Any, ...], value: str) -> bytes:
    made = json.loads(json.dumps(bundle))
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return raw(made)


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_bundle_with_one_wrong_bit_is_refused(rekor: int) -> None:
    world = World()
    trust = read_trust(json.dumps(world.trusted_root()).encode(), file="corp.json")
    by, bundle = KeylessVerifier(trust), world.blob(DATA, Wish(rekor=rekor))
    good = by.blob(raw(bundle), DATA.hex())
    tried = 0
    for path in leaves(bundle):
        value = bundle
        for key in path:
            value = value[key]
        for flipped in flips(base64.b64decode(str(value))):
            tried += 1
            try:
                signed = by.blob(with_leaf(bundle, path, b64(flipped)), DATA.hex())
            except RefusedError:
                continue
            assert path[-1] in UNSIGNED, path
            assert signed == good or signed.unchecked == ("timestamp",), path
    assert tried > 300


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_certificate_that_is_broken_anywhere_raises_nothing_else() -> None:
    der = World().certificate(Wish(), new_key()).public_bytes(Encoding.DER)
    read = 0
    for at in range(len(der)):
        for bit in (0, 3, 7):
            with suppress(RefusedError):
                made = read_certificate(der[:at] + bytes((der[at] ^ (1 << bit),)) + der[at + 1 :])
                claims_of(made, (), "")
                seen_by_log(made)
                read += 1
    assert 0 < read < 3 * len(der)
