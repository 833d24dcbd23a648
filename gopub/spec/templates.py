"""The templates of a spec: the files that it names, and the texts in gopub.yaml that are filled in for each host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gopub.errors import SpecError, Where
from gopub.sandbox import TemplateFault, check_syntax
from gopub.spec.loader import Loaded
from gopub.spec.models import Environment


def unreadable(loaded: Loaded, project: Path) -> Iterator[SpecError]:
    """Every template whose syntax is wrong, at its place; files that are not there are somebody else's to tell."""
    for name, environment in loaded.spec.environments.items():
        path = f"environments.{name}"
        for key, text in texts(environment, path):
            if fault := _fault(text):
                yield fault.told(loaded.where(key), f"`{key}`: template")
        for file in files(environment):
            if (project / file).is_file() and (fault := _fault(read(project / file))):
                yield fault.told(Where(file, fault.line))


def texts(environment: Environment, path: str) -> Iterator[tuple[str, str]]:
    """The texts of gopub.yaml that are templates, by their keys; the unit's own are none where a team brings a unit."""
    service = environment.service
    if service.unit is None:
        yield from ((f"{path}.service.args[{index}]", word) for index, word in enumerate(service.args))
        yield from ((f"{path}.service.env.{key}", text) for key, text in service.env.items())
    yield from ((f"{path}.service.runtime.{key}", text) for key, text in service.runtime.items())


def files(environment: Environment) -> Iterator[str]:
    """The files that are templates, relative to gopub.yaml."""
    yield from dict.fromkeys(file.template for file in environment.config)
    if environment.service.unit is not None:
        yield environment.service.unit


def read(path: Path) -> str:
    """A template's text; bytes that are no text are the release's to refuse."""
    return path.read_bytes().decode(errors="replace")


def _fault(source: str) -> TemplateFault | None:
    try:
        check_syntax(source)
    except TemplateFault as fault:
        return fault
    return None
