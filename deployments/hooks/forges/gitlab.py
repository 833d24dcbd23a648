"""What a GitLab delivery says: which repository, branch or tag, which commit. It decides nothing about releases.

Source: GitLab's "Webhook events" (push, tag push, merge request, pipeline and release events). ``checkout_sha`` is the
commit also where ``after`` is an annotated tag's object; after a deletion ``after`` is forty zeros. A pipeline tells of
each state that it comes to, a release and a merge request of each change: only success, the release's making and the
merge are more than ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from deployments.hooks.forges.bodies import Part, fields_of, named, parsed
from deployments.hooks.forges.protocol import Headers, Ignored, Kind, Push, check_commits
from deployments.hooks.signing import HookSecrets, refusal
from gopub.canon import bounded, sha256
from gopub.spec.refglob import is_ref
from gopub.spec.when import Event

_KINDS: Mapping[str, tuple[Kind, str]] = {
    "push": ("branch", "refs/heads/"),
    "tag_push": ("tag", "refs/tags/"),
}


class _Project(Part):
    path_with_namespace: str
    git_http_url: str = ""
    git_ssh_url: str = ""


class _Payload(Part):
    ref: str
    after: str
    checkout_sha: str | None = None
    user_username: str = ""
    user_name: str = ""
    project: _Project


class _Attributes(Part):
    ref: str
    tag: bool
    sha: str
    status: str


class _User(Part):
    username: str = ""
    name: str = ""


class _Pipeline(Part):
    object_attributes: _Attributes
    user: _User = _User()
    project: _Project


class _Commit(Part):
    id: str


class _Release(Part):
    action: str
    tag: str
    commit: _Commit
    project: _Project


class _Merge(Part):
    action: str = ""
    target_branch: str
    merge_commit_sha: str | None = None
    last_commit: _Commit | None = None


class _MergeRequest(Part):
    object_attributes: _Merge
    user: _User = _User()
    project: _Project


class _Kind(Part):
    object_kind: str


class GitLab:
    """GitLab."""

    shown = "GitLab"

    def refusal(self, secrets: HookSecrets, headers: Headers, body: bytes, now: float) -> str | None:
        """By the signature (Standard Webhooks), where a key for that is set up; else by the token."""
        return refusal(secrets, headers, body, now)

    def key(self, headers: Headers, body: bytes) -> str:
        """See :func:`delivery_key`."""
        return delivery_key(headers, body)

    def read(self, headers: Headers, body: bytes) -> Push | Ignored:
        """See :func:`read`: the body says what it is."""
        del headers
        return read(body)


def read(body: bytes) -> Push | Ignored:
    """Read a delivery of any kind; what starts nothing is ignored.

    Raises:
        ValueError: the body is no JSON object of a GitLab event; the text says which field.
    """
    kind = parsed(_Kind, body).object_kind
    if kind not in _READERS:
        return Ignored(f"gopub does not act on {kind!r} events")
    found = _READERS[kind](kind, body)
    if isinstance(found, Ignored):
        return found
    if not is_ref(found.ref):
        raise ValueError(f"ref: it is no {found.kind}")
    return replace(found, event=Event("gitlab", kind, fields_of(body)))


def _push(object_kind: str, body: bytes) -> Push | Ignored:
    payload = parsed(_Payload, body)
    what, prefix = _KINDS[object_kind]
    name = payload.ref.removeprefix(prefix)
    if name == payload.ref or not is_ref(payload.ref):
        raise ValueError(f"ref: it is no {what}")
    commit = payload.checkout_sha or payload.after
    check_commits(after=payload.after, checkout_sha=commit)
    if not payload.after.strip("0"):
        return Ignored(f"the {what} {name!r} was deleted")
    return _made(what, name, commit, payload.project, payload.user_username or payload.user_name)


def _pipeline(_kind: str, body: bytes) -> Push | Ignored:
    payload = parsed(_Pipeline, body)
    about = payload.object_attributes
    if about.status != "success":
        return Ignored(f"the pipeline is {bounded(about.status)!r}, and not done with success")
    check_commits(**{"object_attributes.sha": about.sha})
    user = payload.user.username or payload.user.name
    return _made("tag" if about.tag else "branch", about.ref, about.sha, payload.project, user)


def _release(_kind: str, body: bytes) -> Push | Ignored:
    payload = parsed(_Release, body)
    if payload.action != "create":
        return Ignored(f"the release was not made, its action is {bounded(payload.action)!r}")
    check_commits(**{"commit.id": payload.commit.id})
    return _made("tag", payload.tag, payload.commit.id, payload.project, "")


def _merge_request(_kind: str, body: bytes) -> Push | Ignored:
    payload = parsed(_MergeRequest, body)
    about = payload.object_attributes
    if about.action != "merge":
        return Ignored(f"the merge request was not merged, its action is {bounded(about.action)!r}")
    # Without a merge commit the branch was moved forward to the last one.
    commit = about.merge_commit_sha or (about.last_commit.id if about.last_commit else "")
    check_commits(**{"object_attributes.merge_commit_sha": commit})
    return _made("branch", about.target_branch, commit, payload.project, payload.user.username or payload.user.name)


_READERS: Mapping[str, Callable[[str, bytes], Push | Ignored]] = {
    "push": _push, "tag_push": _push, "merge_request": _merge_request, "pipeline": _pipeline, "release": _release,
}  # fmt: skip


def _made(kind: Kind, name: str, commit: str, project: _Project, user: str) -> Push:
    return Push(
        kind=kind,
        name=name,
        commit=commit,
        project=project.path_with_namespace,
        addresses=(project.git_http_url, project.git_ssh_url),
        user=user,
    )


def delivery_key(headers: Mapping[str, str], body: bytes) -> str:
    """What a repeated delivery has in common with the first one; ``headers`` has lower-case names.

    ``webhook-id`` and ``Idempotency-Key`` stay the same over retries. Before GitLab 17.4 there is neither:
    ``X-Gitlab-Event-UUID`` is shared by events that set each other off, so the body's digest goes with it.
    """
    if stable := headers.get("webhook-id") or headers.get("idempotency-key"):
        return named(stable, body)
    event = headers.get("x-gitlab-event-uuid", "")
    return sha256(event.encode() + b"\0" + body)
