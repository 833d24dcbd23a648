"""What a case of tests/cases/evidence says of a bundle, made: signed as it wishes, then changed as it says."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Use

from tests.support.der import utf8
from tests.support.sigstore_world import NOW, Ca, Wish, b64, new_key

MATERIAL = "verificationMaterial"
TIMES = {"stamped_at", "integrated_at", "sct_at"}
KEYS: dict[str, Callable[[], Any]] = {
    "p256": new_key,
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa": lambda: _Rsa(rsa.generate_private_key(65537, 2048)),
}
USES = {"code": Use.CODE_SIGNING, "server": Use.SERVER_AUTH, "any": Use.ANY_EXTENDED_KEY_USAGE}
LONG = "https://gitlab.test/" + 3000 * "x"


class _Rsa:
    """An RSA key whose signature nobody looks at: its certificate is refused before."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self.public_key = key.public_key

    def sign(self, digest: bytes) -> bytes:
        return digest


def wished(told: Mapping[str, Any], extensions: Mapping[int, str]) -> Wish:
    """The wish of a case; times are minutes after the certificate began."""
    changes = {name: _value(name, value, extensions) for name, value in told.items()}
    return Wish(**({"extensions": extensions} | changes))


def _value(name: str, value: Any, extensions: Mapping[int, str]) -> Any:
    if name in TIMES:
        return _minutes(value)
    made: dict[str, Callable[[], Any]] = {
        "valid": lambda: tuple(timedelta(minutes=one) for one in value),
        "by": lambda: Ca(name="test"),
        "tsa": lambda: Ca(stamps=True, name="tsa"),
        "eku": lambda: tuple(USES[one] for one in value),
        "names": lambda: tuple(map(_name, value)),
        "extensions": lambda: {key: one for key, one in {**extensions, **value}.items() if one is not None},
        "body": lambda: BODIES[value],
        **dict.fromkeys(("key", "log_key", "sct_key"), lambda: KEYS[value]()),  # noqa: PLW0108 - most have no key
        **dict.fromkeys(("log", "sct_id"), lambda: 32 * b"x"),
    }
    return made.get(name, lambda: value)()


def _minutes(count: float) -> datetime:
    return NOW + timedelta(minutes=count)


def _name(text: str) -> x509.GeneralName:
    kind, _, value = text.partition(":")
    if kind == "other":
        return x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7"), utf8(value))
    if kind == "uri":  # past the library's own check that it is ASCII
        return x509.UniformResourceIdentifier._init_without_validation(LONG if value == "LONG" else value)
    made: dict[str, Callable[[str], x509.GeneralName]] = {
        "email": x509.RFC822Name,
        "dns": x509.DNSName,
        "ip": lambda one: x509.IPAddress(ip_address(one)),
    }
    return made[kind](value)


def _signer(told: dict[str, Any]) -> dict[str, Any]:
    told["spec"]["hashedRekordV002"]["signature"]["verifier"]["x509Certificate"]["rawBytes"] = b64(b"x")
    return told


def _payload(told: dict[str, Any]) -> dict[str, Any]:
    of = told["spec"].get("dsseV002", told["spec"])
    of["payloadHash"] = {key: b64(32 * b"x") if key == "digest" else one for key, one in of["payloadHash"].items()}
    if "value" in of["payloadHash"]:
        of["payloadHash"]["value"] = "7" * 64
    return told


BODIES = {"signer": _signer, "payload": _payload, "more": lambda told: told | {"more": 1}}


def changed(told: Any, case: Mapping[str, Any], *, other: Callable[[], Any]) -> Any:
    """With what a case sets, drops, and takes from another."""
    made = json.loads(json.dumps(told))
    for path, value in case.get("set", {}).items():
        _put(made, path, b64(value["b64"].encode()) if isinstance(value, dict) and "b64" in value else value)
    for path in case.get("drop", ()):
        at, last = _at(made, path)
        del at[last]
    for path in case.get("other", ()):
        at, last = _at(other(), path)
        _put(made, path, at[last])
    return made


def _put(told: Any, path: str, value: Any) -> None:
    at, last = _at(told, path)
    at[last] = value


def _at(told: Any, path: str) -> tuple[Any, Any]:
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in way:
        told = told[part]
    return told, last


def written(told: Any, case: Mapping[str, Any]) -> bytes:
    """Its bytes, with what a case replaces in the text."""
    text = json.dumps(told)
    if "text" in case:
        before, after = case["text"]
        assert before in text, before
        place = text.rindex(before)
        text = text[:place] + after.replace("NINES", 5000 * "9") + text[place + len(before) :]
    return FILES[case["file"]](text) if case.get("file") in FILES else text.encode()


def _spelled(change: Callable[[str], str]) -> Callable[[str], bytes]:
    """With all Base64 of the certificate and the signature spelled otherwise."""

    def done(text: str) -> bytes:
        told = json.loads(text)
        for at, name in ((told["messageSignature"], "signature"), (told[MATERIAL]["certificate"], "rawBytes")):
            at[name] = change(at[name])
        return json.dumps(told).encode()

    return done


def _entries(change: Callable[[list[Any]], list[Any]], *path: str) -> Callable[[str], bytes]:
    def done(text: str) -> bytes:
        told = json.loads(text)
        at: Any = told
        for part in path[:-1]:
            at = at[int(part)] if part.isdigit() else at[part]
        at[path[-1]] = change(at[path[-1]])
        return json.dumps(told).encode()

    return done


def _certificate(change: Callable[[bytes], bytes]) -> Callable[[str], bytes]:
    return _spelled_at(lambda told: told[MATERIAL]["certificate"], "rawBytes", change)


def _spelled_at(place: Callable[[Any], Any], name: str, change: Callable[[bytes], bytes]) -> Callable[[str], bytes]:
    def done(text: str) -> bytes:
        told = json.loads(text)
        place(told)[name] = b64(change(base64.b64decode(place(told)[name])))
        return json.dumps(told).encode()

    return done


def _as_pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


STAMPS = (MATERIAL, "timestampVerificationData", "rfc3161Timestamps")
FILES: dict[str, Callable[[str], bytes]] = {
    "untouched": str.encode,
    "nested": lambda _: (10 << 20) * b"[",
    "deep": lambda text: text.replace('"integratedTime": "0"', f'"integratedTime": {100 * "["}{100 * "]"}').encode(),
    "utf16": lambda text: text.encode("utf-16"),
    "bom": lambda text: text.encode("utf-8-sig"),
    "spaced": lambda text: b"\r\n\t " + text.encode() + b"\n\n",
    "nothing": lambda _: b"",
    "listed": lambda text: f"[{text}]".encode(),
    "two": lambda text: f"{text}\n{text}\n".encode(),
    "urls": _spelled(lambda text: text.replace("+", "-").replace("/", "_")),
    "unpadded": _spelled(lambda text: text.rstrip("=")),
    "trailing": _certificate(lambda der: der + b"\0\0"),
    "pem": _certificate(_as_pem),
    "negative": _certificate(lambda der: der[:15] + bytes([der[15] | 0x80]) + der[16:]),
    "twice": _entries(lambda told: told * 2, MATERIAL, "tlogEntries"),
    "longer": _entries(lambda told: [*told, told[0]], MATERIAL, "tlogEntries", "0", "inclusionProof", "hashes"),
    "stamped twice": _entries(lambda told: told * 2, *STAMPS),
    "stamps": _entries(lambda told: told * 33, *STAMPS),
    "two signatures": _entries(lambda told: told * 2, "dsseEnvelope", "signatures"),
    "two numbers": _spelled_at(lambda told: told["messageSignature"], "signature", lambda _: 64 * b"\1"),
}


def other_digest(digest: bytes) -> bytes:
    """That of another file."""
    return hashlib.sha256(digest).digest()
