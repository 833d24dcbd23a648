"""The names of what spans say: OpenTelemetry's conventions where there is one, else below ``gopub.``. Pure.

The environment goes by its name of today and by the one before (``deployment.environment``), which dashboards still ask
for. docs/concepts/tracing.md lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

Value: TypeAlias = str | int | float | bool

APP, VERSION = "gopub.app", "service.version"
ENV, OLD_ENV = "deployment.environment.name", "deployment.environment"
HOST, INSTANCE = "host.name", "service.instance.id"
VERB, N, EPOCH = "gopub.order.verb", "gopub.order.n", "gopub.order.epoch"
RELEASE, ROLLOUT = "gopub.release", "gopub.rollout"
WEIGHT, REVISION = "gopub.table.weight", "gopub.table.revision"
ALL = (APP, VERSION, ENV, OLD_ENV, HOST, INSTANCE, VERB, N, EPOCH, RELEASE, ROLLOUT, WEIGHT, REVISION)


class Ordered(Protocol):
    """What is read of an order to a host."""

    @property
    def verb(self) -> str: ...  # noqa: D102
    @property
    def host(self) -> str: ...  # noqa: D102
    @property
    def instance(self) -> str: ...  # noqa: D102
    @property
    def app(self) -> str: ...  # noqa: D102
    @property
    def env(self) -> str: ...  # noqa: D102
    @property
    def n(self) -> int: ...  # noqa: D102
    @property
    def epoch(self) -> int: ...  # noqa: D102
    @property
    def release(self) -> str: ...  # noqa: D102


class Tabled(Protocol):
    """What is read of a route table."""

    @property
    def app(self) -> str: ...  # noqa: D102
    @property
    def env(self) -> str: ...  # noqa: D102
    @property
    def rollout(self) -> str: ...  # noqa: D102
    @property
    def weight(self) -> int: ...  # noqa: D102
    @property
    def revision(self) -> int: ...  # noqa: D102


def of_env(app: str, env: str) -> dict[str, Value]:
    """An app and its environment."""
    found = {APP: app, ENV: env, OLD_ENV: env}
    return {name: text for name, text in found.items() if text}


def about(parameters: Mapping[str, object]) -> dict[str, Value]:
    """What the parameters of a flow say of its run."""
    app, env, version = (str(parameters.get(name) or "") for name in ("app", "env", "version"))
    return {**of_env(app, env), **({VERSION: version} if version else {})}


def of_order(order: Ordered) -> dict[str, Value]:
    """An order to a host: the host, and the instance of the service on it."""
    instance = f"{order.instance}@{order.host}"
    return {
        **of_env(order.app, order.env), HOST: order.host, INSTANCE: instance, VERB: order.verb, N: order.n,
        EPOCH: order.epoch, RELEASE: order.release,
    }  # fmt: skip


def of_table(table: Tabled) -> dict[str, Value]:
    """A route table for the edges; the weight in basis points."""
    return {**of_env(table.app, table.env), ROLLOUT: table.rollout, WEIGHT: table.weight, REVISION: table.revision}
