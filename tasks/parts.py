"""What the charts of `release` and `deploy` are made of, as they use it.

A flow takes its parts by keywords, which are no parameters of its runs (`tasks.telling.plainly` keeps them from
Prefect); by default they are the boxes of `tasks` and the flows of `flows`. So a chart can be walked without Prefect.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from gopub.build.compile import Built
from gopub.canon import Json
from gopub.release import PreparedRelease, ReleasePlan
from gopub.release.stages import Described
from gopub.source.modules import ModuleReport
from gopub.source.tree import SourceTree
from gopub.spec.projects import Project as Registered
from gopub.usecases.order import Order
from gopub.wiring.shop import Shop

Made = dict[str, str]
# ruff: noqa: D102 - `tasks.release` and `flows` say what each does


class ReleaseBoxes(Protocol):
    """The boxes of `release`."""

    def project_folder(
        self, repository: str, spec_file: str, project: str = "", project_ref: str = "", app: str = "", env: str = ""
    ) -> Awaitable[str]: ...
    def workshop(
        self, repository: str, ref: str, version: str, spec_file: str, project: str, refs: Sequence[str] = ()
    ) -> AbstractContextManager[Shop]: ...
    def checkout(self, shop: Shop) -> Awaitable[SourceTree]: ...
    def plan(self, shop: Shop, source: SourceTree) -> Awaitable[ReleasePlan]: ...
    def refuse_other_app(self, found: str, allowed: str) -> None: ...
    def already_published(self, shop: Shop, plan: ReleasePlan) -> Awaitable[Made | None]: ...
    def may_enter(self, plan: ReleasePlan, env: str, made: Made | None, *, downgrade: bool) -> Awaitable[None]: ...
    def check_modules(self, plan: ReleasePlan) -> Awaitable[ModuleReport]: ...
    def may_sign(self, shop: Shop, plan: ReleasePlan) -> Awaitable[None]: ...
    def compile_all(self, plan: ReleasePlan, modules: ModuleReport) -> Awaitable[list[Built]]: ...
    def unit_tests(self, plan: ReleasePlan, modules: ModuleReport) -> Awaitable[None]: ...
    def pack_all(self, plan: ReleasePlan, built: Sequence[Built]) -> Awaitable[list[Described]]: ...
    def sign(
        self, shop: Shop, plan: ReleasePlan, modules: ModuleReport, packed: Sequence[Described]
    ) -> Awaitable[PreparedRelease]: ...
    def publish(self, shop: Shop, plan: ReleasePlan, prepared: PreparedRelease) -> Awaitable[Made]: ...


class DeployBoxes(Protocol):
    """The boxes of `deploy`."""

    def project_folder(
        self, repository: str, spec_file: str, project: str = "", project_ref: str = "", app: str = "", env: str = ""
    ) -> Awaitable[str]: ...
    def may_begin(self, project: str, app: str, env: str, *, automatic: bool) -> Awaitable[str]: ...


class OrderBoxes(Protocol):
    """The boxes of `order`."""

    def ordered(self, app: str, env: str, version: str) -> Awaitable[Registered]: ...
    def project_folder(
        self, repository: str, spec_file: str, project: str = "", project_ref: str = "", app: str = "", env: str = ""
    ) -> Awaitable[str]: ...
    def drove_before(self, app: str, env: str) -> Awaitable[str]: ...
    def may_begin(self, project: str, app: str, env: str, *, automatic: bool) -> Awaitable[str]: ...
    def who_asks(self, name: str) -> Awaitable[str]: ...
    def may_be_ordered(self, folder: str, place: Registered, order: Order) -> Awaitable[None]: ...


class Releasing(Protocol):
    """The flow `release`, as `deploy` calls it."""

    def __call__(
        self,
        repository: str,
        ref: str,
        version: str,
        spec_file: str,
        app: str,
        project: str,
        *,
        refs: Sequence[str],
        env: str,
        downgrade: bool,
    ) -> Awaitable[Made]: ...


class RollingOut(Protocol):
    """The flow `rollout`, as `deploy` calls it."""

    def __call__(
        self, app: str, env: str, version: str, project: str, reason: str, actor: str, automatic: bool
    ) -> Awaitable[dict[str, Json]]: ...
