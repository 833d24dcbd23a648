"""Who answered a form, signed by the server that saw the login: nobody else can say so, nor say it of another answer.

A worker reads answers from Prefect, where everybody who reaches its API can write. What the proxy vouched for therefore
travels under a key that only the server and the workers have, bound to the run, the rollout and step that it was about,
the answer word for word, and the time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gopub.canon import Json, JsonError, canonical, digest_of, read_json
from gopub.errors import RefusedError

FIELD = "seal"
"""The key of an answer under which the seal lies; it is in no form."""
FRESH = 86400.0
"""Seconds for which an answer counts: a run that is started again later needs a new one."""
_AHEAD = 300.0
"""So far may the server's clock be before the worker's."""
_PURPOSE = b"gopub-approval/v1\0"
_MOST = 8192


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is vouched for: in ``run``, about ``step`` (from 1) of ``rollout``, ``login`` gave ``answer`` (a digest)."""

    run: str
    rollout: str
    step: int
    login: str
    by: str
    """What vouches: the proxy's header."""
    at: float
    answer: str


def answer_digest(answer: Mapping[str, Json]) -> str:
    """Of what was answered, without the seal."""
    return digest_of({key: value for key, value in answer.items() if key != FIELD})


def seal(key: str, what: Sealed) -> str:
    """The record and its signature as one word."""
    return signed(key, _PURPOSE, asdict(what))


def opened(key: str, text: str, *, run: str, rollout: str, step: int, answer: Mapping[str, Json], now: float) -> Sealed:
    """What a seal vouches for, which must be this answer in this run.

    Raises:
        RefusedError: GP994 it is nobody's, another's, or too old.
    """
    found = _read(key, text)
    if found is None:
        raise _refused("it was not signed by the server with this key")
    if (found.run, found.rollout, found.step) != (run, rollout, step):
        raise _refused(f"it is that of step {found.step} of {found.rollout}, run {found.run}")
    if not hmac.compare_digest(found.answer, answer_digest(answer)):
        raise _refused(f"{found.login} answered something else")
    if not -_AHEAD <= now - found.at <= FRESH:
        raise _refused(f"{found.login} answered {(now - found.at) / 3600:.0f} hours ago")
    return found


def _read(key: str, text: str) -> Sealed | None:
    found = read_signed(key, _PURPOSE, text)
    try:
        return Sealed(**found) if found is not None else None
    except TypeError:
        return None


def signed(key: str, purpose: bytes, record: Mapping[str, Json]) -> str:
    """A record and its signature as one word; one that was signed for another purpose is none."""
    body = canonical(dict(record))
    return f"{base64.urlsafe_b64encode(body).decode()}.{_sign(key, purpose, body)}"


def read_signed(key: str, purpose: bytes, text: str) -> dict[str, Any] | None:
    """What `signed` made with this key for this purpose; None where it did not."""
    encoded, _, signature = text.partition(".")
    try:
        body = base64.b64decode(encoded, altchars=b"-_", validate=True)
    except ValueError:
        return None
    given = signature.encode("utf-8", "replace")
    if len(body) > _MOST or not hmac.compare_digest(_sign(key, purpose, body).encode(), given):
        return None
    try:
        found = read_json(body, limit=_MOST)
    except JsonError:
        return None
    return found if isinstance(found, dict) else None


def _sign(key: str, purpose: bytes, body: bytes) -> str:
    return hmac.new(key.encode(), purpose + body, hashlib.sha256).hexdigest()


def _refused(why: str) -> RefusedError:
    return RefusedError("GP994", f"the seal under this answer does not vouch for it: {why}",
                        hint="answer the next form, which comes within a minute")  # fmt: skip
