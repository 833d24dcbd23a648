"""The main job on the lab: a first release, a good one that is promoted, a bad one that is taken back."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from gopub.evidence import summary
from gopub.process import base_environment, run
from tests.e2e.story import STORY, Story, a_fleet
from tests.e2e.story_ground import Ground

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = STORY
SUMMARY_SH = Path(summary.__file__).with_name("summary.sh")


async def its_verdicts_can_be_replayed(story: Story) -> None:
    explained = await story.gopub("explain", "last", "--json")
    entries = json.loads(explained.text)["entries"]
    judged = [entry["data"] for entry in entries if entry["type"] == "Judged"]
    assert judged[-1]["kind"] == "PROMOTE"
    queries = judged[-1]["record"]["record"]["observation"]["queries"]
    assert any(": counters of hello/main, " in query["text"] and query["series"] for query in queries)
    kept = story.ground.folder / "explained.json"
    kept.write_text(explained.text)
    replayed = await story.gopub("judge", "replay", str(kept), "--json")
    assert replayed.code == 0, replayed.complaint
    kept.write_text(explained.text.replace('"rule": 7', '"rule": 6'))
    assert (await story.gopub("judge", "replay", str(kept))).code == 1, "a verdict that was altered is seen"


async def its_admission_was_stated(story: Story) -> None:
    explained = await story.gopub("explain", "last", "--json")
    entries = json.loads(explained.text)["entries"]
    (admitted,) = (entry["data"] for entry in entries if entry["type"] == "Admitted")
    (stated,) = admitted["statements"]
    folder = story.ground.folder / "stated"
    verified = await story.gopub("verify", "1.1.0", "--env", story.env.name, "--save", str(folder))
    assert verified.code == 0, verified.complaint
    assert f"ok    statement    {stated['target']} until {stated['expires']}, SLSA_BUILD_LEVEL_1" in verified.text
    saved = folder / f"{stated['target'].replace('/', '-')}.admission"
    assert saved.read_text() == stated["text"]
    checked = await run(["sh", str(SUMMARY_SH), str(saved), f"{saved}.pub"], env=base_environment(), check=False)
    assert (checked.code, checked.out.decode()) == (0, stated["text"].partition("\n\n")[0] + "\n"), checked


async def test_a_good_release_is_promoted_and_a_bad_one_taken_back(ground: Ground):
    await (
        a_fleet(ground, "main")
        .given_stable("1.0.0")
        .given_releases("1.1.0")
        .given_releases("2.0.0", error_rate=0.4, after_requests=20, log_errors=True)
        .when_releasing("1.1.0")
        .then_it_was("promoted", 7)
        .then_every_host_runs("1.1.0")
        .then_no_request_was_lost()
        .then(its_verdicts_can_be_replayed)
        .then(its_admission_was_stated)
        .when_releasing("2.0.0")
        .then_it_was("rolled back", 3, 4)
        .then_every_host_runs("1.1.0")
        .when_releasing("2.0.0")
        .then_it_was_refused("GP721", 3)
    )


async def test_each_flow_leaves_its_pages_in_prefect(ground: Ground):
    story = await a_fleet(ground, "main").given_stable("1.1.0")
    async with httpx.AsyncClient(trust_env=False) as http:
        found = (await http.post(f"{ground.server.url}/artifacts/latest/filter", json={})).json()
        runs = (await http.post(f"{ground.server.url}/flow_runs/filter", json={})).json()
    kept = {one["key"]: one for one in found}
    assert {"hello-release", "hello-main-plan", "hello-main-rollout", "hello-main-progress"} <= set(kept)
    assert all(f"| {name} | " in kept["hello-main-rollout"]["data"] for name in story.names)
    assert "gopub explain" in kept["hello-main-rollout"]["data"]
    assert any(one["name"].startswith("rollout-hello-main-") for one in runs)
