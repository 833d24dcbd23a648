"""Whether a signature stands in a log that is believed, and when it was there: for keys and for certificates.

1. the bundle has exactly one entry, of a kind that is known, with its path to the root of a signed checkpoint; the
   kind of attestations of years ago, intoto 0.0.2, beside a key alone, for sigstore-python takes no time from it;
2. the entry names a log of the trust config by its exact id; the checkpoint is of that log's host, and of the tree of
   the proof;
3. path, checkpoint and promise are the log's (by sigstore-python, which is given that one log alone);
4. the entry's body, made anew from signer, digest and signature, is the one in the log;
5. each timestamp is of the bundle's signature, by an authority that was valid then; none stands there twice. One of
   an authority that is not known counts for nothing, and is told as unchecked;
6. the log's key was in use at every time that was found. An integratedTime without promise is nobody's word.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gopub.canon import JsonError, b64, bounded, read_json
from gopub.errors import RefusedError
from gopub.evidence.claims import Clock, SignedAt
from gopub.evidence.reading import Bundle, Envelope, LogEntry
from gopub.evidence.statement import PAYLOAD_TYPE
from gopub.evidence.trust import LogKey, Trust
from gopub.evidence.unbelieved import Step, unbelieved

KEY, CERTIFICATE = "publicKey", "x509Certificate"
"""How Rekor v2 names what a signer is."""
_V1, _V2 = "0.0.1", "0.0.2"
_INTOTO = ("intoto", _V2)
_KINDS = {(kind, version) for kind in ("hashedrekord", "dsse") for version in (_V1, _V2)} | {_INTOTO}
_P256 = "PKIX_ECDSA_P256_SHA_256"
_BODY = 1 << 20


@dataclass(frozen=True, slots=True)
class Writer:
    """A signer as logs write them: PEM in Rekor v1; in v2 DER under the name of what it is."""

    pem: bytes
    der: bytes
    named: str

    @property
    def called(self) -> str:
        """What it is, to people."""
        return "certificate" if self.named == CERTIFICATE else "key"


def in_log(bundle: Bundle, writer: Writer, digest: bytes, trust: Trust) -> tuple[LogEntry, tuple[LogKey, ...]]:
    """Steps 1 to 4: the one entry, and the keys of its log. ``digest`` is that of what was signed.

    Raises:
        RefusedError: GP317 with the step; GP316 an entry of another kind.
    """
    if len(bundle.entries) != 1:
        raise unbelieved(Step.LOG, f"the bundle has {len(bundle.entries)} entries of logs, and needs exactly one")
    entry = bundle.entries[0]
    if (entry.kind, entry.version) not in _KINDS or (_is_intoto(entry) and writer.named == CERTIFICATE):
        shown = bounded(f"{entry.kind} {entry.version}", 40)
        raise RefusedError(
            "GP316",
            f"the bundle is of a kind that is not supported: a log entry of kind {shown} beside a {writer.called}",
            hint="sign it with cosign 3 or later",
        )
    logs = _named(entry, trust)
    proven = tuple(one for one in logs if _proves(entry, one))
    if not proven:
        raise unbelieved(Step.LOG, "its path, its checkpoint or its promise is not that of the log that it names")
    _check_body(entry, bundle, writer, digest)
    return entry, proven


def at_times(bundle: Bundle, entry: LogEntry | None, trust: Trust) -> tuple[tuple[SignedAt, ...], tuple[bytes, ...]]:
    """Step 5: when the signature was there for certain, the earliest first, and the stamps that say so.

    Raises:
        RefusedError: GP317 a timestamp is none, or stands there twice.
    """
    if len(set(bundle.stamps)) != len(bundle.stamps):
        raise unbelieved(Step.TIME, "a timestamp stands there twice")
    stamped = [(stamp, at) for stamp in bundle.stamps if (at := _stamped(stamp, bundle, trust))]
    times = [SignedAt(at, Clock.TSA) for _, at in stamped]
    if entry and entry.promise and entry.at and _of_rekor_v1(entry):
        times.append(SignedAt(_moment(entry.at), Clock.LOG))
    return tuple(sorted(times, key=lambda one: one.at)), tuple(stamp for stamp, _ in stamped)


def in_use(logs: Sequence[LogKey], times: Sequence[SignedAt]) -> tuple[LogKey, ...]:
    """Step 6: those of the keys that were in use at all these times.

    Raises:
        RefusedError: GP317 none was, or nobody can know for there is no time, and the key has an end.
    """
    asked = [one.at for one in times]
    used = tuple(one for one in logs if one.window.holds(asked) and (asked or one.window.end is None))
    if not used:
        raise unbelieved(Step.WINDOW, "the log's key was not in use when it was signed")
    return used


def checked_beside(bundle: Bundle, writer: Writer, digest: bytes, trust: Trust) -> tuple[str, ...]:
    """Check the entry and the timestamps beside a key's signature, where there are any; gives what is unchecked.

    Raises:
        RefusedError: GP316, GP317.
    """
    entry, logs = in_log(bundle, writer, digest, trust) if bundle.entries else (None, ())
    times, stamps = at_times(bundle, entry, trust)
    if logs:
        in_use(logs, times)
    return ("timestamp",) if len(stamps) < len(bundle.stamps) else ()


def _named(entry: LogEntry, trust: Trust) -> tuple[LogKey, ...]:
    if entry.proof is None:
        raise unbelieved(Step.LOG, "it has no proof that it is in the log")
    logs = tuple(one for one in trust.logs if one.log == entry.log)
    if not logs:
        raise unbelieved(Step.LOG, "it is of a log that the trust config does not have")
    origin, size, *_ = [*entry.proof.checkpoint.split("\n"), "", ""]
    own = tuple(one for one in logs if origin == one.host or (_of_rekor_v1(entry) and _shard(origin, one.host)))
    if not own:
        raise unbelieved(Step.LOG, "its checkpoint is of another log than the one that it names")
    if size != str(entry.proof.size) or entry.proof.index >= entry.proof.size:
        raise unbelieved(Step.LOG, "its checkpoint is of another tree than the proof")
    return own


def _of_rekor_v1(entry: LogEntry) -> bool:
    return entry.version == _V1 or _is_intoto(entry)


def _is_intoto(entry: LogEntry) -> bool:
    return (entry.kind, entry.version) == _INTOTO


def _shard(origin: str, host: str) -> bool:
    """Rekor v1 writes its host and the number of its tree."""
    named, _, tree = origin.partition(" - ")
    return named == host and tree.isascii() and tree.isdecimal()


def _proves(entry: LogEntry, log: LogKey) -> bool:
    from gopub.evidence.sigstore_python import check_entry

    try:
        check_entry(entry, log)
    except ValueError:
        return False
    return True


def _check_body(entry: LogEntry, bundle: Bundle, writer: Writer, digest: bytes) -> None:
    try:
        body = read_json(entry.body, limit=_BODY)
    except JsonError:
        raise unbelieved(Step.BODY, "it is not JSON") from None
    said = _without_unsigned(body) if (entry.kind, entry.version) in {("dsse", _V1), _INTOTO} else body
    if said != _expected(entry, bundle, writer, digest):
        raise unbelieved(Step.BODY, "the log has another signer, file or signature than the bundle")


def _expected(entry: LogEntry, bundle: Bundle, writer: Writer, digest: bytes) -> dict[str, Any]:
    signature, content = b64(bundle.content.signature), bundle.content
    if entry.kind in {"dsse", "intoto"} and not isinstance(content, Envelope):
        raise unbelieved(Step.BODY, "the log has an envelope, the bundle a signature over a file")
    payload = hashlib.sha256(content.payload).digest() if isinstance(content, Envelope) else b""
    verifier = {"keyDetails": _P256, writer.named: {"rawBytes": b64(writer.der)}}
    new, pem = {"content": signature, "verifier": verifier}, b64(writer.pem)
    specs: dict[tuple[str, str], dict[str, Any]] = {
        ("hashedrekord", _V1): {
            "data": {"hash": {"algorithm": "sha256", "value": digest.hex()}},
            "signature": {"content": signature, "publicKey": {"content": pem}},
        },
        ("dsse", _V1): {
            "payloadHash": {"algorithm": "sha256", "value": payload.hex()},
            "signatures": [{"signature": signature, "verifier": pem}],
        },
        ("hashedrekord", _V2): {
            "hashedRekordV002": {"data": {"algorithm": "SHA2_256", "digest": b64(digest)}, "signature": new}
        },
        ("dsse", _V2): {
            "dsseV002": {"payloadHash": {"algorithm": "SHA2_256", "digest": b64(payload)}, "signatures": [new]}
        },
    }
    signed = {"publicKey": pem, "sig": b64(signature.encode())}
    specs[_INTOTO] = {
        "content": {
            "envelope": {"payloadType": PAYLOAD_TYPE, "signatures": [signed]},
            "payloadHash": {"algorithm": "sha256", "value": payload.hex()},
        }
    }
    return {"apiVersion": entry.version, "kind": entry.kind, "spec": specs[entry.kind, entry.version]}


def _without_unsigned(body: object) -> object:
    """The hash of the envelope's own JSON is in the log alone: nobody can make it anew."""
    spec = body.get("spec") if isinstance(body, Mapping) else None
    if not isinstance(body, Mapping) or not isinstance(spec, Mapping):
        return body
    if body.get("kind") != "intoto":
        return {**body, "spec": {key: one for key, one in spec.items() if key != "envelopeHash"}}
    match spec:
        case {"content": {"envelope": {"signatures": [{"publicKey": str(key), **signed}], **envelope}, **content}}:
            content.pop("hash", None)
            signature = {**signed, "publicKey": _with_newline(key)}
            made = {**content, "envelope": {**envelope, "signatures": [signature]}}
            return {**body, "spec": {**spec, "content": made}}
        case _:
            return body


def _with_newline(key: str) -> str:
    """PEM in Base64; of this kind the log keeps what the client sent, with a newline at its end or without."""
    try:
        return b64(base64.b64decode(key, validate=True).removesuffix(b"\n") + b"\n")
    except ValueError:
        return key


def _stamped(stamp: bytes, bundle: Bundle, trust: Trust) -> datetime | None:
    from gopub.evidence.sigstore_python import stamped_at

    for one in trust.stampers:
        try:
            at = stamped_at(stamp, bundle.content.signature, one)
        except ValueError:
            raise unbelieved(Step.TIME, "a timestamp is none") from None
        if at is not None and one.valid((at,)):
            return at
    return None


def _moment(at: int) -> datetime:
    try:
        return datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):
        raise unbelieved(Step.TIME, "the log's time is none") from None
