"""The sources there are: one line each, and a connection names exactly one."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from gopub.spec.fields import refuse
from gopub.traffic.sources.consul import Consul
from gopub.traffic.sources.etcd import Etcd
from gopub.traffic.sources.file import File
from gopub.traffic.sources.protocol import SourceKey
from gopub.traffic.sources.push import Push


class RouteSource(BaseModel):
    """Where edges take their route tables from; without one the driver puts them on each edge itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    etcd: Etcd | None = None
    """An etcd."""
    consul: Consul | None = None
    """A Consul."""
    file: File | None = None
    """A folder that something else carries to the edges."""
    http: Push | None = None
    """No place between: gopub pushes each table to the edges by mutual TLS."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            names = ", ".join(type(self).model_fields)
            raise refuse("GP134", "a router has one source of tables", f"write exactly one of {names}")
        return self

    @property
    def chosen(self) -> SourceKey:
        """The place that is named; ``http`` is none."""
        found = next(getattr(self, name) for name in type(self).model_fields if getattr(self, name) is not None)
        if not isinstance(found, SourceKey):
            raise TypeError(found)  # pragma: no cover - all fields are such
        return found
