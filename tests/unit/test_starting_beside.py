"""Two deliveries of one push are one run, a later one is another; and repositories that hang hold up no other app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from deployments.api.places import Places
from deployments.api.starting import Starting
from deployments.hooks.signing import HookSecrets
from deployments.starter import RunView
from gopub.clock import SystemClock
from gopub.errors import GopubError
from tests.unit.apikit import HOOK_TOKEN, PUSHED, FixedRefs, Kit, RecordingStarter, make_kit
from tests.unit.test_webhook_routes import headers, payload

LONG = 120.0
"""Real seconds for what must come."""
HANGING = 16
WHERE = "https://gitlab.example/trade"


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return make_kit(tmp_path)


@dataclass(slots=True)
class Ending(RecordingStarter):
    """An engine whose runs end when the test says so."""

    over: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    async def run(self, run_id: str) -> RunView | None:
        found = await RecordingStarter.run(self, run_id)
        return replace(found, final=run_id in self.over) if found and run_id not in self.gone else None


async def started(kit: Kit, engine: Ending, *bodies: tuple[str, bytes]) -> list[str]:
    """The runs of each of these deliveries."""
    starting = Starting(replace(kit.parts, starter=engine))
    answers = [await kit.hook(body, **headers(delivery)) for delivery, body in bodies]
    await starting.look()
    await starting.idle()
    return [(await kit.told(answer))["runs"][0]["id"] for answer in answers]


async def test_a_webhook_that_is_configured_twice_starts_one_run(kit: Kit) -> None:
    engine = Ending()
    assert await started(kit, engine, ("d-1", payload()), ("d-2", payload())) == ["run-1", "run-1"]
    assert await started(kit, engine, ("d-3", payload())) == ["run-1"], "it has not ended"
    assert len(engine.orders) == 1
    again = make_kit(Path(kit.parts.deliveries._file).parent)
    assert await started(again, engine, ("d-4", payload())) == ["run-1"], "over a restart of the server too"


async def test_two_branches_at_one_commit_are_one_release(kit: Kit) -> None:
    other = payload(ref="refs/heads/release/v2.4")
    assert await started(kit, Ending(), ("d-1", payload()), ("d-2", other)) == ["run-1", "run-1"]


@pytest.mark.parametrize("what", ["over", "gone"])
async def test_the_same_push_starts_anew_once_its_run_has_ended(kit: Kit, what: str) -> None:
    """A retry of a release that failed, by GitLab's button or by a push of the same commit."""
    engine = Ending()
    await started(kit, engine, ("d-1", payload()))
    getattr(engine, what).add("run-1")
    assert await started(kit, engine, ("d-2", payload()), ("d-3", payload())) == ["run-2", "run-2"]


async def test_a_branch_that_is_put_back_while_its_first_run_goes_on_is_released_last(kit: Kit) -> None:
    """A bad commit is taken back by a push of the one before: else the bad one, started in between, would stay."""
    kit.refs.push(bad := "c" * 40)
    wrong, engine = payload(after=bad, checkout_sha=bad), Ending()
    twice = (
        ("d-1", payload()),
        ("d-2", payload()),
        ("d-3", wrong),
        ("d-4", wrong),
        ("d-5", payload()),
        ("d-6", payload()),
    )
    assert await started(kit, engine, *twice) == ["run-1", "run-1", "run-2", "run-2", "run-3", "run-3"]
    assert [order.commit for order in engine.orders] == [PUSHED, bad, PUSHED]


async def test_what_differs_is_no_second_hook(kit: Kit) -> None:
    """Another commit; a tag beside the branch; two tags at one commit: each has a version of its own."""
    kit.refs.push(later := "c" * 40)
    tag, two = payload("tag_push.json"), payload("tag_push.json", ref="refs/tags/v1.4.0")
    pushes = [payload(), payload(after=later, checkout_sha=later), tag, two]
    runs = await started(kit, Ending(), *((f"d-{number}", body) for number, body in enumerate(pushes)))
    assert len(set(runs)) == len(pushes)


async def test_a_first_one_that_was_refused_takes_no_second_along(kit: Kit) -> None:
    starting = Starting(replace(kit.parts, refs=FixedRefs()))
    first = await kit.hook(payload(), **headers("d-1"))
    await starting.look()
    await starting.idle()
    assert (await kit.told(first))["status"] == "refused"
    assert await started(kit, Ending(), ("d-2", payload())) == ["run-1"]


class Hanging(FixedRefs):
    """Every repository hangs but that of `good`."""

    async def holding(self, repository: str, commit: str) -> tuple[str, ...]:
        if "good" not in repository:
            await asyncio.Event().wait()
        return await FixedRefs.holding(self, repository, commit)


def projects(bad: Sequence[str]) -> str:
    """As many apps, and a good one; where their names are equal up to the dash they have one repository."""
    more = "project: /srv/x, envs: [prod], rules: [{branch: release/*, env: prod}]"
    apps = [f"  {name}: {{repository: {WHERE}/{name.partition('-')[0]}.git, {more}}}" for name in (*bad, "good")]
    return "\n".join(["apps:", *apps, "gitlab: {token: {env: HOOK}}", ""])


def pushed_to(name: str) -> bytes:
    path = f"trade/{name}"
    return payload(project={"path_with_namespace": path, "git_http_url": f"{WHERE}/{name}.git", "git_ssh_url": ""})


@pytest.mark.parametrize("bad", [[f"bad{n}" for n in range(HANGING)], [f"bad-{n}" for n in range(HANGING)]],
                         ids=["many repositories", "one of many apps"])  # fmt: skip
async def test_repositories_that_hang_keep_no_other_app_waiting(tmp_path: Path, bad: list[str]) -> None:
    hooks = {name: HookSecrets(tokens=(HOOK_TOKEN,)) for name in (*bad, "good")}
    kit = make_kit(tmp_path, hooks, projects(bad))
    for name in sorted({one.partition("-")[0] for one in bad}):
        assert (await kit.hook(pushed_to(name), **headers(name))).status_code == 202
    refs = Hanging(commits={PUSHED: ("refs/heads/release/v2.3",)})
    starting = Starting(replace(kit.parts, refs=refs), within=LONG)
    await starting.look()
    assert (await kit.hook(pushed_to("good"), **headers("good"))).status_code == 202
    await starting.look()
    async with asyncio.timeout(LONG / 2):
        while not kit.starter.orders:
            await asyncio.wait([asyncio.create_task(asyncio.sleep(0.05))])
    await starting.stop()
    assert [order.app for order in kit.starter.orders] == ["good"]


@asynccontextmanager
async def asked(places: Places, repository: str) -> AsyncIterator[bool]:
    """Somebody has a place for this repository and keeps it."""

    async def keep() -> None:
        async with places.ask(repository):
            got.set()
            await leave.wait()

    got, leave = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(keep())
    await asyncio.wait([task, asyncio.create_task(got.wait())], timeout=0.2)
    try:
        yield got.is_set()
    finally:
        leave.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Endless(SystemClock):
    """A clock by which no place is given back."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


async def test_one_repository_takes_half_of_the_places_and_the_places_are_few() -> None:
    places = Places(Endless(), 4)
    async with asked(places, "a") as one, asked(places, "a") as two, asked(places, "a") as three:
        assert (one, two, three) == (True, True, False)
        async with asked(places, "b") as four, asked(places, "c") as five, asked(places, "d") as six:
            assert (four, five, six) == (True, True, False)


async def test_a_repository_that_gave_no_answer_takes_no_place_until_it_does() -> None:
    places = Places(Endless(), 2)
    for name in ("a", "b"):
        with pytest.raises(GopubError):
            async with places.ask(name):
                raise GopubError("GP939", "the repository does not answer")
    async with asked(places, "a"), asked(places, "b"), asked(places, "c") as three, asked(places, "d") as four:
        assert (three, four) == (True, True)
    async with places.ask("a"):
        pass
    async with asked(places, "a"), asked(places, "c") as three, asked(places, "d") as four:
        assert (three, four) == (True, False)
