"""What a GitLab delivery says: which repository, branch or tag, which commit. It decides nothing about releases.

Source: GitLab's "Webhook events" (push and tag push events). ``checkout_sha`` is the commit also where ``after``
is an annotated tag's object; after a deletion ``after`` is forty zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gopub.canon import JsonError, bounded, read_json, sha256
from gopub.spec.refglob import is_commit, is_ref

_KINDS: Mapping[str, tuple[Literal["branch", "tag"], str]] = {
    "push": ("branch", "refs/heads/"),
    "tag_push": ("tag", "refs/tags/"),
}
LIMIT = 5 * 1024 * 1024
"""Bytes: a push of many commits lists every changed file."""
_LONGEST_KEY = 200
_Read = TypeVar("_Read", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Push:
    """A branch or a tag of a repository now stands at ``commit``."""

    kind: Literal["branch", "tag"]
    name: str
    commit: str
    project: str
    addresses: tuple[str, ...]
    user: str

    @property
    def ref(self) -> str:
        """The full name."""
        return f"refs/{'tags' if self.kind == 'tag' else 'heads'}/{self.name}"


@dataclass(frozen=True, slots=True)
class Ignored:
    """A valid delivery that starts nothing, and why."""

    reason: str


class _Project(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    path_with_namespace: str
    git_http_url: str = ""
    git_ssh_url: str = ""


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    ref: str
    after: str
    checkout_sha: str | None = None
    user_username: str = ""
    user_name: str = ""
    project: _Project


class _Kind(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    object_kind: str


def read(body: bytes) -> Push | Ignored:
    """Read a delivery of any kind; only pushes of branches and tags are more than ignored.

    Raises:
        ValueError: the body is no JSON object of a GitLab event; the text says which field.
    """
    kind = _parsed(_Kind, body).object_kind
    if kind not in _KINDS:
        return Ignored(f"gopub does not act on {kind!r} events")
    payload = _parsed(_Payload, body)
    what, prefix = _KINDS[kind]
    name = payload.ref.removeprefix(prefix)
    if name == payload.ref or not is_ref(payload.ref):
        raise ValueError(f"ref: it is no {what}")
    commit = payload.checkout_sha or payload.after
    for field, value in (("after", payload.after), ("checkout_sha", commit)):
        if not is_commit(value):
            raise ValueError(f"{field}: it is no commit id of 40 or 64 hex digits")
    if not payload.after.strip("0"):
        return Ignored(f"the {what} {name!r} was deleted")
    return Push(
        kind=what,
        name=name,
        commit=commit,
        project=payload.project.path_with_namespace,
        addresses=(payload.project.git_http_url, payload.project.git_ssh_url),
        user=payload.user_username or payload.user_name,
    )


def delivery_key(headers: Mapping[str, str], body: bytes) -> str:
    """What a repeated delivery has in common with the first one; ``headers`` has lower-case names.

    ``webhook-id`` and ``Idempotency-Key`` stay the same over retries. Before GitLab 17.4 there is neither:
    ``X-Gitlab-Event-UUID`` is shared by events that set each other off, so the body's digest goes with it.
    """
    stable = headers.get("webhook-id") or headers.get("idempotency-key")
    if stable:
        return stable if len(stable) <= _LONGEST_KEY and stable.isprintable() else sha256(stable.encode())
    event = headers.get("x-gitlab-event-uuid", "")
    return sha256(event.encode() + b"\0" + body)


def _parsed(model: type[_Read], body: bytes) -> _Read:
    try:
        read_json(body, limit=LIMIT)
    except JsonError as error:
        raise ValueError(f"body: {error}") from None
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ValueError(bounded(f"{field or 'body'}: {first['msg']}")) from None
