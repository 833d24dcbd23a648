"""What a Gitee delivery says. Source: Gitee's "WebHook 推送数据格式说明" and "WebHook 密钥验证和验证算法".

``X-Gitee-Token`` is either the password as it stands, or a signature: base64 of the HMAC-SHA256 of the timestamp in
milliseconds, a line feed and the secret, by the secret; some versions quote it as a URL would. The signature covers
the time alone: whoever catches one has it for as long as it is fresh, for any body. TLS only, either way. The body
holds the password as well: no rule sees it. There is no id of a delivery.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
from dataclasses import replace
from urllib.parse import unquote

from deployments.hooks.forges.bodies import Part, fields_of, named, parsed
from deployments.hooks.forges.protocol import Headers, Ignored, Push, check_commits, is_gone, pushed
from deployments.hooks.signing import TOLERANCE, HookSecrets, any_equal
from gopub.canon import bounded
from gopub.spec.when import Event

_HOOKS = {
    "Push Hook": "push",
    "Tag Push Hook": "tag_push",
    "Merge Request Hook": "merge_request",
}
_MILLIS = 1000.0


class _Repository(Part):
    full_name: str = ""
    path_with_namespace: str = ""
    git_http_url: str = ""
    git_ssh_url: str = ""
    clone_url: str = ""
    ssh_url: str = ""


class _User(Part):
    login: str = ""
    username: str = ""


class _Any(Part):
    repository: _Repository
    sender: _User | None = None


class _Push(_Any):
    ref: str
    after: str
    deleted: bool = False


class _Merge(_Any):
    action: str
    target_branch: str
    merge_commit_sha: str | None = None


class Gitee:
    """Gitee."""

    shown = "Gitee"

    def refusal(self, secrets: HookSecrets, headers: Headers, body: bytes, now: float) -> str | None:
        """By the signature of the time, where a key for that is set up; else by the password."""
        del body
        said = headers.get("x-gitee-token", "")
        if not secrets.signing:
            if not secrets.tokens:
                return "no secret is set up"
            return None if any_equal(said, secrets.tokens) else "the password is missing or wrong"
        stamp = headers.get("x-gitee-timestamp", "")
        if not _fresh(stamp, now):
            return f"its timestamp is missing, or more than {TOLERANCE:g}s away from our clock"
        expected = [sign(secret, stamp) for secret in secrets.signing]
        return None if any_equal(unquote(said), expected) or any_equal(said, expected) else "no signature matches"

    def key(self, headers: Headers, body: bytes) -> str:
        """The body's digest: there is no id."""
        del headers
        return named("", body)

    def read(self, headers: Headers, body: bytes) -> Push | Ignored:
        """See :class:`deployments.hooks.forges.protocol.Forge`."""
        said = headers.get("x-gitee-event", "")
        if not said:
            raise ValueError("there is no X-Gitee-Event")
        if said not in _HOOKS:
            return Ignored(f"gopub does not act on {bounded(said, 40)!r}")
        found = _merge(body) if _HOOKS[said] == "merge_request" else _push(body)
        if isinstance(found, Ignored):
            return found
        return replace(found, event=Event("gitee", _HOOKS[said], fields_of(body)))


def sign(secret: str, stamp: str) -> str:
    """The signature of a time, in milliseconds since the epoch."""
    mac = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


def _fresh(stamp: str, now: float) -> bool:
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 16):
        return False
    at = int(stamp) / _MILLIS
    return math.isfinite(at) and abs(now - at) <= TOLERANCE


def _push(body: bytes) -> Push | Ignored:
    payload = parsed(_Push, body)
    kind, name = pushed(payload.ref)
    if payload.deleted or is_gone(payload.after):
        return Ignored(f"the {kind} {name!r} was deleted")
    check_commits(after=payload.after)
    return _of(payload, payload.ref, payload.after)


def _merge(body: bytes) -> Push | Ignored:
    payload = parsed(_Merge, body)
    if payload.action != "merge":
        return Ignored(f"the pull request was not merged, its action is {bounded(payload.action)!r}")
    commit = payload.merge_commit_sha or ""
    check_commits(merge_commit_sha=commit)
    return _of(payload, f"refs/heads/{payload.target_branch}", commit)


def _of(payload: _Any, ref: str, commit: str) -> Push:
    kind, name = pushed(ref)
    known, user = payload.repository, payload.sender or _User()
    addresses = (known.git_http_url, known.git_ssh_url, known.clone_url, known.ssh_url)
    return Push(
        kind, name, commit, known.path_with_namespace or known.full_name, addresses, user.login or user.username
    )
