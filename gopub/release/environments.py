"""The files that an environment needs, taken from the commit into the release."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from gopub.canon import Json
from gopub.errors import RefusedError, SpecError
from gopub.release.model import EnvironmentFiles
from gopub.source.lfs import refuse_pointer
from gopub.spec.admit import AdmitSpec
from gopub.spec.budget import BudgetSpec, PromoteSpec
from gopub.spec.compat import Compat
from gopub.spec.models import Environment, ReleaseSpec, ServiceSpec

LARGEST_TEMPLATE = 1 << 20


def environments_of(spec: ReleaseSpec, project: Path, checkout: Path) -> dict[str, EnvironmentFiles]:
    """Every environment with its effective spec, templates and unit, read from the checkout.

    Raises:
        SpecError: GP206 a file is missing, lies outside the repository, is too large, or is no text.
        RefusedError: GP208 it is a pointer of Git LFS.
    """
    return {name: _environment(name, environment, project, checkout) for name, environment in spec.environments.items()}


def _environment(name: str, environment: Environment, project: Path, checkout: Path) -> EnvironmentFiles:
    key = f"environments.{name}"
    templates = {
        entry.to: _text(f"{key}.config[{index}].template", entry.template, project, checkout)
        for index, entry in enumerate(environment.config)
    }
    unit = environment.service.unit
    return EnvironmentFiles(
        spec=effective(environment),
        templates=templates,
        unit=_text(f"{key}.service.unit", unit, project, checkout) if unit else None,
    )


NEWER: Mapping[str, object] = {"budget": BudgetSpec(), "promote": PromoteSpec(), "shadow": None, "endpoints": ()}
"""Keys of ``judge`` that an older gopub does not read, left out where they say nothing."""


LATER: Mapping[str, object] = {"compat": Compat(), "confirm": ()}
"""The same of an environment's own keys."""


def effective(environment: Environment) -> dict[str, Json]:
    """The whole environment as JSON, defaults resolved; of score and warm-up only what the team wrote down.

    A dimension that was declared and is missing holds a rollout, one that is a default is left out; a warm-up that was
    not written down is as long as stable's was: so what was declared must survive.
    """
    whole = cast("dict[str, Json]", environment.model_dump(mode="json", by_alias=True))
    whole["admit"] = _admit(environment.admit)
    whole["service"] = _service(environment.service)
    if environment.rollout.watch is None:
        rollout = cast("Mapping[str, Json]", whole["rollout"])
        whole["rollout"] = {key: value for key, value in rollout.items() if key != "watch"}
    judge = cast("Mapping[str, Json]", whole["judge"])
    declared = environment.judge.score.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if environment.traffic and "warmup" not in environment.traffic.model_fields_set:
        whole["traffic"] = {key: value for key, value in _traffic(whole).items() if key != "warmup"}
    kept = {
        name: value
        for name, value in judge.items()
        if name not in NEWER or getattr(environment.judge, name) != NEWER[name]
    }
    if environment.service.ports is None:
        service = cast("Mapping[str, Json]", whole["service"])
        whole["service"] = {key: value for key, value in service.items() if key != "ports"}
    if environment.judge.shadow is not None:
        kept["shadow"] = environment.judge.shadow.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for name in [name for name, says_nothing in LATER.items() if getattr(environment, name) == says_nothing]:
        del whole[name]
    return {**whole, "judge": {**kept, "score": declared}}


def _admit(admit: AdmitSpec) -> dict[str, Json]:
    """A key and a source as always; of the rest only what was written, for an older gopub knows nothing of it."""
    whole = cast("dict[str, Json]", admit.model_dump(mode="json", by_alias=True))
    written = cast("dict[str, Json]", admit.model_dump(mode="json", by_alias=True, exclude_defaults=True))
    source = {"repository": None, "ref": None, **cast("dict[str, Json]", written.get("provenance", {}))}
    return {**written, "key": whole["key"], "provenance": source}


def _service(service: ServiceSpec) -> dict[str, Json]:
    """Runtime and limits only where they say something: an older gopub knows neither."""
    whole = cast("dict[str, Json]", service.model_dump(mode="json", by_alias=True))
    limits = cast("Json", service.limits.model_dump(mode="json", by_alias=True, exclude_none=True))
    newer = {"runtime": dict(service.runtime) or None, "limits": limits or None}
    kept = {name: value for name, value in whole.items() if name not in newer}
    return kept | {name: value for name, value in newer.items() if value}


def _traffic(whole: Mapping[str, Json]) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", whole["traffic"])


def read_environment(env: str, files: EnvironmentFiles) -> Environment:
    """The environment that a release carries.

    Raises:
        RefusedError: GP351 it is not one that this gopub reads; says where, and repeats nothing of it.
    """
    try:
        return Environment.model_validate(files.spec)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        place = ".".join(str(part) if str(part) in _known_keys() else "*" for part in found[0]["loc"]) or "all of it"
        raise RefusedError(
            "GP351",
            f"the release's environment {env!r} is not one that this gopub reads: {len(found)} mistakes, the first at "
            f"{place} ({found[0]['type']})",
            hint="was it released by a newer gopub? release the commit again with this one",
        ) from None


def _known_keys() -> frozenset[str]:
    """Every key of an environment, however deep."""
    definitions = Environment.model_json_schema(by_alias=True)
    parts = [definitions, *definitions.get("$defs", {}).values()]
    bodies = [body for part in parts for body in [part, *part.get("anyOf", ())]]
    return frozenset(name for body in bodies for name in body.get("properties", {}))


def _text(key: str, name: str, project: Path, checkout: Path) -> str:
    path = (project / name).resolve()  # a link that leads out of the commit is found here
    if not path.is_relative_to(checkout.resolve()):
        raise _wrong(key, name, "lies outside the repository")
    if not path.is_file():
        raise _wrong(key, name, "is not in the commit")
    if path.stat().st_size > LARGEST_TEMPLATE:
        raise _wrong(key, name, f"is larger than {LARGEST_TEMPLATE} bytes")
    refuse_pointer(path, shown=name, use=f"`{key}`")
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError:
        raise _wrong(key, name, "is not UTF-8 text") from None


def _wrong(key: str, name: str, problem: str) -> SpecError:
    return SpecError(
        "GP206",
        f"`{key}`: {name!r} {problem}",
        hint="commit it (git add -f, if .gitignore names it); paths are relative to gopub.yaml",
    )
