"""The forms in Prefect's page from which people deploy, go back and release: which there are, what may be typed. Pure.

Each app of projects.yaml has one to release it, one to steer what is under way, and for each of its environments one to
deploy and one to go back. What may be entered is a JSON Schema: Prefect draws the form from it, and its server refuses
what does not fit before a run exists. It takes no key that is not named, so nobody enters a repository or a folder
here: these projects.yaml on the worker knows. The published versions stand in it as they were when the list was last
read (`Choices`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gopub.canon import Json
from gopub.source.versions import rank

KIND, FORM = "gopub.kind", "form"
"""The label by which a deployment is known as a form, whoever made it; see deployments/setup/owned.py."""
ANY = "any"
"""The platform that asks for none."""
DECISIONS = ("promote", "hold", "resume", "abort")
MOST_VERSIONS = 100
MOST_TEXT = 500
_PLATFORMS = ("linux/amd64", "linux/arm64")
_END = r"(?!\n)$"
"""Python's `$` also stands before a newline at the end."""
VERSION = rf"^[A-Za-z0-9_+-][A-Za-z0-9._+-]{{0,99}}{_END}"
REF = rf"^[^\s-][^\s]{{0,199}}{_END}"


@dataclass(frozen=True, slots=True)
class Choices:
    """What is known of an app: its published versions, newest first, and what it is built for; empty: not known."""

    versions: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """A deployment on the server: ``flow`` is the file and the name of what it starts; without ``env`` it is the app's.

    ``given`` are the parameters that are no choice; the page shows them, and who asks over REST may leave them out.
    """

    flow: str
    name: str
    app: str
    env: str
    description: str
    given: Mapping[str, Json]
    schema: Mapping[str, Any]
    urgent: bool = False

    @property
    def full_name(self) -> str:
        """As `prefect deployment run` takes it."""
        return f"{self.flow}/{self.name}"


def forms_of(apps: Mapping[str, Sequence[str]], known: Mapping[str, Choices]) -> Iterator[Form]:
    """The forms of apps with their environments, with what is known of each app."""
    for app, envs in apps.items():
        choices = known.get(app, Choices())
        yield release_form(app)
        yield steer_form(app, envs)
        for env in envs:
            yield deploy_form(app, env, choices)
            yield rollback_form(app, env, choices)


def deploy_form(app: str, env: str, choices: Choices) -> Form:
    """A published version into an environment."""
    fields = {
        **_place(app, env),
        "version": _version(choices, "Version", "What is brought in. "),
        "reason": _text("Reason", "Why; it stands in the journal, on the pages and in what people are told."),
        "name": _NAME,
        "target": {
            "type": "string", "title": "Platform", "enum": [ANY, *(choices.targets or _PLATFORMS)], "default": ANY,
            "description": "Refuse a release that was not built for it. Each host gets what fits it in any case.",
        },
        "downgrade": _switch("Allow an older version", "Though a newer one is stable there. Rolling back is faster."),
        "config_only": _switch(
            "Configuration only",
            "Refuse the release if more than configuration differs from what is stable there: any other file of its "
            "commit but gopub.yaml and its templates.",
        ),
        "clear_quarantine": _text(
            "Clear the quarantine",
            "Why a release that was rolled back may come in again. Leave it empty, unless gopub refused it for that.",
        ),
    }  # fmt: skip
    says = f"Bring a published version of {app} into {env}, judged step by step, as `gopub rollout` does."
    return _form("order", f"deploy {app} to {env}", app, env, says, fields, ("app", "env", "version"))


def rollback_form(app: str, env: str, choices: Choices) -> Form:
    """The active rollout back, or an older release."""
    fields = {
        **_place(app, env),
        "to": _version(
            choices, "Version to go back to", "Leave it empty for what ran before, and while a rollout is under way. "
        ),
        "reason": _text("Reason", "Why; it stands in the journal, on the pages and in what people are told."),
        "name": _NAME,
    }
    says = f"Take the rollout of {app} in {env} back or, where none is under way, bring an older release back. At once."
    return _form("rollback", f"roll back {app} in {env}", app, env, says, fields, ("app", "env"), urgent=True)


def release_form(app: str) -> Form:
    """A commit to a published version."""
    fields = {
        "app": _place(app, "")["app"],
        "ref": {
            "type": "string", "title": "Branch, tag or commit", "pattern": REF,
            "description": "What is built, such as v1.4.0 or main.",
        },
        "version": {
            "type": "string", "title": "Version", "default": "", "pattern": rf"^{_END}|{VERSION}",
            "description": "Publish it as this. Empty: the tag at the commit, else one after the last tag.",
        },
    }  # fmt: skip
    says = f"Build, prove and publish a commit of {app}. It is rolled out nowhere; its version can be deployed then."
    return _form("order", f"release {app}", app, "", says, fields, ("app", "ref"))


def steer_form(app: str, envs: Sequence[str]) -> Form:
    """What is under way goes on, stands still, or goes back."""
    fields = {
        "app": _place(app, "")["app"],
        "env": {
            "type": "string", "title": "Environment", "enum": list(envs),
            "description": "Its rollout of this app that is under way, whether it bakes, is held or waits.",
        },
        "decision": {
            "type": "string", "title": "Decision", "enum": list(DECISIONS),
            "description": "promote: the next step begins, and the bake ends now; hold: it grows no further; resume: "
            "the hold ends; abort: the rollout goes back.",
        },
        "reason": _text("Reason", "Why; it stands in the journal, on the pages and in what people are told."),
        "name": _NAME,
    }  # fmt: skip
    says = f"Promote, hold, resume or abort the rollout of {app} that is under way, as the commands of these names do."
    return _form("steer", f"steer {app}", app, "", says, fields, ("app", "env", "decision"), urgent=True)


def _form(
    flow: str, name: str, app: str, env: str, says: str, fields: Mapping[str, Any], required: Sequence[str],
    *, urgent: bool = False,
) -> Form:  # fmt: skip
    placed = {key: {**field, "position": place} for place, (key, field) in enumerate(fields.items())}
    schema = {
        "title": "Parameters", "type": "object", "additionalProperties": False,
        "properties": placed, "required": list(required),
    }  # fmt: skip
    given = {"app": app, **({"env": env} if env else {})}
    return Form(flow, name, app, env, says, given, schema, urgent)


def _place(app: str, env: str) -> dict[str, Any]:
    return {
        "app": {
            "type": "string",
            "title": "App",
            "enum": [app],
            "default": app,
            "description": "This form is for it alone.",
        },
        "env": {
            "type": "string",
            "title": "Environment",
            "enum": [env],
            "default": env,
            "description": "This form is for it alone.",
        },
    }


def _version(choices: Choices, title: str, says: str) -> dict[str, Any]:
    """A choice among what is published; where that is not known, any version, which the store is asked for."""
    if choices.versions:
        how = "Offered are the published versions, newest first, as of the last release or of a quarter of an hour ago"
        more = f"; the newest {MOST_VERSIONS} of them." if len(choices.versions) >= MOST_VERSIONS else "."
        return {"type": "string", "title": title, "enum": list(choices.versions), "description": says + how + more}
    how = "No published version is known here yet, so type one, such as 1.4.0: the store is asked whether it has it."
    return {"type": "string", "title": title, "pattern": VERSION, "description": says + how}


def _text(title: str, says: str) -> dict[str, Any]:
    return {
        "type": "string", "title": title, "default": "", "maxLength": MOST_TEXT, "description": says,
    }  # fmt: skip


_NAME = {
    "type": "string", "title": "Your name", "default": "", "maxLength": 80,
    "description": "Who asks. It is kept as typed, as not verified; a login that the server knows counts instead.",
}  # fmt: skip


def _switch(title: str, says: str) -> dict[str, Any]:
    return {"type": "boolean", "title": title, "default": False, "description": says}


def renewed(app: str, env: str, schema: Mapping[str, Any], choices: Choices) -> Mapping[str, Any]:
    """A form's schema on the server with other choices; of one that offers none it stays."""
    fields = schema.get("properties") or {}
    if not env or not isinstance(fields, Mapping):
        return schema
    return (rollback_form if "to" in fields else deploy_form)(app, env, choices).schema


def choices_in(schema: Mapping[str, Any]) -> Choices:
    """What a form's schema on the server offers; what is not understood there is not known."""
    fields = schema.get("properties")
    if not isinstance(fields, Mapping):
        return Choices()
    versions = _offered(fields.get("version")) or _offered(fields.get("to"))
    targets = tuple(one for one in _offered(fields.get("target")) if one != ANY)
    return Choices(versions, targets)


def _offered(field: object) -> tuple[str, ...]:
    listed = field.get("enum") if isinstance(field, Mapping) else None
    return tuple(one for one in listed if isinstance(one, str)) if isinstance(listed, list) else ()


def newest(versions: Iterable[str], most: int = MOST_VERSIONS) -> tuple[str, ...]:
    """The newest ones first: as semantic versions have it; what is none comes last, by name."""
    ranked = {version: rank(version) for version in versions}
    semantic = sorted(((place, version) for version, place in ranked.items() if place is not None), reverse=True)
    others = sorted((version for version, place in ranked.items() if place is None), reverse=True)
    return tuple([*(version for _, version in semantic), *others][:most])
