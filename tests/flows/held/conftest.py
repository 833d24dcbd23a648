"""One server, worker and journal for the stories of a module, which are told beside each other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from gopub.clock import SystemClock
from gopub.journal.store import open_journal
from tests.flows.held.approvals import a_house
from tests.flows.held.beside import Beside, selected
from tests.flows.held.shown import Shown
from tests.flows.serverkit import Stack, changes, run_sync, start


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Shown]:
    """On the database that the module names, DATABASE, or on that of this run of pytest."""
    folder = tmp_path_factory.mktemp("held")
    bad = folder / "bad"
    bad.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOPUB_TEST_BAD", str(bad))
        patch.setenv("GOPUB_PEOPLE", str(a_house(folder)))
        stack: Stack = run_sync(start(folder, getattr(request.module, "DATABASE", "")))
        try:
            patch.setenv("GOPUB_JOURNAL", journal_of(stack))
            changes(run_sync(stack.gopub("setup", "--server", stack.server.ui, "--json")))
            run_sync(in_memory(stack))
            run_sync(stack.worker("worker"))
            with closing(open_journal(os.environ["GOPUB_JOURNAL"], SystemClock())) as journal:
                yield Shown(stack, journal, bad)
        finally:
            run_sync(stack.stop())


@pytest.fixture(scope="module")
def told(shown: Shown, request: pytest.FixtureRequest) -> Iterator[Beside[Shown]]:
    beside = Beside(shown, selected(item for item in request.session.items if item.path == request.path))
    yield beside
    beside.close()


def journal_of(stack: Stack) -> str:
    """The journal lies where Prefect's tables do: in a file beside them, or on the same PostgreSQL."""
    if stack.postgres is None:
        return str(stack.folder / "journal.db")
    stack.postgres.create("gopub")
    return stack.postgres.url("psycopg", "gopub")


async def in_memory(stack: Stack) -> None:
    for flow in ("rollout", "deploy"):  # approve is the flow as it is: it needs the journal alone
        one = await stack.deployment(f"{flow}/{flow}")
        await stack.ask("PATCH", f"/deployments/{one['id']}", json={"entrypoint": f"tests/flows/memory.py:{flow}"})
    await stack.cheaper("recover", "promote")
