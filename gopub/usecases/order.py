"""What is asked of a published version by a form in Prefect's page, before its rollout begins."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from gopub.errors import RefusedError, UsageError
from gopub.journal.reading import read_env_state
from gopub.release.model import Release
from gopub.rollout.policy import signed_for
from gopub.spec.projects import Project, Projects
from gopub.usecases.clear_quarantine import clear
from gopub.usecases.refuse_downgrade import refuse_downgrade
from gopub.views.forms import ANY, VERSION
from gopub.wiring import settings
from gopub.wiring.naming import Elsewhere
from gopub.wiring.project import open_project

_VERSION = re.compile(VERSION)
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Order:
    """A published version for an environment, and what may not be so with it; ``clear_quarantine`` is a reason."""

    app: str
    env: str
    version: str
    target: str = ANY
    downgrade: bool = False
    config_only: bool = False
    clear_quarantine: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """The release that is ordered and, where only its configuration may differ, the one that is stable."""

    new: Release
    stable: Release | None


def known_app(projects: Projects, app: str, env: str, version: str) -> Project:
    """What projects.yaml on this machine says of an app; without ``env`` it is only released.

    A form is as old as the last set-up, and a server checks nothing that it is told not to: so it is asked again here.

    Raises:
        RefusedError: GP986 the app is not there.
        UsageError: GP942 it has no such environment; GP987 no version can be called so.
    """
    found = projects.apps.get(app)
    if found is None:
        known = ", ".join(sorted(projects.apps)) or "none"
        raise RefusedError("GP986", f"projects.yaml of this worker has no app {app!r}; it has: {known}",
                           hint="`gopub setup` takes away the forms of apps that are not in its projects.yaml; workers "
                           "need the same file")  # fmt: skip
    if env and env not in found.envs:
        raise UsageError("GP942", f"{app} has no environment {env!r}; projects.yaml has: {', '.join(found.envs)}",
                         hint="correct env, or add it to envs")  # fmt: skip
    if (env or version) and not _VERSION.fullmatch(version):
        raise UsageError("GP987", f"{version!r} cannot be a version", hint="choose a published one, such as 1.4.0")
    return found


async def refuse_order(folder: str, order: Order, elsewhere: Elsewhere | None = None) -> Pair:
    """Refuse what can be refused by the store and the journal alone; gives the releases that it read.

    Raises:
        UsageError: GP321 the store has no such version.
        RefusedError: GP310 to GP312, GP322, GP324 it is not signed by the project's key, malformed, or another app's;
            GP730 it is older than the stable one; GP988 it was not built for the platform; GP989 only configuration
            may differ, and nothing is stable there.
    """
    project = await open_project(folder).naming_store(elsewhere)
    admit = project.environment(order.env).admit
    new = (await signed_for(project, order.app, admit, order.version)).release
    if order.target not in {ANY, *new.targets}:
        raise RefusedError("GP988", f"{order.app} {new.version} was not built for {order.target}; it has: "
                           f"{', '.join(sorted(new.targets))}", hint="choose another platform, or any")  # fmt: skip
    if not order.downgrade:
        refuse_downgrade(order.app, order.env, new.version)
    if not order.config_only:
        return Pair(new, None)
    stable = read_env_state(settings.journal(), order.app, order.env).stable
    if not stable:
        raise RefusedError("GP989", f"nothing is stable in {order.env} that only configuration could differ from",
                           hint="deploy it without `Configuration only`")  # fmt: skip
    return Pair(new, (await signed_for(project, order.app, admit, stable)).release)


def refuse_more_than_config(pair: Pair, env: str, spec_file: str, changed: Iterable[str]) -> None:
    """Refuse a commit that differs from the stable one in more files (``changed``) than gopub.yaml and its templates.

    Raises:
        RefusedError: GP989 it does.
    """
    if pair.stable is None:
        return
    config = {PurePosixPath(spec_file), *_templates(pair.stable, env, spec_file), *_templates(pair.new, env, spec_file)}
    more = sorted(name for name in changed if PurePosixPath(name) not in config or name.endswith(".go"))
    if pair.stable.spec.get("build") != pair.new.spec.get("build"):
        more.insert(0, f"build in {spec_file}")
    if more:
        rest = f" and {len(more) - _SHOWN} more" if len(more) > _SHOWN else ""
        raise RefusedError("GP989", f"{pair.new.version} differs from {pair.stable.version}, which is stable in {env}, "
                           f"in more than configuration: {', '.join(more[:_SHOWN])}{rest}",
                           hint="deploy it without `Configuration only`")  # fmt: skip


def _templates(release: Release, env: str, spec_file: str) -> Iterable[PurePosixPath]:
    there = release.environments.get(env)
    listed = there.spec.get("config") if there else None
    above = PurePosixPath(spec_file).parent
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and isinstance(one.get("template"), str):
            yield above / str(one["template"])


def clear_if_asked(order: Order, pair: Pair) -> None:
    """Take the release out of the env's quarantine, where the order says why.

    Raises:
        UsageError: GP728 it is not there.
    """
    if order.clear_quarantine.strip():
        reason = " ".join(order.clear_quarantine.split())
        clear(order.app, order.env, pair.new.release_id, reason, order.actor)
