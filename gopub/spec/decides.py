"""Who decides over each key of an environment: the signed release, or the project that an operator stands in. Pure.

A release says what runs and how it enters: files, unit, health, steps, marks. Where it goes and whose word counts is
the project's: a release must choose neither the hosts that it reaches, nor the connections behind names, nor the key
that judges it.
docs/concepts/admission.md shows this table; a test compares them, and that no key is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from gopub.canon import Json
from gopub.spec.base import Model
from gopub.spec.marks import ShadowSpec
from gopub.spec.models import Environment


class Decides(StrEnum):
    """Whose word a key is."""

    PROJECT = "project"
    RELEASE = "release"


P, R = Decides.PROJECT, Decides.RELEASE
DECIDES: Mapping[str, Decides] = {
    "inventory": P,
    "hosts": P,
    "instance": R,
    "require": P,
    "admit.key": P,
    "admit.signed": P,
    "admit.provenance.repository": P,
    "admit.provenance.ref": P,
    "admit.provenance.builder": P,
    "admit.provenance.level": P,
    "admit.sbom.formats": P,
    "admit.sbom.forbid": P,
    "admit.sbom.licences.deny": P,
    "admit.fresh": P,
    "admit.mode": P,
    "admit.statement.key": P,
    "admit.statement.lasts": P,
    "admit.roles.file": P,
    "admit.roles.root": P,
    "service.unit": R,
    "service.args": R,
    "service.env": R,
    "service.user": R,
    "service.runtime": R,
    "service.limits.files": R,
    "service.limits.processes": R,
    "service.limits.core": R,
    "service.limits.locked": R,
    "service.limits.memory": R,
    "service.limits.tasks": R,
    "service.limits.cpu": R,
    "service.ports": R,
    "switch": R,
    "config": R,
    "config_check": R,
    "confirm": R,
    "compat.floor": R,
    "compat.below_floor": P,
    "compat.before": R,
    "compat.after": R,
    "compat.controller.before": P,
    "compat.controller.after": P,
    "compat.config_check": R,
    "health.http": R,
    "health.host": R,
    "health.accept": R,
    "health.within": R,
    "max_unavailable": R,
    "max_load": R,
    "traffic.router": P,
    "traffic.upstream": R,
    "traffic.port": R,
    "traffic.sticky": R,
    "traffic.drain": R,
    "traffic.latency": R,
    "traffic.warmup": R,
    "traffic.trust": R,
    "traffic.tag": R,
    "rollout.window": R,
    "rollout.steps": R,
    "rollout.deadline": R,
    "rollout.keep_stable": R,
    "rollout.watch.for": R,
    "rollout.watch.then": R,
    "judge.source": P,
    "judge.metrics": R,
    "judge.logs": P,
    "judge.logs_profile": R,
    "judge.slo.latency_p95": R,
    "judge.slo.error_rate": R,
    "judge.score.pass": R,
    "judge.score.latency": R,
    "judge.score.errors": R,
    "judge.score.gc_pause": R,
    "judge.score.memory_growth": R,
    "judge.score.profile": R,
    "judge.rollback.log_score": R,
    "judge.rollback.watch": R,
    "judge.min_requests": R,
    "judge.alpha": R,
    "judge.promote.by": R,
    "judge.promote.margin": R,
    "judge.promote.beta": R,
    "judge.promote.observed": R,
    "judge.budget.freeze_below": R,
    "judge.budget.burn": R,
    "judge.budget.window": R,
    "judge.budget.query": P,
    "judge.look": R,
    "judge.endpoints": R,
    "judge.shadow.slo.latency_p95": R,
    "judge.shadow.slo.error_rate": R,
    "judge.shadow.score.pass": R,
    "judge.shadow.score.latency": R,
    "judge.shadow.score.errors": R,
    "judge.shadow.score.gc_pause": R,
    "judge.shadow.score.memory_growth": R,
    "judge.shadow.score.profile": R,
    "judge.shadow.rollback.log_score": R,
    "judge.shadow.rollback.watch": R,
    "judge.shadow.min_requests": R,
    "judge.shadow.alpha": R,
    "judge.shadow.promote.by": R,
    "judge.shadow.promote.margin": R,
    "judge.shadow.promote.beta": R,
    "judge.shadow.promote.observed": R,
    "judge.shadow.budget.freeze_below": R,
    "judge.shadow.budget.burn": R,
    "judge.shadow.budget.window": R,
    "judge.shadow.budget.query": P,
    "keep_releases": R,
    "notify": P,
}
"""Every key of an environment. Whether there is a router at all is the project's word with its name."""


IS_THE_PROJECTS = "is the project's word"
"""What a note about an overruled key says, and no other note."""


@dataclass(frozen=True, slots=True)
class Overruled:
    """A key in which the release says otherwise than the project, and what each says."""

    key: str
    release: Json
    project: Json

    def __str__(self) -> str:
        """For people: what is used, and what is not."""
        return f"`{self.key}` {IS_THE_PROJECTS}: {_shown(self.project)}; the release says {_shown(self.release)}"


def joined(release: Environment, project: Environment) -> tuple[Environment, tuple[Overruled, ...]]:
    """The environment that a rollout uses: the release's, with every key that is the project's taken from there."""
    overruled = tuple(_differences(release, project))
    budget = release.judge.budget.model_copy(update={"query": project.judge.budget.query})
    told = {"source": project.judge.source, "logs": project.judge.logs, "budget": budget,
            "shadow": _shadow(release.judge.shadow, project.judge.shadow)}  # fmt: skip
    judge = release.judge.model_copy(update=told)
    traffic = project.traffic
    if traffic is not None and release.traffic is not None:
        traffic = release.traffic.model_copy(update={"router": traffic.router})
    compat = release.compat.model_copy(update={
        "below_floor": project.compat.below_floor, "controller": project.compat.controller})  # fmt: skip
    places = {name: getattr(project, name) for name in ("inventory", "hosts", "require", "admit", "notify")}
    return release.model_copy(update={**places, "traffic": traffic, "judge": judge, "compat": compat}), overruled


def _shadow(release: ShadowSpec | None, project: ShadowSpec | None) -> ShadowSpec | None:
    """The release's policy that rides along, with the query of the project's; none where that has none."""
    if release is None or release.budget is None:
        return release
    asked = project.budget.query if project and project.budget else None
    return release.model_copy(update={"budget": release.budget.model_copy(update={"query": asked})})


def _differences(release: Environment, project: Environment) -> Iterator[Overruled]:
    said, used = (cast("Mapping[str, Json]", one.model_dump(mode="json", by_alias=True)) for one in (release, project))
    for key, who in DECIDES.items():
        ours, theirs = value_at(used, key), value_at(said, key)
        if who is Decides.PROJECT and ours != theirs:
            yield Overruled(key, theirs, ours)


def value_at(value: Json, key: str) -> Json:
    """What stands at a dotted key; None where its way ends before."""
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def keys_of(model: type[Model], before: str = "") -> Iterator[str]:
    """The dotted keys of a model's values: those of the mappings in it, and a list as one key."""
    for name, field in model.model_fields.items():
        key = f"{before}{field.alias or name}"
        inner = _model_in(field.annotation)
        if inner is None:
            yield key
        else:
            yield from keys_of(inner, f"{key}.")


def _model_in(annotation: Any) -> type[Model] | None:
    """The mapping that a key holds, also where it may be left out; None: a plain value or a list."""
    kinds = [
        annotation,
        *(() if getattr(annotation, "__origin__", None) is tuple else getattr(annotation, "__args__", ())),
    ]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Model)), None)


def _shown(value: Json) -> str:
    text = "none" if value is None else ascii(value)
    return text if len(text) <= 100 else f"{text[:60]}…{text[-30:]}"
