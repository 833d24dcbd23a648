"""What a GitHub delivery says. Source: "Webhook events and payloads", "Validating webhook deliveries" of its docs.

Proof is ``X-Hub-Signature-256``: ``sha256=`` and the HMAC-SHA256 of the raw body in hex. It covers neither a time nor
the delivery's id. So a delivery is named by its body: one that was caught and is sent again, under whatever id, is the
first one again, and GitHub's own "Redeliver" starts nothing twice either.

A push of an annotated tag has the tag's object in ``after``, the commit in ``head_commit``. A workflow run and a pull
request may be a fork's: its commits are not this repository's, and are never released.
"""

from __future__ import annotations

from dataclasses import replace

from deployments.hooks.forges.bodies import Part, fields_of, named, parsed, unwrapped
from deployments.hooks.forges.protocol import Headers, Ignored, Push, check_commits, is_gone, pushed
from deployments.hooks.signing import HookSecrets, hex_refusal
from gopub.canon import bounded
from gopub.spec.when import Event

_SIGNATURE, _PREFIX = "x-hub-signature-256", "sha256="


class _Repository(Part):
    full_name: str
    clone_url: str = ""
    ssh_url: str = ""
    html_url: str = ""

    def addresses(self) -> tuple[str, ...]:
        return self.clone_url, self.ssh_url, self.html_url


class _User(Part):
    login: str = ""


class _Commit(Part):
    id: str


class _Any(Part):
    repository: _Repository
    sender: _User = _User()


class _Push(_Any):
    ref: str
    after: str
    deleted: bool = False
    head_commit: _Commit | None = None


class _Tagged(Part):
    tag_name: str
    draft: bool = False


class _Release(_Any):
    action: str
    release: _Tagged


class _Named(Part):
    full_name: str


class _Run(Part):
    head_branch: str | None
    head_sha: str
    conclusion: str | None
    head_repository: _Named | None = None


class _WorkflowRun(_Any):
    action: str
    workflow_run: _Run


class _Base(Part):
    ref: str


class _Request(Part):
    merged: bool = False
    merge_commit_sha: str | None = None
    base: _Base


class _PullRequest(_Any):
    action: str
    pull_request: _Request


class GitHub:
    """GitHub, and GitHub Enterprise Server."""

    shown = "GitHub"

    def refusal(self, secrets: HookSecrets, headers: Headers, body: bytes, now: float) -> str | None:
        """By the signature of the body; SHA-1's (``X-Hub-Signature``) proves nothing."""
        del now
        return hex_refusal(secrets, headers.get(_SIGNATURE, ""), body, prefix=_PREFIX)

    def key(self, headers: Headers, body: bytes) -> str:
        """The body's digest: what names it otherwise is not signed."""
        del headers
        return named("", body)

    def read(self, headers: Headers, body: bytes) -> Push | Ignored:
        """See :class:`deployments.hooks.forges.protocol.Forge`."""
        kind = headers.get("x-github-event", "")
        if not kind:
            raise ValueError("there is no X-GitHub-Event")
        if kind not in _READERS:
            return Ignored(f"gopub does not act on {bounded(kind, 40)!r} events")
        text = unwrapped(body, headers.get("content-type", ""))
        found = _READERS[kind](text)
        if isinstance(found, Ignored):
            return found
        return replace(found, event=Event("github", kind, fields_of(text)))


def _push(body: bytes) -> Push | Ignored:
    payload = parsed(_Push, body)
    kind, name = pushed(payload.ref)
    if payload.deleted or is_gone(payload.after):
        return Ignored(f"the {kind} {name!r} was deleted")
    commit = payload.head_commit.id if payload.head_commit else payload.after
    check_commits(after=payload.after, head_commit=commit)
    return _of(payload, f"refs/{'tags' if kind == 'tag' else 'heads'}/{name}", commit)


def _release(body: bytes) -> Push | Ignored:
    payload = parsed(_Release, body)
    if payload.action != "published" or payload.release.draft:
        return Ignored(f"the release was not published, its action is {bounded(payload.action)!r}")
    return _of(payload, f"refs/tags/{payload.release.tag_name}", "")


def _workflow_run(body: bytes) -> Push | Ignored:
    payload = parsed(_WorkflowRun, body)
    run = payload.workflow_run
    if payload.action != "completed" or run.conclusion != "success":
        said = run.conclusion or payload.action
        return Ignored(f"the workflow run is {bounded(said)!r}, and not done with success")
    if run.head_repository is None or run.head_repository.full_name != payload.repository.full_name:
        return Ignored("the workflow ran for another repository: what a fork holds is not released")
    if not run.head_branch:
        return Ignored("the workflow ran for no branch")
    check_commits(**{"workflow_run.head_sha": run.head_sha})
    return _of(payload, f"refs/heads/{run.head_branch}", run.head_sha)


def _pull_request(body: bytes) -> Push | Ignored:
    payload = parsed(_PullRequest, body)
    about = payload.pull_request
    if payload.action != "closed" or not about.merged:
        return Ignored(f"the pull request was not merged, its action is {bounded(payload.action)!r}")
    commit = about.merge_commit_sha or ""
    check_commits(**{"pull_request.merge_commit_sha": commit})
    return _of(payload, f"refs/heads/{about.base.ref}", commit)


def _ping(body: bytes) -> Ignored:
    del body
    return Ignored("it is a ping: the webhook is set up")


def _of(payload: _Any, ref: str, commit: str) -> Push:
    kind, name = pushed(ref)
    repository = payload.repository
    return Push(kind, name, commit, repository.full_name, repository.addresses(), payload.sender.login)


_READERS = {
    "push": _push,
    "release": _release,
    "workflow_run": _workflow_run,
    "pull_request": _pull_request,
    "ping": _ping,
}
