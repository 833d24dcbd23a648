"""Who may deploy one app deploys no other one by what the repository's gopub.yaml says."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import pytest

from deployments.hooks.matching import deploy_parameters
from flows.deploy import deploy
from flows.release import release
from gopub.errors import RefusedError
from gopub.spec.projects import Project
from gopub.usecases.refuse_app import refuse_other_app

HELLO = Project(repository="https://gitlab.example/trade/hello.git", project="/srv/hello", envs=("prod",))


class Boxes:
    """The boxes of a release, around a commit whose gopub.yaml is of the app ``payments``; they note what is done."""

    refuse_other_app = staticmethod(refuse_other_app)

    def __init__(self) -> None:
        self.done: list[str] = []

    @contextmanager
    def workshop(self, *_given):
        yield "shop"

    async def project_folder(self, _repository, _spec_file, project, *_more):
        return project

    async def may_begin(self, _project, app, _env, **_options):
        return app or "payments"

    async def may_enter(self, *_given, **_options):
        return None

    async def checkout(self, _shop):
        return "source"

    async def plan(self, _shop, _source):
        return SimpleNamespace(app="payments", version="1.0.0")

    async def already_published(self, _shop, _plan):
        self.done.append("looked up")
        return {"app": "payments", "version": "1.0.0", "release_id": "a" * 64, "commit": "b" * 40}

    async def rollout(self, app, *_given):
        self.done.append(f"rolled out {app}")
        return {}


async def deployed(boxes: Boxes, parameters: dict) -> None:
    """Walk the chart of `deploy`, and that of `release` within it, with these boxes."""
    made = partial(release.fn, boxes=boxes)
    await deploy.fn(**parameters, boxes=boxes, releasing=made, rolling_out=boxes.rollout)


async def test_a_token_for_one_app_deploys_no_other_one():
    boxes = Boxes()
    parameters = deploy_parameters("hello", HELLO, env="prod", ref="v1.0.0", actor="token:hello-only", reason="")
    with pytest.raises(RefusedError, match=r"GP940 .* of the app 'payments'; 'hello' was asked for"):
        await deployed(boxes, parameters)
    assert boxes.done == []


async def test_the_app_that_was_asked_for_and_a_run_that_names_none_go_on():
    boxes = Boxes()
    parameters = deploy_parameters("payments", HELLO, env="prod", ref="v1.0.0", actor="oncall", reason="")
    await deployed(boxes, parameters)
    await deployed(boxes, {name: value for name, value in parameters.items() if name != "app"})
    assert boxes.done == ["looked up", "rolled out payments"] * 2
