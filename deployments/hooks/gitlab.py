"""What a GitLab delivery says: which repository, branch or tag, which commit. It decides nothing about releases.

Source: GitLab's "Webhook events" (push, tag push, pipeline and release events). ``checkout_sha`` is the commit also
where ``after`` is an annotated tag's object; after a deletion ``after`` is forty zeros. A pipeline tells of each state
that it comes to, a release of each change: only success and the release's making are more than ignored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gopub.canon import JsonError, bounded, read_json, sha256
from gopub.spec.refglob import is_commit, is_ref
from gopub.spec.when import Event

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
    """A branch or a tag of a repository stands at ``commit``; ``event`` is what told so, with all its fields."""

    kind: Literal["branch", "tag"]
    name: str
    commit: str
    project: str
    addresses: tuple[str, ...]
    user: str
    event: Event = field(default=Event("gitlab", "", {}), compare=False, repr=False)

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


class _Attributes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    ref: str
    tag: bool
    sha: str
    status: str


class _User(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    username: str = ""
    name: str = ""


class _Pipeline(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    object_attributes: _Attributes
    user: _User = _User()
    project: _Project


class _Commit(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str


class _Release(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    action: str
    tag: str
    commit: _Commit
    project: _Project


class _Kind(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    object_kind: str


def read(body: bytes) -> Push | Ignored:
    """Read a delivery of any kind; only pushes, pipelines and releases are more than ignored.

    Raises:
        ValueError: the body is no JSON object of a GitLab event; the text says which field.
    """
    kind = _parsed(_Kind, body).object_kind
    if kind not in _READERS:
        return Ignored(f"gopub does not act on {kind!r} events")
    found = _READERS[kind](kind, body)
    if isinstance(found, Ignored):
        return found
    if not is_ref(found.ref):
        raise ValueError(f"ref: it is no {found.kind}")
    return replace(found, event=Event("gitlab", kind, json.loads(body)))


def _push(object_kind: str, body: bytes) -> Push | Ignored:
    payload = _parsed(_Payload, body)
    what, prefix = _KINDS[object_kind]
    name = payload.ref.removeprefix(prefix)
    if name == payload.ref or not is_ref(payload.ref):
        raise ValueError(f"ref: it is no {what}")
    commit = payload.checkout_sha or payload.after
    _check_commits(after=payload.after, checkout_sha=commit)
    if not payload.after.strip("0"):
        return Ignored(f"the {what} {name!r} was deleted")
    return _made(what, name, commit, payload.project, payload.user_username or payload.user_name)


def _pipeline(_kind: str, body: bytes) -> Push | Ignored:
    payload = _parsed(_Pipeline, body)
    about = payload.object_attributes
    if about.status != "success":
        return Ignored(f"the pipeline is {bounded(about.status)!r}, and not done with success")
    _check_commits(**{"object_attributes.sha": about.sha})
    user = payload.user.username or payload.user.name
    return _made("tag" if about.tag else "branch", about.ref, about.sha, payload.project, user)


def _release(_kind: str, body: bytes) -> Push | Ignored:
    payload = _parsed(_Release, body)
    if payload.action != "create":
        return Ignored(f"the release was not made, its action is {bounded(payload.action)!r}")
    _check_commits(**{"commit.id": payload.commit.id})
    return _made("tag", payload.tag, payload.commit.id, payload.project, "")


_READERS: Mapping[str, Callable[[str, bytes], Push | Ignored]] = {
    "push": _push, "tag_push": _push, "pipeline": _pipeline, "release": _release,
}  # fmt: skip


def _made(kind: Literal["branch", "tag"], name: str, commit: str, project: _Project, user: str) -> Push:
    return Push(
        kind=kind,
        name=name,
        commit=commit,
        project=project.path_with_namespace,
        addresses=(project.git_http_url, project.git_ssh_url),
        user=user,
    )


def _check_commits(**fields: str) -> None:
    for name, value in fields.items():
        if not is_commit(value):
            raise ValueError(f"{name}: it is no commit id of 40 or 64 hex digits")


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
