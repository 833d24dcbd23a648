"""What a rollout would be refused for is refused before anything is cloned or built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

import flows.deploy
import flows.release
from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.seat import Seat
from gopub.plan.model import Outcome
from gopub.usecases.clear_quarantine import clear
from gopub.wiring import settings
from gopub.wiring.shop import open_shop
from tasks import release as tasks
from tests.support.engine_home import EngineHome
from tests.support.rollout_world import NEW, SPEC, World, chart, in_memory


class Boxes:
    """The boxes of release and deploy: those that refuse are the real ones, the others note that they were reached."""

    refuse_other_app = staticmethod(tasks.refuse_other_app)

    def __init__(self, version: str, release: str) -> None:
        self.version, self.release = version, release
        self.done: list[str] = []

    async def project_folder(self, _repository: str, _spec_file: str, project: str, *_more: str) -> str:
        return project

    async def may_begin(self, *given: Any, **options: Any) -> str:
        return await tasks.may_begin.fn(*given, **options)

    async def may_enter(self, *given: Any, **options: Any) -> None:
        await tasks.may_enter.fn(*given, **options)

    @contextmanager
    def workshop(self, *_given: Any) -> Iterator[str]:
        yield "shop"

    async def checkout(self, _shop: str) -> str:
        self.done.append("cloned")
        return "source"

    async def plan(self, _shop: str, _source: str) -> SimpleNamespace:
        return SimpleNamespace(app="hello", version=self.version)

    async def already_published(self, _shop: str, _plan: object) -> dict[str, str] | None:
        return {"app": "hello", "version": self.version, "release_id": self.release} if self.release else None

    async def check_modules(self, _plan: object) -> None:
        self.done.append("built")
        raise InterruptedError

    async def rollout(self, *_given: Any) -> dict[str, Any]:
        self.done.append("rolled out")
        return {}


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    in_memory(monkeypatch)
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    (tmp_path / "gopub.yaml").write_text(SPEC)
    (tmp_path / "hosts.ini").write_text("app1 role=app\n")
    return World(tmp_path)


async def deployed(folder, *, env="lab", app="hello", version="2", release="", **options) -> list[str]:
    """How far `deploy` came: with the error's code at the end, where it was refused."""
    boxes = Boxes(version, release)
    made = partial(flows.release.release.fn, boxes=boxes)
    parts: dict[str, Any] = {"boxes": boxes, "releasing": made, "rolling_out": boxes.rollout}
    try:
        await flows.deploy.deploy.fn(str(folder), env, project=str(folder), app=app, **options, **parts)
    except GopubError as error:
        boxes.done.append(error.code)
    except InterruptedError:
        pass
    return boxes.done


async def test_a_deployment_that_may_begin_is_built(world, tmp_path):
    assert await deployed(tmp_path) == ["cloned", "built"]  # the control of all that follow
    assert await deployed(tmp_path, release=NEW) == ["cloned", "rolled out"]


async def test_an_unknown_environment_and_another_app_are_refused_before_anything_is_cloned(world, tmp_path):
    assert await deployed(tmp_path, env="nosuch") == ["GP942"]
    assert await deployed(tmp_path, app="payments") == ["GP940"]


async def test_an_active_rollout_is_told_before_anything_is_cloned(world, tmp_path):
    world.driver()
    assert await deployed(tmp_path) == ["GP708"]


async def test_a_held_seat_is_told_before_anything_is_cloned(world, tmp_path):
    journal = settings.journal()
    journal.take_seat(Seat("hello", "lab", 1, "t", "somebody@elsewhere:1"), rollout="r0", lease=3600.0)
    assert await deployed(tmp_path) == ["GP707"]


async def test_a_quarantined_release_is_told_before_anything_is_built(world, tmp_path):
    await chart(world.driver(), "bad")
    assert await deployed(tmp_path, release=NEW) == ["cloned", "GP721"]
    clear("hello", "lab", NEW, "mended")
    assert await deployed(tmp_path, release=NEW) == ["cloned", "rolled out"]


async def test_an_older_version_is_told_before_anything_is_built(world, tmp_path):
    closed = ev.EnvClosed("r0", Outcome.PROMOTED, stable=NEW, stable_version="2.0.0")
    world.journal.append("env/hello/lab", 0, [ev.EnvOpened("r0", NEW), closed], actor="me")
    assert await deployed(tmp_path, version="2.0.1") == ["cloned", "built"]
    assert await deployed(tmp_path, version="1.0.0") == ["cloned", "GP730"]
    assert await deployed(tmp_path, version="1.0.0", downgrade=True) == ["cloned", "built"]


async def test_the_command_is_refused_before_an_engine_is_started(world, tmp_path):
    engine, env = EngineHome(tmp_path / "engine"), {"GOPUB_JOURNAL": str(tmp_path / "journal.db")}
    said = await engine.gopub("deploy", "--env", "lab", cwd=tmp_path, env=env)
    assert (said.code, [name for name, _ in engine.told]) == (0, ["deploy"]), "control: nothing is under way"
    world.driver()
    said = await engine.gopub("deploy", "--env", "lab", cwd=tmp_path, env=env)
    assert (said.code, b"GP708" in said.err, len(engine.told)) == (6, True, 1), said


def test_store_and_key_are_the_project_s_whatever_the_commit_names(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (project / "gopub.yaml").write_text(SPEC + "publish: {store: ours}\nevidence: {sign: {key: ours.pem}}\n")
    (project / "ours.pem").touch()
    theirs = SimpleNamespace(publish=SimpleNamespace(store="theirs"), app="hello")
    plan: Any = SimpleNamespace(app="hello", spec=theirs, project=tmp_path / "clone")
    with open_shop("https://h/x", "HEAD", "", "gopub.yaml", project) as shop:
        assert shop.spec(plan).publish.store == "ours"
        assert shop.connections().project == project
    other: Any = SimpleNamespace(app="other", spec=theirs)
    with open_shop("https://h/x", "HEAD", "", "gopub.yaml", project) as shop:
        assert shop.spec(other) is theirs  # the control: a folder of another app says nothing of this one
