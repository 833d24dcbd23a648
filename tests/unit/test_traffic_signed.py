"""The edge's check of a signature under luajit, held against an oracle of a few lines and another library."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
import re
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from gopub.evidence.keys import KeySigner
from gopub.process import run
from gopub.traffic.signed import DOMAIN, TableKey
from tests.unit.traffic_lua import LUA, dice

HARNESS = Path(__file__).parent / "lua" / "signature.lua"
LETTERS = "ABCab019+/=:-_ .é\t"


def considered(keys: Path, cases: list[tuple[str, str | None]], *more: str) -> list[Any]:
    """What the edge makes of each table and header."""
    lines = "".join(json.dumps({"text": text, "given": given}, ensure_ascii=False) + "\n" for text, given in cases)
    done = asyncio.run(run(["luajit", str(HARNESS), str(LUA), str(keys), *more], stdin=lines.encode()))
    return [json.loads(line) for line in done.out.splitlines()]


def expected(known: dict[str, KeySigner], text: str, given: str | None) -> dict[str, Any]:
    """The same by Python's own Base64 and another library's ECDSA."""
    if not given:
        return {"reason": "missing"} if known else {"believed": False}
    parts = re.fullmatch(r"([0-9a-f]{64}):([A-Za-z0-9+/]+={0,2})", given)
    try:
        der = base64.b64decode(parts[2], validate=True) if parts else b""
    except ValueError:
        der = b""
    if not parts or not der or base64.b64encode(der).decode() != parts[2] or len(given) > 256:
        return {"reason": "malformed"}
    if not known:
        return {"key": parts[1], "believed": False}
    if parts[1] not in known:
        return {"reason": "unknown-key"}
    digest = hashlib.sha256(DOMAIN + text.encode()).digest()
    right = known[parts[1]].public.accepts(der, digest=digest)
    return {"key": parts[1], "believed": True} if right else {"reason": "wrong"}


def drawn(draw: random.Random, keys: list[TableKey]) -> tuple[str, str | None]:
    """A table and a header that is right, or a little wrong."""
    text = "".join(draw.choices("{}ab é", k=draw.randrange(40)))
    header = list(draw.choice(keys).header(text.encode()))
    for _ in range(draw.randrange(3)):
        at = draw.randrange(len(header)) if header else 0
        taken = draw.choice((0, 1, 1, 4, 400))
        header[at : at + taken] = draw.choices(LETTERS, k=draw.randrange(2))
    if not draw.randrange(9):
        text += "x"
    return text, draw.choice(("".join(header), "".join(header), "".join(header), None, ""))


def test_the_edge_and_another_library_agree_on_what_a_signature_is_worth(tmp_path):
    draw = dice()
    signers = [KeySigner(ec.generate_private_key(ec.SECP256R1())) for _ in range(3)]
    keys = [TableKey(one.public.fingerprint, one.public.pem, one.sign) for one in signers]
    for one in keys[:2]:
        (tmp_path / f"{one.fingerprint}.pem").write_bytes(one.pem)
    known = {one.public.fingerprint: one for one in signers[:2]}
    cases = [drawn(draw, keys) for _ in range(3000)]
    found = considered(tmp_path, cases)
    assert found == [expected(known, *case) for case in cases]
    told = {one.get("reason", one.get("believed")) for one in found}
    assert told == {True, "missing", "malformed", "unknown-key", "wrong"}, "control: each was drawn"
    without = cases[:500]
    assert considered(tmp_path / "none", without) == [expected({}, *case) for case in without]


def test_an_nginx_without_openssl_takes_all_or_nothing(tmp_path):
    """Where a key lies nothing is taken that it cannot check; elsewhere a signature is as if it were not there."""
    signer = KeySigner(ec.generate_private_key(ec.SECP256R1()))
    header = TableKey(signer.public.fingerprint, signer.public.pem, signer.sign).header(b"{}")
    cases = [("{}", header), ("{}", None)]
    assert considered(tmp_path, cases, "none") == [{"believed": False}] * 2
    (tmp_path / f"{signer.public.fingerprint}.pem").write_bytes(signer.public.pem)
    assert considered(tmp_path, cases, "none") == [{"reason": "malformed"}, {"reason": "missing"}]
    assert considered(tmp_path, cases)[0]["believed"], "control"
