"""One server, worker and journal for the stories of a module, which are told beside each other."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from gopub.clock import SystemClock
from gopub.journal.store import open_journal
from tests.flows.held.beside import Beside, selected
from tests.flows.held.shown import Shown
from tests.flows.serverkit import Stack, changes, run_sync, start


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("held")
    bad = folder / "bad"
    bad.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOPUB_JOURNAL", str(folder / "journal.db"))
        patch.setenv("GOPUB_TEST_BAD", str(bad))
        stack: Stack = run_sync(start(folder))
        try:
            changes(run_sync(stack.gopub("setup", "--server", stack.server.ui, "--json")))
            run_sync(in_memory(stack))
            run_sync(stack.worker("worker"))
            yield Shown(stack, open_journal(os.environ["GOPUB_JOURNAL"], SystemClock()), bad)
        finally:
            run_sync(stack.stop())


@pytest.fixture(scope="module")
def told(shown: Shown, request: pytest.FixtureRequest) -> Iterator[Beside[Shown]]:
    beside = Beside(shown, selected(item for item in request.session.items if item.path == request.path))
    yield beside
    beside.close()


async def in_memory(stack: Stack) -> None:
    for flow in ("rollout", "deploy"):  # approve is the flow as it is: it needs the journal alone
        one = await stack.deployment(f"{flow}/{flow}")
        await stack.ask("PATCH", f"/deployments/{one['id']}", json={"entrypoint": f"tests/flows/memory.py:{flow}"})
