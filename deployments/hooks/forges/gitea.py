"""What a delivery of Gitea, Forgejo or Gogs says. Source: Gitea's "Webhooks" and the structures of its API.

Proof is ``X-Gitea-Signature``: the HMAC-SHA256 of the raw body in hex. As with GitHub nothing else is signed, so a
delivery is named by its body. Tags come as pushes with the ref of a tag. Versions before 1.14 also send the secret in
the body: no rule sees it.
"""

from __future__ import annotations

from dataclasses import replace

from deployments.hooks.forges.bodies import Part, fields_of, named, parsed, unwrapped
from deployments.hooks.forges.protocol import Headers, Ignored, Push, check_commits, is_gone, pushed
from deployments.hooks.signing import HookSecrets, hex_refusal
from gopub.canon import bounded
from gopub.spec.when import Event

_SIGNATURES = ("x-gitea-signature", "x-forgejo-signature", "x-gogs-signature")
_EVENTS = ("x-gitea-event", "x-forgejo-event", "x-gogs-event")


class _Repository(Part):
    full_name: str
    clone_url: str = ""
    ssh_url: str = ""
    html_url: str = ""


class _User(Part):
    login: str = ""
    username: str = ""


class _Any(Part):
    repository: _Repository
    sender: _User = _User()


class _Push(_Any):
    ref: str
    after: str


class _Tagged(Part):
    tag_name: str
    draft: bool = False


class _Release(_Any):
    action: str
    release: _Tagged


class _Base(Part):
    ref: str


class _Request(Part):
    merged: bool = False
    merge_commit_sha: str | None = None
    base: _Base


class _PullRequest(_Any):
    action: str
    pull_request: _Request


class Gitea:
    """Gitea, Forgejo and Gogs."""

    shown = "Gitea"

    def refusal(self, secrets: HookSecrets, headers: Headers, body: bytes, now: float) -> str | None:
        """By the signature of the body."""
        del now
        said = next((headers[name] for name in _SIGNATURES if headers.get(name)), "")
        return hex_refusal(secrets, said, body)

    def key(self, headers: Headers, body: bytes) -> str:
        """The body's digest: what names it otherwise is not signed."""
        del headers
        return named("", body)

    def read(self, headers: Headers, body: bytes) -> Push | Ignored:
        """See :class:`deployments.hooks.forges.protocol.Forge`."""
        kind = next((headers[name] for name in _EVENTS if headers.get(name)), "")
        if not kind:
            raise ValueError("there is no X-Gitea-Event")
        if kind not in _READERS:
            return Ignored(f"gopub does not act on {bounded(kind, 40)!r} events")
        text = unwrapped(body, headers.get("content-type", ""))
        found = _READERS[kind](text)
        if isinstance(found, Ignored):
            return found
        return replace(found, event=Event("gitea", kind, fields_of(text)))


def _push(body: bytes) -> Push | Ignored:
    payload = parsed(_Push, body)
    kind, name = pushed(payload.ref)
    if is_gone(payload.after):
        return Ignored(f"the {kind} {name!r} was deleted")
    check_commits(after=payload.after)
    return _of(payload, payload.ref, payload.after)


def _release(body: bytes) -> Push | Ignored:
    payload = parsed(_Release, body)
    if payload.action != "published" or payload.release.draft:
        return Ignored(f"the release was not published, its action is {bounded(payload.action)!r}")
    return _of(payload, f"refs/tags/{payload.release.tag_name}", "")


def _pull_request(body: bytes) -> Push | Ignored:
    payload = parsed(_PullRequest, body)
    about = payload.pull_request
    if payload.action != "closed" or not about.merged:
        return Ignored(f"the pull request was not merged, its action is {bounded(payload.action)!r}")
    commit = about.merge_commit_sha or ""
    check_commits(**{"pull_request.merge_commit_sha": commit})
    return _of(payload, f"refs/heads/{about.base.ref}", commit)


def _of(payload: _Any, ref: str, commit: str) -> Push:
    kind, name = pushed(ref)
    known = payload.repository
    user = payload.sender.login or payload.sender.username
    return Push(kind, name, commit, known.full_name, (known.clone_url, known.ssh_url, known.html_url), user)


_READERS = {"push": _push, "release": _release, "pull_request": _pull_request}
