"""``v1.4.0`` and ``1.4.0`` are one version, and one that is not there is exit code 2 (HTTP 422), whoever asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from gopub.errors import Exit, GopubError
from gopub.process import base_environment, run
from gopub.source import checkout, settle_version_tag
from gopub.source.tree import version_of
from gopub.source.versions import is_older, without_v
from tests.unit.apikit import Kit, make_kit
from tests.unit.test_rollback_plan import ONE, THREE, TWO, UP, fleet, history, plan, stable_of
from tests.unit.test_rollback_plan import kit as last_plan

SPELLINGS = ["1.4.0", "v1.4.0"]
ASKED = {"app": "orders", "version": "1.4.0", "env": "prod"}
assert last_plan  # a fixture


@pytest.fixture
def api(tmp_path: Path) -> Kit:
    return make_kit(tmp_path)


async def repository(folder: Path, *tags: str) -> Path:
    names = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    await run(["git", "init", "-qb", "main", str(folder)], env=base_environment())
    for words in (["commit", "-qm", "x", "--allow-empty"], *(["tag", tag] for tag in tags)):
        await run(["git", *words], cwd=folder, env=base_environment(extra=names))
    return folder


async def released_as(origin: Path, ref: str, owners: tuple[str, ...] = ()) -> str:
    """The version that `gopub release REF` and `gopub deploy REF` give a commit."""
    tree = await checkout(origin, ref, origin.parent / f"tree-{ref.replace('/', '-')}")
    return version_of(await settle_version_tag(tree, owners))


@pytest.mark.parametrize("tag", SPELLINGS)
@pytest.mark.parametrize("ref", SPELLINGS)
async def test_release_and_deploy_find_the_tag_of_a_version_however_it_is_written(tmp_path, tag, ref):
    origin = await repository(tmp_path / "origin", tag)
    assert await released_as(origin, ref) == "1.4.0"
    for missing in ("9.9.9", "v9.9.9", "vv1.4.0"):
        with pytest.raises(GopubError, match="GP202") as caught:
            await released_as(origin, missing)
        assert caught.value.exit is Exit.USAGE


@pytest.mark.parametrize(
    ("tag", "owners", "version"),
    [
        ("refs/tags/v1.4.0", (), "1.4.0"),
        ("refs/tags/1.4.0", (), "1.4.0"),
        ("refs/tags/orders/v1.4.0", ("orders",), "1.4.0"),
        ("refs/tags/orders/1.4.0", ("orders",), "1.4.0"),
        ("refs/tags/release/1.4.0", ("orders",), "0.0.0-"),  # a folder that holds no program of ours names no version
    ],
)
async def test_what_a_pushed_tag_names_is_released_as_its_version(tmp_path, tag, owners, version):
    """As a webhook and `version_tag` give it: in full, so that it is that tag and no other."""
    origin = await repository(tmp_path / "origin", tag.removeprefix("refs/tags/"))
    assert (await released_as(origin, tag, owners)).startswith(version)


@pytest.mark.parametrize("version", SPELLINGS)
@pytest.mark.parametrize("ref", [None, *SPELLINGS, "refs/tags/v1.4.0"])
async def test_rest_starts_the_same_run(api, version, ref):
    answer = await api.deploy(ASKED | {"version": version, "ref": ref})
    assert answer.status_code == 202
    (order,) = api.starter.orders
    assert (order.parameters["version"], order.parameters["ref"]) == ("1.4.0", "refs/tags/v1.4.0")


async def test_rest_takes_both_spellings_for_the_same_request(api):
    key = {"Idempotency-Key": "once"}
    first = await api.deploy(ASKED, headers=key)
    again = await api.deploy(ASKED | {"version": "v1.4.0"}, headers=key)
    assert (first.status_code, again.status_code, again.json()) == (202, 202, first.json())
    assert len(api.starter.orders) == 1
    other = await api.deploy(ASKED | {"version": "v1.2.0"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "GP935"), "control: another version is another request"


@pytest.mark.parametrize(
    "change", [{"version": "9.9.9"}, {"version": "v9.9.9"}, {"ref": "9.9.9"}, {"version": "vv1.4.0"}]
)
async def test_rest_says_what_is_not_there(api, change):
    answer = await api.deploy(ASKED | change)
    assert (answer.status_code, answer.json()["code"], api.starter.orders) == (422, "GP934", [])


@pytest.mark.parametrize("to", ["1.0", "v1.0", ONE.release[:8]])
def test_rollback_takes_both_spellings(last_plan, to):
    past = history((ONE, UP), (TWO, UP), (THREE, UP))
    assert stable_of(plan(last_plan, past, fleet(THREE, THREE, THREE, THREE), to)) == ONE


@pytest.mark.parametrize("to", ["7.7.7", "v7.7.7", "1.0"])
@pytest.mark.parametrize("runs", [(THREE,) * 4, (None,) * 4, (THREE, None, THREE, THREE)])
def test_rollback_to_what_no_host_holds_is_a_mistake_of_the_command(last_plan, to, runs):
    past = history((ONE, UP), (TWO, UP), (THREE, UP))
    with pytest.raises(GopubError, match="GP725 no host holds a release ") as caught:
        plan(last_plan, past, fleet(*runs, holds=(TWO, THREE)), to)
    assert caught.value.exit is Exit.USAGE
    if any(runs):
        assert "name one that the hosts hold with --to: 2.0, or roll it out" in caught.value.hint


def test_control_what_too_few_hosts_hold_is_no_mistake_of_the_command(last_plan):
    past = history((ONE, UP), (TWO, UP), (THREE, UP))
    facts = fleet(THREE, THREE, THREE, THREE, holds=(TWO, THREE)) | {"app1": fleet(THREE, THREE, THREE, THREE)["app1"]}
    with pytest.raises(GopubError, match=r"GP725 release 1\.0 is not on app2, app3, app4") as caught:
        plan(last_plan, past, facts, "1.0")
    assert caught.value.exit is Exit.FAILED


@pytest.mark.parametrize(
    ("mine", "than", "older"), [("v1.4.0", "1.5.0", True), ("1.4.0", "v1.5.0", True), ("v1.4.0", "1.4.0", False)]
)
def test_a_downgrade_is_one_however_it_is_written(mine, than, older):
    assert is_older(mine, than) is older
    assert without_v(mine) == mine.lstrip("v")
