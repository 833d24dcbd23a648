"""Any part of a trust config or of a bundle replaced by junk: a typed refusal, or it was nothing that counts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from gopub.errors import RefusedError, UsageError
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.trust import read_trust
from tests.support.sigstore_world import Wish, World

DATA = hashlib.sha256(b"release").digest()
JUNK: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1 << 70,
    "",
    "x",
    "AAAA",
    "https://[",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
    "2026-01-01T00:00:00",
    [],
    [None],
    {},
    {"x": 1},
)


def places(told: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from places(value, (*path, key))


def spoilt(told: Any) -> Iterator[tuple[tuple[Any, ...], bytes]]:
    """With junk in each place, one at a time."""
    for path in places(told):
        for junk in JUNK:
            made = json.loads(json.dumps(told))
            at = made
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = junk
            yield path, json.dumps(made).encode()


def test_a_trust_config_with_junk_in_it_says_so_or_believes_less_or_the_same() -> None:
    """What it still believes may be refused for all that is wrong with it, and nothing else happens."""
    world = World()
    bundle, good = json.dumps(world.blob(DATA)).encode(), 0
    refused = unbelieved = 0
    for _, data in spoilt(world.trusted_root()):
        try:
            trust = read_trust(data, file="corp.json")
        except UsageError as error:
            refused += error.code == "GP318"
            continue
        try:
            good += KeylessVerifier(trust).blob(bundle, DATA.hex()).claims is not None
        except RefusedError as error:
            unbelieved += error.code == "GP317"
    assert refused > 500 and unbelieved > 10 and good > 20


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_bundle_with_junk_in_it_is_refused(rekor: int) -> None:
    world = World()
    by = KeylessVerifier(read_trust(json.dumps(world.trusted_root()).encode(), file="corp.json"))
    believed, codes = set(), set()
    for path, data in spoilt(world.blob(DATA, Wish(rekor=rekor))):
        try:
            by.blob(data, DATA.hex())
        except RefusedError as error:
            codes.add(error.code)
        else:
            believed.add(".".join(str(one) for one in path if not isinstance(one, int)))
    assert codes <= {"GP310", "GP311", "GP312", "GP316", "GP317"} and {"GP310", "GP317"} <= codes
    assert believed <= FREE | (ALSO_V1 if rekor == 1 else set())


ENTRY = "verificationMaterial.tlogEntries"
FREE = {f"{ENTRY}.logIndex", f"{ENTRY}.integratedTime", f"{ENTRY}.inclusionPromise", "messageSignature.messageDigest"}
"""What nobody signed, or may be left out: the index of a Rekor v2, a time without promise, a digest that is ours."""
STAMPS = "verificationMaterial.timestampVerificationData"
ALSO_V1 = {f"{ENTRY}.inclusionPromise.signedEntryTimestamp", STAMPS, f"{STAMPS}.rfc3161Timestamps"}
"""Of two who tell the time, one may be missing."""
