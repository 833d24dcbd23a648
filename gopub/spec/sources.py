"""Which events a rule of projects.yaml can name, and which fields they have: the forges' by their docs, our own."""

from __future__ import annotations

from collections.abc import Mapping

_PROJECT = frozenset({"object_kind", "project", "project_id", "repository"})
_USER = frozenset({"user_id", "user_name", "user_username", "user_email", "user_avatar"})
_PUSH = _PROJECT | _USER | frozenset(
    {"event_name", "before", "after", "ref", "ref_protected", "checkout_sha", "message", "commits",
     "total_commits_count", "push_options"}
)  # fmt: skip
GITLAB: Mapping[str, frozenset[str]] = {
    "push": _PUSH,
    "tag_push": _PUSH,
    "merge_request": frozenset({"object_kind", "event_type", "user", "project", "object_attributes", "labels",
                                "changes", "assignees", "reviewers", "repository"}),
    "pipeline": frozenset({"object_kind", "object_attributes", "merge_request", "user", "project", "commit",
                           "source_pipeline", "builds"}),
    "release": frozenset({"id", "created_at", "description", "name", "released_at", "tag", "object_kind", "project",
                          "url", "action", "assets", "commit"}),
}  # fmt: skip
"""GitLab's events by their kind, and the first names of their fields ("Webhook events" in its documentation)."""

_OF_GITHUB = frozenset({"repository", "sender", "organization", "enterprise", "installation"})
_ACTED = _OF_GITHUB | {"action"}
GITHUB: Mapping[str, frozenset[str]] = {
    "push": _OF_GITHUB | {"ref", "before", "after", "created", "deleted", "forced", "base_ref", "compare", "commits",
                          "head_commit", "pusher"},
    "release": _ACTED | {"release", "changes"},
    "workflow_run": _ACTED | {"workflow", "workflow_run"},
    "pull_request": _ACTED | {"number", "pull_request", "changes", "assignee", "label"},
}  # fmt: skip
"""GitHub's ("Webhook events and payloads")."""
_OF_GITEA = frozenset({"repository", "sender"})
GITEA: Mapping[str, frozenset[str]] = {
    "push": _OF_GITEA | {"ref", "before", "after", "compare_url", "commits", "total_commits", "head_commit", "pusher"},
    "release": _OF_GITEA | {"action", "release"},
    "pull_request": _OF_GITEA | {"action", "number", "pull_request", "changes", "review", "requested_reviewer",
                                 "commit_id"},
}  # fmt: skip
"""Gitea's, by the structures of its API."""
_OF_GITEE = frozenset({"hook_name", "hook_id", "hook_url", "timestamp", "repository", "project", "sender", "user",
                       "enterprise", "user_id", "user_name"})  # fmt: skip
_PUSH_OF_GITEE = _OF_GITEE | {"ref", "before", "after", "created", "deleted", "compare", "commits", "head_commit",
                              "total_commits_count", "commits_more_than_ten", "pusher"}  # fmt: skip
GITEE: Mapping[str, frozenset[str]] = {
    "push": _PUSH_OF_GITEE,
    "tag_push": _PUSH_OF_GITEE,
    "merge_request": _OF_GITEE | {"action", "action_desc", "pull_request", "number", "iid", "title", "body", "state",
                                  "merge_status", "merge_commit_sha", "url", "source_branch", "source_repo",
                                  "target_branch", "target_repo", "author", "updated_by", "target_user"},
}  # fmt: skip
"""Gitee's, by its documentation; without the webhook's own secret, which stands in them."""

REF = "ref"
_HEADS, _TAGS = "refs/heads/", "refs/tags/"
BEGINS: Mapping[str, tuple[str, ...]] = {"push": (_HEADS,), "tag_push": (_TAGS,)}
"""The events by which pushes come, and what their field ``ref`` begins with on GitLab and Gitee."""
_OF_BOTH: Mapping[str, tuple[str, ...]] = {"push": (_HEADS, _TAGS)}


def begins_of(source: str) -> Mapping[str, tuple[str, ...]]:
    """The pushes of a forge, and what their field ``ref`` may begin with; none of what is no forge."""
    both = {"github": _OF_BOTH, "gitea": _OF_BOTH}
    return both.get(source) or (BEGINS if source in {"gitlab", "gitee"} else {})


_END = frozenset({"version", "reason", "owed", "owed_edges"})
ENDS: Mapping[str, frozenset[str]] = {
    f"rollout.{name}": _END for name in ("promoted", "rolled-back", "withdrawn", "refused", "failed", "mended")
}
"""How a rollout ends, which it does once; and the fields of the payload."""
GOPUB: Mapping[str, frozenset[str]] = {
    **ENDS,
    "release.published": frozenset({"app", "version", "release", "commit", "files"}),
    "rollout.opened": frozenset({"version", "release", "actor", "reason"}),
    "rollout.waiting": frozenset({"step", "why"}),
    "rollout.step": frozenset({"step", "steps", "hosts", "weight"}),
    "rollout.verdict": frozenset({"step", "kind", "rule", "says", "reason"}),
    "host.switched": frozenset({"host", "runs", "track"}),
    "host.failed": frozenset({"host", "verb", "code", "message"}),
    "host.owed": frozenset({"host", "why"}),
    "approval.needed": frozenset({"step", "steps", "approvers"}),
}
"""Our own events, as docs/reference/events.md lists them, and the fields of their payloads."""
OF_ALL = frozenset({"app", "env", "rollout", "release"})
"""Fields of each of our own events beside ``payload``."""


_ALERT = frozenset({"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"})
ALERTS: Mapping[str, frozenset[str]] = {"firing": _ALERT, "resolved": _ALERT}
"""What Alertmanager tells of, and the first names of the fields of an alert, as its webhook has them."""
PUBLISHED = "release.published"
_BY_SOURCE = {"gitlab": GITLAB, "github": GITHUB, "gitea": GITEA, "gitee": GITEE, "alertmanager": ALERTS}


def seen_of(type_: str) -> tuple[str, ...]:
    """The fields that stand on an event itself, so that an automation of the Prefect server can ask for them."""
    if type_ == PUBLISHED:
        return ("app",)
    return ("app", "env", "payload.host") if type_.startswith("host.") else ("app", "env")


def types_of(source: str) -> Mapping[str, frozenset[str]]:
    """The events of a source, by their types, and the first names of their fields."""
    return _BY_SOURCE.get(source, GOPUB)


def fields_of(source: str, type_: str) -> frozenset[str]:
    """The fields of an event: of GitLab's and of alerts their first names, of our own the whole paths."""
    known = types_of(source).get(type_, frozenset())
    return known if source != "gopub" else OF_ALL | {f"payload.{name}" for name in known}


def is_field(source: str, type_: str, path: str) -> bool:
    """Whether such an event can have this field."""
    known = fields_of(source, type_)
    if source != "gopub":
        return path.partition(".")[0] in known
    return path in known or path.rpartition(".")[0] in known  # one of a list, such as payload.owed.0
