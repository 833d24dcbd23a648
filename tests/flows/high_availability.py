"""Prefect's server in parts, as the guide lays it out: each dies in turn, and every rollout ends whole (`make ha`).

Minutes long, so it is no part of `make test`: pytest collects it where it is named.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest

from gopub.clock import SystemClock
from gopub.journal import events as ev
from gopub.journal.store import open_journal
from gopub.plan.model import Outcome
from tests.flows.cluster import APIS, Cluster, cluster
from tests.flows.held.approvals import fill_in, form_of
from tests.flows.held.conftest import in_memory
from tests.flows.held.shown import Shown
from tests.flows.serverkit import CLOCK, changes, run_sync, until

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
WITHIN = 600.0
"""Seconds, generous: what is measured is printed."""
ENVS = ("one", "asks-ha", "two", "three")
"""Those that are promoted, whatever dies under them."""


@pytest.fixture
def made(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("ha")
    (folder / "bad").mkdir()
    monkeypatch.setenv("GOPUB_TEST_BAD", str(folder / "bad"))
    with cluster(folder) as one:
        monkeypatch.setenv("GOPUB_JOURNAL", one.postgres.url("psycopg", "gopub"))
        try:
            run_sync(all_parts(one))
            yield one
        finally:
            run_sync(one.stack.stop())


async def all_parts(one: Cluster) -> None:
    """In the guide's order."""
    await one.migrate()
    for name in APIS:
        one.start(name)
        await one.answers(name)
    one.start("services")
    changes(await one.stack.gopub("setup", "--server", one.stack.server.ui, "--json"))
    await in_memory(one.stack)
    for name in ("worker1", "worker2"):
        await one.worker(name)


def test_rollouts_end_whole_whatever_dies(made: Cluster) -> None:
    with closing(open_journal(os.environ["GOPUB_JOURNAL"], SystemClock())) as journal:
        run_sync(the_day(made, Shown(made.stack, journal, made.stack.folder / "bad")))


async def the_day(made: Cluster, shown: Shown) -> None:
    await an_api_server_dies(made, shown)
    await redis_dies(made, shown)
    await a_worker_dies(made, shown)
    await who_approves_is_heard(made, shown)
    await postgres_dies(made, shown)
    for env in ENVS:
        nothing_was_done_twice(shown, env)
    await all_is_told(shown)


async def an_api_server_dies(made: Cluster, shown: Shown) -> None:
    """While two rollouts bake; a third is started through the other one."""
    await shown.baking("one")
    await shown.baking("asks-ha")
    made.kill(APIS[0])
    since = CLOCK.now()
    await shown.baking("two")
    print(f"an API server was killed: the next rollout bakes {CLOCK.now() - since:.0f}s later")
    for env in ("one", "two"):
        assert (await shown.closed(env, WITHIN)).outcome is Outcome.PROMOTED
    assert not await made.up(APIS[0]), "control: it was gone all the time"
    made.start(APIS[0])


async def redis_dies(made: Cluster, shown: Shown) -> None:
    """It comes back empty."""
    made.redis.kill()
    await CLOCK.sleep(5.0)
    made.redis.start()
    since = CLOCK.now()
    await shown.baking("three")
    print(f"Redis was killed and is back, empty: the next rollout bakes {CLOCK.now() - since:.0f}s later")
    await until("its events are read again", lambda: shown.told("r-three"), WITHIN)
    print(f"and the first of its events is on the server {CLOCK.now() - since:.0f}s later")


async def a_worker_dies(made: Cluster, shown: Shown) -> None:
    """The one that drives, with all of its runs, as with its machine; the other one goes on with what it drove."""
    [first] = seats(shown, "three")
    made.kill(made.worker_of(int(first.driver.rpartition(":")[2])))
    since = CLOCK.now()
    assert (await shown.closed("three", WITHIN)).outcome is Outcome.PROMOTED
    print(f"a worker was killed: its rollout is promoted {CLOCK.now() - since:.0f}s later by the other")
    assert len({seat.run for seat in seats(shown, "three")}) == 2, "control: it was driven by two"


async def who_approves_is_heard(_made: Cluster, shown: Shown) -> None:
    """The form was made before most of them died, or after its driver did."""
    form = await form_of(shown, "asks-ha")
    assert (await fill_in(shown, form, decision="approve", name="ann"))["status"] == "ACCEPT"
    assert (await shown.closed("asks-ha", WITHIN)).outcome is Outcome.PROMOTED


async def postgres_dies(made: Cluster, shown: Shown) -> None:
    """With Prefect's tables and the journal, as after a crash."""
    await shown.baking("four")
    made.postgres.restart("immediate")
    since = CLOCK.now()
    closed = await shown.closed("four", WITHIN)
    assert closed.outcome in {Outcome.PROMOTED, Outcome.WITHDRAWN}, "a driver in the middle of an entry goes back"
    assert closed.owed == (), "whole, whichever it is"
    print(f"PostgreSQL crashed and is back: the rollout under way is {closed.outcome} {CLOCK.now() - since:.0f}s later")


def nothing_was_done_twice(shown: Shown, env: str) -> None:
    """One rollout, one end; each host was switched once, and each step passed once."""
    events = shown.events(env)
    kinds = Counter(type(event) for event in events)
    assert (kinds[ev.Opened], kinds[ev.Closed], kinds[ev.Settling]) == (1, 1, 1), env
    switched = Counter(event.host for event in events if isinstance(event, ev.HostSwitched))
    assert set(switched.values()) == {1}, (env, switched)
    passed = Counter(event.step for event in events if isinstance(event, ev.StepPassed))
    assert set(passed.values()) == {1}, (env, passed)


async def all_is_told(shown: Shown) -> None:
    """Also what was lost in Redis, or on the way to the server that died: `recover` sends it again."""

    async def told() -> bool:
        return all(["gopub.rollout.promoted" in await shown.told(f"r-{env}") for env in ENVS])

    since = CLOCK.now()
    await until("every rollout's end is on the server", told, WITHIN)
    print(f"every rollout's end is on the server {CLOCK.now() - since:.0f}s later")


def seats(shown: Shown, env: str) -> list[ev.SeatTaken]:
    return [event for event in shown.events(env) if isinstance(event, ev.SeatTaken)]
