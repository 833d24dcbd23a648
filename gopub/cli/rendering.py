"""``gopub check`` fills in the templates for the hosts that the inventory has now, as a rollout would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gopub.errors import GopubError, SpecError, Where
from gopub.fleet.host import Host
from gopub.fleet.slots import SLOTS
from gopub.fleet.unit import unit_name
from gopub.release.model import EnvironmentFiles, Release
from gopub.rollout.payload import render_for
from gopub.spec.loader import Loaded
from gopub.spec.models import Environment
from gopub.spec.templates import read

MOST_HOSTS = 200
"""A check is quick; the plan of a rollout fills in the templates for every host."""


def unfilled(loaded: Loaded, project: Path, name: str, hosts: Sequence[Host]) -> Iterator[SpecError]:
    """What is wrong with an environment's templates for one of these hosts: the first host it is wrong for is named."""
    environment = loaded.spec.environments[name]
    release = _stand_in(loaded, environment, name, project)
    seen: set[tuple[str, str]] = set()
    if release is None:
        return
    for host in hosts[:MOST_HOSTS]:
        try:
            render_for(release, name, environment, host)
        except GopubError as error:
            if (key := (str(error.where), error.problem)) not in seen:
                seen.add(key)
                yield _at(error, loaded, name, host)


def _stand_in(loaded: Loaded, environment: Environment, name: str, project: Path) -> Release | None:
    """A release of what lies here; None where a file is missing."""
    unit = environment.service.unit
    paths = {file.to: project / file.template for file in environment.config}
    if not all(path.is_file() for path in (*paths.values(), *([project / unit] if unit else []))):
        return None
    templates: Mapping[str, str] = {to: read(path) for to, path in paths.items()}
    files = EnvironmentFiles({}, templates, read(project / unit) if unit else None)
    return Release(loaded.spec.app, "0.0.0", "0" * 40, "file:///", 0.0, {}, {name: files}, {})


def _at(error: GopubError, loaded: Loaded, name: str, host: Host) -> SpecError:
    """The error at the template's own place: the render knows only the file that would be made of it."""
    environment, path = loaded.spec.environments[name], f"environments.{name}"
    made = {file.to: file.template for file in environment.config}
    made |= {unit_name(environment.instance, slot): environment.service.unit or "" for slot in ("", *SLOTS)}
    there = error.where or Where("")
    where = loaded.where(f"{path}.{there.file}".rstrip("."))
    if file := made.get(there.file):
        where = Where(file, there.line)
    return SpecError(error.code, f"{error.problem}, for {host.name}", hint=error.hint, where=where)
