"""projects.yaml: which repositories `gopub serve` may release, where to, and who may ask.

The file is read once, at start; secrets stand in it by reference only. It is searched in the working folder, in the
user's configuration and in /etc/gopub; ``GOPUB_PROJECTS`` or ``--projects`` names another one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from deployments.hooks.signing import HookSecrets, signing_key
from gopub.canon import sha256
from gopub.errors import SpecError, UsageError
from gopub.paths import config_dir
from gopub.spec.base import Model
from gopub.spec.explain import Explainer, at
from gopub.spec.fields import Name, Word, matching, refuse
from gopub.spec.kinds import SecretRef
from gopub.spec.loader import explained, read_text, together
from gopub.spec.reading import read_tree
from gopub.spec.texts import Inside
from gopub.spec.tree import Node, plain
from gopub.spec.tree import Path as TreePath

FILE = "projects.yaml"
VERSION = "{version}"


def _tag_pattern(value: str) -> str:
    if value.count(VERSION) != 1:
        raise refuse("GP921", f"{value!r} does not hold {VERSION} once", f'write it as "v{VERSION}"')
    return value


def _some(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise refuse("GP925", "an app without an environment cannot be deployed", "for example [staging, prod]")
    return values


class Rule(Model):
    """Pushes of which branch or tag go where; the first rule of an app that matches counts."""

    scalar_is_first = False

    branch: Word | None = None
    """A branch by name; * stands for any text, / included."""
    tag: Word | None = None
    """A tag by name; * stands for any text, / included."""
    env: Name
    """The environment that it is deployed to."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.branch is None) == (self.tag is None):
            raise refuse("GP922", "a rule names either a branch or a tag", 'for example {tag: "v*", env: prod}')
        return self


class GitLab(Model):
    """The secrets of the webhook, as set in GitLab; the previous ones stay valid while they are changed."""

    scalar_is_first = False

    token: SecretRef | None = None
    """The secret token (X-Gitlab-Token)."""
    previous_token: SecretRef | None = None
    """The one before it."""
    signing: SecretRef | None = None
    """The signing token (whsec_…); once it is set, unsigned deliveries are refused."""
    previous_signing: SecretRef | None = None
    """The one before it."""


class Project(Model):
    """One app: its repository and what may be deployed of it."""

    scalar_is_first = False

    repository: Word
    """Where a worker clones it from: an https or ssh address, or a folder on the worker."""
    spec: Inside = "gopub.yaml"
    """The spec in the repository."""
    project: Word | None = None
    """The folder on the worker whose inventory and connections.yaml count; default: the repository, where it is one."""
    envs: Annotated[tuple[Name, ...], AfterValidator(_some)]
    """The environments that may be asked for."""
    version_tag: Annotated[Word, AfterValidator(_tag_pattern)] = "v{version}"
    """The tag of a version."""
    gitlab_project: Word | None = None
    """The project's path in GitLab (group/name), where the repository's address does not end in it."""
    gitlab: GitLab | None = None
    """The webhook's secrets of this app alone, instead of those for all."""
    rules: tuple[Rule, ...] = ()
    """What a push starts; without rules it starts nothing."""


class Token(Model):
    """A bearer token of the REST API and what it may do."""

    scalar_is_first = False

    secret: SecretRef | None = None
    """The token, by reference."""
    sha256: (
        Annotated[Word, AfterValidator(matching(r"[0-9a-f]{64}", "GP923", "a SHA-256", "write 64 hex digits"))] | None
    ) = None
    """Instead of the token, its SHA-256: then this machine does not hold it."""
    apps: tuple[Name, ...] = ()
    """The apps it may deploy; none listed: all."""
    envs: tuple[Name, ...] = ()
    """The environments it may deploy to; none listed: all."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.secret is None) == (self.sha256 is None):
            raise refuse("GP923", "a token has either a secret or a sha256", "for example {secret: {env: GOPUB_TOKEN}}")
        return self

    def allows(self, app: str, env: str) -> bool:
        """Whether it may deploy the app to the environment."""
        return (not self.apps or app in self.apps) and (not self.envs or env in self.envs)


class Projects(Model):
    """The whole of projects.yaml."""

    scalar_is_first = False

    schema_: Literal["gopub-projects/v1"] = Field("gopub-projects/v1", alias="schema")
    """The version of this language."""
    apps: Mapping[Name, Project]
    """The apps by name, as their gopub.yaml calls them."""
    tokens: Mapping[Name, Token] = {}
    """The tokens by the name that the journal shows as the actor."""
    gitlab: GitLab | None = None
    """The webhook's secrets of every app that has none of its own."""


def find_projects(named: Path | None = None) -> Path:
    """The projects file: as named, by ``GOPUB_PROJECTS``, or the first one in the usual places.

    Raises:
        UsageError: GP920 there is none.
    """
    chosen = named or (Path(os.environ["GOPUB_PROJECTS"]) if os.environ.get("GOPUB_PROJECTS") else None)
    places = [chosen] if chosen else [Path(FILE), config_dir() / FILE, Path("/etc/gopub") / FILE]
    for place in places:
        if place.is_file():
            return place
    raise UsageError(
        "GP920",
        "no projects file: looked for " + ", ".join(str(place) for place in places),
        hint="docs/guides/triggers.md shows one; --projects names another place",
    )


def load_projects(path: Path) -> Projects:
    """Read the projects file.

    Raises:
        SpecError: what is wrong with it; several mistakes together as an ErrorGroup.
    """
    return parse_projects(read_text(path), str(path), path.parent)


def parse_projects(text: str, file: str, base: Path | None = None) -> Projects:
    """Read the projects file from text; ``file`` is the name that errors show, secret files lie relative to ``base``.

    Raises:
        SpecError: what is wrong with the text; several mistakes together as an ErrorGroup.
    """
    root = read_tree(text, file)
    try:
        projects = Projects.model_validate(plain(root), context={"base": base})
    except ValidationError as error:
        raise together(explained(error, Explainer(root, Projects))) from None
    errors = [*_unknown_names(projects, root), *_unreachable(projects, root)]
    if errors:
        raise together(errors)
    return projects


def _unknown_names(projects: Projects, root: Node) -> list[SpecError]:
    """Rules and tokens that name what is not there: such a line would silently do nothing."""
    errors = [
        at(root, ("apps", name, "rules", index, "env"), "GP924",
           f"{rule.env!r} is not one of the environments of {name}: {', '.join(app.envs)}", "add it to envs")
        for name, app in projects.apps.items()
        for index, rule in enumerate(app.rules)
        if rule.env not in app.envs
    ]  # fmt: skip
    envs = {env for app in projects.apps.values() for env in app.envs}
    for name, token in projects.tokens.items():
        errors += _missing(root, ("tokens", name, "apps"), token.apps, set(projects.apps), "there is no app")
        errors += _missing(root, ("tokens", name, "envs"), token.envs, envs, "no app has the environment")
    return errors


def _missing(root: Node, path: TreePath, named: tuple[str, ...], known: set[str], says: str) -> list[SpecError]:
    hint = "known: " + (", ".join(sorted(known)) or "none")
    return [
        at(root, (*path, index), "GP924", f"{says} {value!r}", hint)
        for index, value in enumerate(named)
        if value not in known
    ]


def _unreachable(projects: Projects, root: Node) -> list[SpecError]:
    """A file with which nothing could ever be started."""
    ruled = {name: app for name, app in projects.apps.items() if app.rules}
    if not ruled and not projects.tokens:
        hint = "add tokens for POST /v1/deploy, or rules and gitlab for webhooks"
        return [at(root, (), "GP925", "nobody could start anything: no tokens and no rules", hint)]
    return [
        at(root, ("apps", name, "rules"), "GP925", f"{name} has rules, but no secret to check a webhook with",
           "add gitlab: {token: {env: …}}")
        for name, app in ruled.items()
        if not _has_secret(app.gitlab or projects.gitlab)
    ]  # fmt: skip


def _has_secret(gitlab: GitLab | None) -> bool:
    return gitlab is not None and bool(gitlab.token or gitlab.signing)


def hook_secrets(projects: Projects) -> dict[str, HookSecrets]:
    """The webhook's secrets of each app with rules, read now.

    Raises:
        UsageError: GP926 a signing token is none; and what a reference raises that leads nowhere.
    """
    return {name: _revealed(app.gitlab or projects.gitlab) for name, app in projects.apps.items() if app.rules}


def _revealed(gitlab: GitLab | None) -> HookSecrets:
    if gitlab is None:
        return HookSecrets()
    signing = [ref for ref in (gitlab.signing, gitlab.previous_signing) if ref]
    return HookSecrets(
        tokens=tuple(ref.reveal() for ref in (gitlab.token, gitlab.previous_token) if ref),
        signing=tuple(_signing_secret(ref) for ref in signing),
    )


def _signing_secret(ref: SecretRef) -> str:
    secret = ref.reveal()
    try:
        signing_key(secret)
    except ValueError as error:
        raise UsageError("GP926", f"{ref} is {error}", hint="copy it from GitLab once more") from None
    return secret


def token_digests(projects: Projects) -> dict[str, str]:
    """The SHA-256 of every token of the REST API by the token's name.

    Raises:
        UsageError: GP142 a reference leads nowhere.
    """
    return {
        name: token.sha256 or sha256(token.secret.reveal().encode() if token.secret else b"")
        for name, token in projects.tokens.items()
    }


def repository_path(address: str) -> str:
    """``host/group/name`` of an https, ssh or scp-like address, for comparing; a local path stays as it is."""
    text = re.sub(r"^[a-z+]+://", "", address.strip())
    text = re.sub(r"^[^@/]*@", "", text)
    host, separator, path = _split_host(text)
    if not separator:
        return address.strip()
    return f"{host.lower()}/{path.strip('/').removesuffix('.git')}"


def _split_host(text: str) -> tuple[str, str, str]:
    """Host and path of ``host:path``, ``host:port/path`` and ``host/path``; no separator: a local path."""
    if text.startswith(("/", ".")):
        return "", "", text
    match = re.fullmatch(r"([^:/]+)(?::(?:\d+(?=/))?|/)(.+)", text)
    return (match[1], "/", match[2]) if match else ("", "", text)
