"""The boxes of what somebody orders in a form of Prefect's page; what is refused is gopub.usecases.order's word."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gopub.source import checkout
from gopub.source.git import git, lines
from gopub.spec.projects import Project, find_projects, load_projects
from gopub.usecases import order as core
from gopub.wiring.backends import BACKENDS
from tasks import marks
from tasks.asking import who_asks
from tasks.box import box
from tasks.elsewhere import Elsewhere
from tasks.release import may_begin, project_folder

__all__ = ["drove_before", "may_be_ordered", "may_begin", "ordered", "project_folder", "who_asks"]
drove_before = marks.drove_before


@box(name="what is ordered", limit=60)
async def ordered(app: str, env: str, version: str) -> Project:
    """What projects.yaml on this worker says of the app: whoever fills in a form names no repository and no folder."""
    return core.known_app(load_projects(find_projects(), BACKENDS), app, env, version)


@box(name="may it be ordered", limit=900)
async def may_be_ordered(folder: str, place: Project, order: core.Order) -> None:
    """Refuse a version that is not as the form says; what it says of the quarantine is written last."""
    pair = await core.refuse_order(folder, order, Elsewhere())
    if pair.stable is not None:
        core.refuse_more_than_config(
            pair, order.env, place.spec, await _changed(place, pair.stable.commit, pair.new.commit)
        )
    core.clear_if_asked(order, pair)


async def _changed(place: Project, before: str, after: str) -> list[str]:
    """The files in which two commits differ, relative to the repository."""
    with tempfile.TemporaryDirectory(prefix="gopub-order-") as room:
        tree = await checkout(place.repository, after, Path(room, "tree"))
        return lines(
            await git(
                tree.path,
                "-c",
                "core.quotePath=false",
                "diff",
                "--name-only",
                "--no-renames",
                "--end-of-options",
                before,
                after,
                "--",
            )
        )
