"""Who sent a webhook: GitLab's plain token, the signed form (Standard Webhooks, version 1), and HMACs of bodies in hex.

A signed delivery carries ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``; the signature is
``v1,`` + base64(HMAC-SHA256(key, id + "." + timestamp + "." + raw body)), several of them separated by spaces. The
secret is ``whsec_`` + base64(key). The order of the checks:

1. where a signing secret is set, only a signature counts: a captured token must not open a second way in;
2. the timestamp lies within 5 minutes of our clock;
3. one of the signatures matches one of the secrets (the current one, or the one before it while both are valid).

Every comparison takes the same time whatever it compares, and none ends early.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TOLERANCE = 300.0
"""Seconds that a signed delivery may be old, or early."""

_PREFIX = "whsec_"
_VERSION = "v1,"


@dataclass(frozen=True, slots=True)
class HookSecrets:
    """The secrets of one sender, the newest first: plain tokens, and what signs (GitLab's as ``whsec_…``)."""

    tokens: tuple[str, ...] = ()
    signing: tuple[str, ...] = ()


def refusal(secrets: HookSecrets, headers: Mapping[str, str], body: bytes, now: float) -> str | None:
    """Why this delivery is not from the holder of ``secrets``; None when it is.

    ``headers`` has lower-case names. The reason is for our log, not for the sender.
    """
    if secrets.signing:
        return _signature_refusal(secrets.signing, headers, body, now)
    if not secrets.tokens:
        return "no secret is set up"
    presented = headers.get("x-gitlab-token", "")
    return None if any_equal(presented, secrets.tokens) else "the token is missing or wrong"


def _signature_refusal(signing: Sequence[str], headers: Mapping[str, str], body: bytes, now: float) -> str | None:
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    delivery, stamp, signatures = (headers.get(name, "") for name in names)
    if not (delivery and stamp and signatures):
        return "it is not signed"
    if not _fresh(stamp, now):
        return f"its timestamp is more than {TOLERANCE:g}s away from our clock"
    expected = [sign(secret, delivery, stamp, body) for secret in signing]
    given = [part for part in signatures.split(" ") if part.startswith(_VERSION)]
    matches = [any_equal(part, expected) for part in given]
    return None if any(matches) else "no signature matches"


def hex_refusal(secrets: HookSecrets, presented: str, body: bytes, prefix: str = "") -> str | None:
    """Why a delivery that is signed by the HMAC-SHA256 of its body, in hex, is not from the holder; None when it is."""
    if not secrets.signing:
        return "no secret is set up"
    if not presented:
        return "it is not signed"
    macs = (hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in secrets.signing)
    return None if any_equal(presented, [prefix + mac for mac in macs]) else "no signature matches"


def _fresh(stamp: str, now: float) -> bool:
    try:
        at = float(stamp)
    except ValueError:
        return False
    return math.isfinite(at) and abs(now - at) <= TOLERANCE


def sign(secret: str, delivery: str, stamp: str, body: bytes) -> str:
    """The signature that the holder of ``secret`` sends: ``v1,<base64>``."""
    signed = f"{delivery}.{stamp}.".encode() + body
    mac = hmac.new(signing_key(secret), signed, hashlib.sha256).digest()
    return _VERSION + base64.b64encode(mac).decode()


def signing_key(secret: str) -> bytes:
    """The key inside ``whsec_<base64>``.

    Raises:
        ValueError: the text is no such secret; it does not repeat it.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or len(key) < 16:
        raise ValueError("not a signing secret: it begins with whsec_ and goes on with base64 of 16 bytes or more")
    return key


def any_equal(presented: str, accepted: Sequence[str]) -> bool:
    """Whether ``presented`` is one of ``accepted``, in a time that depends on neither."""
    digest = hashlib.sha256(presented.encode(errors="surrogateescape")).digest()
    found = [hmac.compare_digest(digest, hashlib.sha256(one.encode()).digest()) for one in accepted]
    return any(found)
