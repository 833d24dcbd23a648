"""Which events a rule of projects.yaml can name, and which fields they have: GitLab's by its documentation, our own."""

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
    "pipeline": frozenset({"object_kind", "object_attributes", "merge_request", "user", "project", "commit",
                           "source_pipeline", "builds"}),
    "release": frozenset({"id", "created_at", "description", "name", "released_at", "tag", "object_kind", "project",
                          "url", "action", "assets", "commit"}),
}  # fmt: skip
"""GitLab's events by their kind, and the first names of their fields ("Webhook events" in its documentation)."""

REF = "ref"
BEGINS: Mapping[str, str] = {"push": "refs/heads/", "tag_push": "refs/tags/"}
"""What the field ``ref`` of a push begins with."""

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


def seen_of(type_: str) -> tuple[str, ...]:
    """The fields that stand on an event itself, so that an automation of the Prefect server can ask for them."""
    if type_ == PUBLISHED:
        return ("app",)
    return ("app", "env", "payload.host") if type_.startswith("host.") else ("app", "env")


def types_of(source: str) -> Mapping[str, frozenset[str]]:
    """The events of a source."""
    return {"gitlab": GITLAB, "alertmanager": ALERTS}.get(source, GOPUB)


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
