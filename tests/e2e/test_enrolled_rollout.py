"""A release rolled out and taken back on enrolled hosts: as user gopub, signed, with no SSH of root's anywhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deployments import server as prefect
from tests.e2e.enrolled_ground import ENV, Enrolled, aside
from tests.e2e.story import STORY, a_fleet
from tests.e2e.story_ground import Env, Ground
from tests.support.ports import free_port

pytest_plugins = ("tests.e2e.enrolled_fixtures",)
pytestmark = STORY
STEPS = {"rollout": "{steps: [{hosts: 1, weight: 50%, bake: 2s}], deadline: 10m}", "max_load": "2"}


class EnrolledGround(Ground):
    """A ground whose hosts are enrolled."""

    def __init__(self, enrolled: Enrolled, server: prefect.Server) -> None:
        self.orders = enrolled.orders
        super().__init__(enrolled.lab, enrolled.folder, server, (Env(ENV, 18180, more=STEPS),))

    def settings(self, env: str, **more: str) -> dict[str, str]:
        return super().settings(env, **{"GOPUB_CONNECTIONS": str(self.orders), **more})


@pytest.fixture(scope="module")
def pinned(enrolled: Enrolled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    server = aside(lambda: prefect.start_server(tmp_path_factory.mktemp("prefect"), free_port()))
    made = EnrolledGround(enrolled, server)
    try:
        yield made
    finally:
        made.close()
        aside(lambda: prefect.stop(server.running))


async def test_a_release_comes_and_goes_back_without_the_ssh_of_root(pinned: Ground) -> None:
    story = await a_fleet(pinned, ENV).given_stable("1.0.0").given_releases("1.1.0")
    await story.when_releasing("1.1.0").then_it_was("promoted").then_every_host_runs("1.1.0").then_no_request_was_lost()
    done = await story.gopub("rollback", "--env", ENV, "--reason", "it was better before")
    assert done.code == 0, done.complaint
    await story.then_every_host_runs("1.0.0")
    heads = [(await pinned.lab.exec(name, ("ls", "/var/lib/gopub/heads"))).text for name in story.names]
    assert all("hello-prod" in said.split() for said in heads), "control: each host took signed orders"
