"""What gopub.yaml refers to: files of the project and connections. It looks whether they are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gopub.errors import GopubError, SpecError
from gopub.spec.connections import Connections
from gopub.spec.endpoints import AUTO
from gopub.spec.kinds import (
    Connection,
    FleetKind,
    InventoryKind,
    LogsKind,
    MetricsKind,
    NotifyKind,
    RouterKind,
    SignerKind,
    SigstoreKind,
    StoreKind,
)
from gopub.spec.loader import Loaded, parse_path
from gopub.spec.models import Environment, ReleaseSpec
from gopub.spec.tree import Scalar, find

EDGES = "edges"
"""The name, and kind, of the edges themselves where they are what is judged by."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A name that must mean a connection behind one of these doors."""

    name: str
    kinds: tuple[type[Connection], ...]


def store_names(spec: ReleaseSpec) -> Iterator[Reference]:
    """The name of the artifact store."""
    yield Reference(spec.publish.store, (StoreKind,))


def signing_names(spec: ReleaseSpec, connections: Connections) -> Iterator[Reference]:
    """The name of what signs, where it is none of the project's files."""
    key, keyless = spec.evidence.sign.key, spec.evidence.sign.keyless
    if key is not None and not (connections.project / key).is_file():
        yield Reference(key, (SignerKind,))
    if keyless is not None:
        yield Reference(keyless, (SigstoreKind,))


def environment_names(environment: Environment, connections: Connections) -> Iterator[Reference]:
    """The names that an environment needs; those that its router's connection names are known once that one is."""
    router = environment.traffic and connections.entries.get(environment.traffic.router)
    inventories, metrics, logs = [environment.inventory], [environment.judge.source], [environment.judge.logs]
    if isinstance(router, RouterKind):
        inventories.append(router.inventory)
        metrics.append(router.metrics)
        logs.append(router.logs)
    yield Reference("ssh", (FleetKind,))
    if environment.traffic is not None:
        yield Reference(environment.traffic.router, (RouterKind,))
    signs = environment.admit.statement.key
    if signs is not None and not (connections.project / signs).is_file():
        yield Reference(signs, (SignerKind,))
    yield from (Reference(name, (InventoryKind,)) for name in inventories if not (connections.project / name).exists())
    yield from (Reference(name, (MetricsKind,)) for name in metrics if name)
    yield from (Reference(name, (LogsKind,)) for name in logs if name)


def notify_names(environment: Environment) -> Iterator[Reference]:
    """The names of those who are told; no rollout needs them."""
    yield from (Reference(told.to, (NotifyKind,)) for told in environment.notify)


def broken(loaded: Loaded, connections: Connections) -> list[SpecError]:
    """Every name and path of a spec behind which nothing stands; inventories are the fleet's to read."""
    found = list(_release(loaded, connections))
    for name, environment in loaded.spec.environments.items():
        found += _environment(loaded, connections, environment, f"environments.{name}")
    return found


def no_main(loaded: Loaded, project: Path) -> SpecError | None:
    """What is wrong where ``build.main`` names a folder without a Go file of a program; None where it has one.

    A program that Go does not build, and no command makes, is a file of the commit.
    """
    build = loaded.spec.build
    if build.file is not None:
        if build.command or (project / build.file).is_file():
            return None
        problem = f"`build.file`: there is no file {build.file!r}"
        return SpecError("GP234", problem, hint="commit it, or say what makes it: build: {command: [make]}",
                         where=loaded.where("build.file"))  # fmt: skip
    main = build.main
    if any(not path.name.endswith("_test.go") for path in (project / main).glob("*.go")):
        return None
    problem = f"`build.main`: there is no Go file in {main!r}"
    return SpecError("GP144", problem, hint="name the main package", where=loaded.where("build.main"))


def placed(error: GopubError, loaded: Loaded, path: str) -> SpecError:
    """The same error at the key that led to it."""
    return SpecError(error.code, f"`{path}`: {error.problem}", hint=error.hint, where=loaded.where(path))


def judged_on(environment: Environment, connections: Connections) -> str | None:
    """The connection whose metrics decide over an environment; None: a rollout is health-only."""
    if environment.traffic is None:
        return None
    router = connections.entries.get(environment.traffic.router)
    if environment.judge.source or not isinstance(router, RouterKind):
        return environment.judge.source
    return EDGES if router.counts else router.metrics


def _release(loaded: Loaded, connections: Connections) -> Iterator[SpecError]:
    spec, project = loaded.spec, connections.project
    yield from _named(loaded, connections, spec.publish.store, "publish.store", StoreKind)
    key = spec.evidence.sign.key
    if key is not None and not (project / key).is_file():
        yield from _named(loaded, connections, key, "evidence.sign.key", SignerKind)
    if spec.evidence.sign.keyless is not None:
        yield from _named(loaded, connections, spec.evidence.sign.keyless, "evidence.sign.keyless", SigstoreKind)
    if missing := no_main(loaded, project):
        yield missing


def _environment(loaded: Loaded, connections: Connections, environment: Environment, path: str) -> Iterator[SpecError]:
    traffic, judge, project = environment.traffic, environment.judge, connections.project
    if traffic is not None:
        yield from _router(loaded, connections, traffic.router, f"{path}.traffic.router")
    if judge.source is not None:
        yield from _named(loaded, connections, judge.source, _source(loaded, f"{path}.judge"), MetricsKind)
    yield from _unasked(loaded, connections, environment, f"{path}.judge")
    yield from _unheard(loaded, connections, environment, path)
    if judge.logs is not None:
        yield from _named(loaded, connections, judge.logs, f"{path}.judge.logs", LogsKind)
    for index, told in enumerate(environment.notify):
        yield from _named(loaded, connections, told.to, f"{path}.notify[{index}].to", NotifyKind)
    for place, one in environment.admit.named():
        if one.trust:
            yield from _named(loaded, connections, one.trust, f"{path}.admit.{place}.trust", SigstoreKind)
    signs = environment.admit.statement.key
    if signs is not None and not (project / signs).is_file():
        yield from _named(loaded, connections, signs, f"{path}.admit.statement.key", SignerKind)
    files = [(f"{path}.config[{index}].template", file.template) for index, file in enumerate(environment.config)]
    files += [
        (f"{path}.service.unit", environment.service.unit or ""),
        (f"{path}.admit.key", environment.admit.key or ""),
        (f"{path}.admit.roles.file", environment.admit.roles.file if environment.admit.roles else ""),
        (f"{path}.admit.roles.root", environment.admit.roles.root if environment.admit.roles else ""),
        *((f"{path}.admit.{place}.key", one.key or "") for place, one in environment.admit.named()),
    ]
    for key, file in files:
        if file and not (project / file).is_file():
            problem = f"`{key}`: there is no file {file!r}"
            yield SpecError("GP144", problem, hint="paths start beside gopub.yaml", where=loaded.where(key))


def _unasked(loaded: Loaded, connections: Connections, environment: Environment, judge: str) -> Iterator[SpecError]:
    """What only a Prometheus could answer where there are edges alone: each rollout would hold, and be withdrawn."""
    router_name = environment.traffic.router if environment.traffic else ""
    router = connections.entries.get(router_name)
    if not isinstance(router, RouterKind):
        return
    names = {environment.judge.source, router.metrics} - {None, EDGES}
    named = [connections.entries.get(name) for name in names if name]
    if any(one is None or one.kind != EDGES for one in named):  # one that is not there is told by itself
        return
    budget = environment.judge.budget
    asked = {
        "metrics": bool(environment.judge.metrics),
        "budget": budget.freeze_below is not None or budget.burn != "ignore",
        "endpoints": AUTO in environment.judge.endpoints,
    }
    for key in (key for key, wanted in asked.items() if wanted):
        problem = f"`{judge}.{key}`: only the edges count here, and they cannot answer it"
        hint = f"name a connection of kind prometheus: `metrics` of {router_name}, or judge.source"
        yield SpecError("GP150", problem, hint=hint, where=loaded.where(f"{judge}.{key}"))


def _unheard(loaded: Loaded, connections: Connections, environment: Environment, path: str) -> Iterator[SpecError]:
    """Edges that are to be asked themselves and cannot be: each rollout would hold until its deadline."""
    router_name = environment.traffic.router if environment.traffic else ""
    router = connections.entries.get(router_name)
    if not isinstance(router, RouterKind) or router.counts:
        return
    named = {
        _source(loaded, f"{path}.judge"): environment.judge.source,
        f"{path}.traffic.router": None if environment.judge.source else router.metrics,
    }
    for key, name in named.items():
        if name and (name == EDGES or getattr(connections.entries.get(name), "kind", "") == EDGES):
            problem = f"`{key}`: the edges of {router_name} are of kind {router.kind}, which cannot be asked for counts"
            hint = (
                f"name a connection of kind prometheus that scrapes them, in judge.source or `metrics` of {router_name}"
            )
            yield SpecError("GP150", problem, hint=hint, where=loaded.where(key))


def _source(loaded: Loaded, judge: str) -> str:
    """Where the file names the judge's metrics: in `source`, or in the place that it had before."""
    old = f"{judge}.metrics"
    return old if isinstance(find(loaded.root, parse_path(old)), Scalar) else f"{judge}.source"


def _router(loaded: Loaded, connections: Connections, name: str, path: str) -> Iterator[SpecError]:
    yield from _named(loaded, connections, name, path, RouterKind)
    router = connections.entries.get(name)
    if isinstance(router, RouterKind) and router.metrics is not None:
        yield from _named(loaded, connections, router.metrics, path, MetricsKind)
    if isinstance(router, RouterKind) and router.logs is not None:
        yield from _named(loaded, connections, router.logs, path, LogsKind)


def _named(
    loaded: Loaded, connections: Connections, name: str, path: str, *kinds: type[Connection]
) -> Iterator[SpecError]:
    try:
        connections.get(name, *kinds)
    except SpecError as error:
        yield placed(error, loaded, path)
