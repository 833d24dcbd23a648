"""projects.yaml: which repositories may be released by themselves, where to, who may ask, and whose word counts.

Secrets stand in it by reference only. It is searched in the working folder, in the user's configuration and in
/etc/gopub; ``GOPUB_PROJECTS`` or ``--projects`` names another one. `gopub serve` reads it at its start, a worker when
a run names a repository and no project.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from gopub.errors import GopubError, SpecError, UsageError
from gopub.paths import config_dir
from gopub.spec.address import refuse_password
from gopub.spec.alerting import Alertmanager
from gopub.spec.base import Model
from gopub.spec.explain import Explainer, at
from gopub.spec.fields import Name, Word, matching, refuse, telling
from gopub.spec.finding import read_text
from gopub.spec.forges import NAMES, Api, ForgeName, Gitee, GitLab, Secrets, Signed
from gopub.spec.kinds import Kinds, SecretRef
from gopub.spec.loader import explained, together
from gopub.spec.reading import read_tree
from gopub.spec.refglob import EVERY, full_ref, matches, ref_pattern
from gopub.spec.sources import BEGINS, REF
from gopub.spec.texts import HttpUrl, Inside
from gopub.spec.tree import Node, plain
from gopub.spec.tree import Path as TreePath
from gopub.spec.when import Aside, Event, Template, When
from gopub.spec.wrongforges import unnamed, unproven
from gopub.spec.wrongrules import wrong_alerts, wrong_rules

FILE = "projects.yaml"
NAME_A_PROJECT = "give project: a folder on the worker, or project_ref: a protected branch, such as refs/heads/main"
VERSION = "{version}"
PUSHED = "push"
"""Stands for the forge of an app, whichever it is."""


def _tag_pattern(value: str) -> str:
    if value.count(VERSION) != 1:
        raise refuse("GP921", f"{value!r} does not hold {VERSION} once", f'write it as "v{VERSION}"')
    return value


def _some(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise refuse("GP925", "an app without an environment cannot be deployed", "for example [staging, prod]")
    return values


Address = Annotated[Word, AfterValidator(telling(refuse_password))]
"""Where a repository is, without a password."""

RefPattern = Annotated[Word, AfterValidator(telling(ref_pattern))]
"""Branches or tags by their full names: * stands for any text without /, ** for any text."""

FullRef = Annotated[Word, AfterValidator(telling(full_ref))]
"""One branch or tag by its full name."""


class Rule(Model):
    """What a push or another event starts, and where it goes; the first rule of an app that matches counts."""

    scalar_is_first = False

    refs: tuple[RefPattern, ...] = ()
    """Branches or tags by their full names (refs/tags/v*); * stands for any text without /, ** for any text."""

    branch: Word | None = None
    """A branch by name; * stands for any text, / included."""
    tag: Word | None = None
    """A tag by name; * stands for any text, / included."""
    when: When | None = None
    """Instead of a branch or a tag: any event of GitLab, or the end of a rollout."""
    env: Name | None = None
    """The environment that it is deployed to."""
    release: bool = False
    """Instead of an environment: it is built, tested and published, and deployed nowhere."""
    reason: Template | None = None
    """Why, for the journal; {path} stands for a field of the event."""
    queue: Literal["all", "latest"] = "all"
    """latest: one goes on at a time, and of pushes that wait for it the newest one alone is started."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if [self.branch is not None, self.tag is not None, bool(self.refs), self.when is not None].count(True) != 1:
            raise refuse("GP922", "a rule names either a branch or a tag", 'for example {tag: "v*", env: prod}')
        if (self.env is None) != self.release:
            both = "both env and release" if self.env else "neither env nor release"
            raise refuse("GP985", f"a rule has {both}",
                         "a release is part of what env starts: write env: NAME, or release: true")  # fmt: skip
        ends = self.when is not None and self.when.source == "gopub"
        if ends and (self.release or self.queue != "all"):
            what = "release: true" if self.release else f"queue: {self.queue}"
            raise refuse("GP985", f"{what} is for pushes, and this rule names the end of a rollout",
                         "leave it out: what ends is released already, and the last end counts")  # fmt: skip
        return self

    @property
    def source(self) -> str:
        """Where its events come from; a branch, a tag or refs stand for pushes to the app's own forge."""
        return self.when.source if self.when else PUSHED

    def fits(self, event: Event) -> bool:
        """Whether it names this event."""
        if self.when is not None:
            return self.when.fits(event)
        ref = event.fields.get(REF)
        return event.type in BEGINS and isinstance(ref, str) and matches(ref, self.patterns())

    def patterns(self) -> tuple[str, ...]:
        """What it stands for, over full names; none where it names an event by its fields."""
        if self.branch is not None:
            return (f"refs/heads/{_crossing(self.branch)}",)
        return (f"refs/tags/{_crossing(self.tag)}",) if self.tag is not None else self.refs


class Project(Model):
    """One app: its repository and what may be deployed of it."""

    scalar_is_first = False

    repository: Address
    """Where a worker clones it from: an https or ssh address, or a folder on the worker."""
    spec: Inside = "gopub.yaml"
    """The spec in the repository."""
    project: Word | None = None
    """The folder on the worker whose gopub.yaml, inventory and connections.yaml count, whatever a commit says."""
    project_ref: FullRef | None = None
    """Instead of a folder: the protected branch or tag of the repository from which they are read (refs/heads/main)."""
    envs: Annotated[tuple[Name, ...], AfterValidator(_some)]
    """The environments that may be asked for."""
    version_tag: Annotated[Word, AfterValidator(_tag_pattern)] = "v{version}"
    """The tag of a version."""
    forge: ForgeName | None = None
    """Whose webhooks it hears, where secrets of several are set up."""
    forge_project: Word | None = None
    """The repository's path on the forge (group/name), where the repository's address does not end in it."""
    gitlab_project: Word | None = None
    """The same, by its name of when GitLab was the only one."""
    gitlab: GitLab | None = None
    """The secrets of GitLab's webhook of this app alone, instead of those for all."""
    github: Signed | None = None
    """The same of GitHub's."""
    gitea: Signed | None = None
    """The same of Gitea's, Forgejo's or Gogs's."""
    gitee: Gitee | None = None
    """The same of Gitee's."""
    rules: tuple[Rule, ...] = ()
    """What a push or another event starts; without rules it starts nothing."""
    may_be_missed: tuple[Aside, ...] = ()
    """What events of rollouts set off on the Prefect server, where it may be lost: notes to people, extra runs."""

    def hears(self, *sources: str) -> bool:
        """Whether one of its rules waits for events of one of these sources."""
        return any(rule.source in sources for rule in self.rules)

    def hears_a_forge(self) -> bool:
        """Whether one of its rules waits for a webhook of a forge."""
        return self.hears(PUSHED, *NAMES)


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
    refs: tuple[RefPattern, ...] = EVERY
    """The branches and tags it may release, by their full names (refs/tags/v*), and commits that are in one of them."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.secret is None) == (self.sha256 is None):
            raise refuse("GP923", "a token has either a secret or a sha256", "for example {secret: {env: GOPUB_TOKEN}}")
        return self

    def allows(self, app: str, env: str) -> bool:
        """Whether it may deploy the app to the environment."""
        return (not self.apps or app in self.apps) and (not self.envs or env in self.envs)

    def sees(self, app: str, env: str) -> bool:
        """Whether it may know what became of a push; what was only released went into no environment."""
        return self.allows(app, env) or (not env and (not self.apps or app in self.apps))


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
    """The secrets of GitLab's webhook of every app that has none of its own."""
    github: Signed | None = None
    """The same of GitHub's."""
    gitea: Signed | None = None
    """The same of Gitea's, Forgejo's or Gogs's."""
    gitee: Gitee | None = None
    """The same of Gitee's."""
    alertmanager: Alertmanager | None = None
    """Who may tell of alerts that hold a rollout; without it nobody."""
    ui_url: HttpUrl | None = None
    """The address of the Prefect server's pages, as people open them: forges are told the page of each run."""
    setup: Name | None = None
    """Whose the things are that `gopub setup` makes of this file on a Prefect server; default: host and path of it."""

    def forges_of(self, name: str) -> tuple[ForgeName, ...]:
        """The forges whose webhooks the app could hear: by name, else by its own secrets, else by those for all."""
        app = self.apps[name]
        if app.forge:
            return (app.forge,)
        return tuple(one for one in NAMES if getattr(app, one)) or tuple(one for one in NAMES if getattr(self, one))

    def forge_of(self, name: str) -> ForgeName | None:
        """The one forge whose webhooks the app hears: who holds another one's secret starts nothing of it."""
        found = self.forges_of(name)
        return found[0] if len(found) == 1 else None

    def secrets_of(self, name: str) -> Secrets | None:
        """What a sender of webhooks about the app has to hold."""
        forge = self.forge_of(name)
        if forge is None:
            return None
        mine: Secrets | None = getattr(self.apps[name], forge)
        for_all: Secrets | None = getattr(self, forge)
        return mine if mine and (mine.proves() or for_all is None) else for_all

    def api_of(self, name: str) -> Api | None:
        """Where the app's forge is told of it: by its own section, else by that for all."""
        forge = self.forge_of(name)
        both = (getattr(self.apps[name], forge), getattr(self, forge)) if forge else ()
        return next((one.api for one in both if one and not isinstance(one, Gitee) and one.api), None)

    def path_on_forge(self, name: str) -> str:
        """The repository's path on its forge (group/name); empty where nothing says it."""
        app = self.apps[name]
        path = "" if app.repository.startswith(("/", ".", "~")) else repository_path(app.repository)
        return app.forge_project or app.gitlab_project or path.partition("/")[2]


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


def load_projects(path: Path, kinds: Kinds) -> Projects:
    """Read the projects file; ``kinds`` know the ways to secrets that plug-ins bring.

    Raises:
        SpecError: what is wrong with it; several mistakes together as an ErrorGroup.
    """
    return parse_projects(read_text(path), str(path), path.parent, kinds)


def parse_projects(text: str, file: str, base: Path | None = None, kinds: Kinds | None = None) -> Projects:
    """Read the projects file from text; ``file`` is the name that errors show, secret files lie relative to ``base``.

    Raises:
        SpecError: what is wrong with the text; several mistakes together as an ErrorGroup. GP968 a way to secrets that
            it names cannot be used.
    """
    root = read_tree(text, file)
    try:
        projects = Projects.model_validate(plain(root), context={"base": base, "kinds": kinds})
    except ValidationError as error:
        raise together(explained(error, Explainer(root, Projects))) from None
    except GopubError as error:
        raise at(root, (), error.code, error.problem, error.hint) from None
    errors = [*_without_project(projects, root), *_unknown_names(projects, root), *_unreachable(projects, root)]
    errors += [
        error
        for name, app in projects.apps.items()
        for error in wrong_rules(name, app, root, projects.forge_of(name) or "gitlab")
    ]
    errors += unnamed(projects, root)
    errors += wrong_alerts(projects.alertmanager, root) if projects.alertmanager else ()
    if errors:
        raise together(errors)
    return projects


def _without_project(projects: Projects, root: Node) -> list[SpecError]:
    """Apps whose commits would be their own project: whoever pushes would choose key, hosts and connections."""
    errors = []
    for name, app in projects.apps.items():
        if (app.project is None) == (app.project_ref is None):
            has = "neither project nor project_ref" if app.project is None else "both project and project_ref"
            errors.append(at(root, ("apps", name, "[key]"), "GP955", f"{name} has {has}", NAME_A_PROJECT))
    return errors


def _unknown_names(projects: Projects, root: Node) -> list[SpecError]:
    """Rules and tokens that name what is not there: such a line would silently do nothing."""
    errors = [
        at(root, ("apps", name, "rules", index, "env"), "GP924",
           f"{rule.env!r} is not one of the environments of {name}: {', '.join(app.envs)}", "add it to envs")
        for name, app in projects.apps.items()
        for index, rule in enumerate(app.rules)
        if rule.env is not None and rule.env not in app.envs
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
    if not projects.tokens and not any(app.rules for app in projects.apps.values()):
        hint = "add tokens for POST /v1/deploy, or rules and gitlab for webhooks"
        return [at(root, (), "GP925", "nobody could start anything: no tokens and no rules", hint)]
    return [error for name, app in projects.apps.items() if app.hears_a_forge()
            for error in unproven(projects, name, app, root)]  # fmt: skip


def _crossing(name: str) -> str:
    """A name of a branch or a tag as GitLab's own filters read it: there * stands for / as well."""
    return re.sub(r"\*+", "**", name)


def apps_of(projects: Projects, repository: str, spec: str) -> dict[str, Project]:
    """The apps that a repository's address means; of several those with this spec."""
    same = {
        name: app
        for name, app in projects.apps.items()
        if repository_path(app.repository) == repository_path(repository)
    }
    return {name: app for name, app in same.items() if app.spec == spec} if len(same) > 1 else same


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
