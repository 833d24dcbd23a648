"""What people and programs read of a journal, byte for byte: status, explain, REST, summaries and the server's pages.

``python -m tests.unit.test_views_golden`` writes the kept text anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import typer

from deployments.journal import stands
from gopub.cli.read import explain, status
from gopub.journal.reading import asked, read_state
from gopub.views.board import board, scene
from gopub.views.summary import exit_of, summary_of
from tasks import pages
from tests.unit.views_world import run_of, world

KEPT = Path(__file__).parent.parent / "cases" / "views" / "read.golden"
ROLLOUTS = ("r-bake", "r-held", "r-wait", "r-blind", "r-done", "r-back")


class Server:
    """Takes pages, and keeps what was put."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def text(self, text: str, **named: Any) -> None:
        self.told.append(f"{json.dumps(named, ensure_ascii=False)}\n{text}")

    async def create_artifact(self, made: Any) -> None:
        self.told.append(f"{made.key} {made.type} {made.flow_run_id} {made.description}\n{made.data}")

    @contextlib.asynccontextmanager
    async def client(self) -> Any:
        yield self


def said(command: Any, *args: Any, **named: Any) -> str:
    """What a command prints to stdout."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(typer.Exit):
        command(*args, **named)
    return out.getvalue()


def read(folder: Path, patched: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Everything that is read of it, by name."""
    patched.setenv("GOPUB_JOURNAL", str(folder / "journal.db"))
    patched.setenv("COLUMNS", "300")
    journal, clock = world(folder)
    yield "status --json", said(status, as_json=True)
    yield "status", said(status)
    yield "explain r-back --json", said(explain, "r-back", as_json=True)
    server = Server()
    patched.setattr(pages, "acreate_markdown_artifact", server.text)
    patched.setattr(pages, "get_client", server.client)
    patched.setattr(pages, "url_for", lambda kind, obj_id: f"https://prefect.example/{kind}/{obj_id}")
    for rollout in ROLLOUTS:
        yield f"explain {rollout}", said(explain, rollout)
        known = stands(rollout)
        assert known
        yield f"REST {rollout}", json.dumps(asdict(known))
        summary = summary_of(read_state(journal, rollout), ["an `alarm`"])
        yield f"summary {rollout}", f"{json.dumps(summary)} {exit_of(summary)!r}"
        run = run_of(journal, clock, rollout)
        made = board(scene(journal.read(f"rollout/{rollout}"), asked(journal, rollout), clock.now()))
        yield f"page board {rollout}", f"{made.key} {made.description}\n{made.text}"
        for draw in (pages.plan_page, pages.runs_page):
            server.told.clear()
            asyncio.run(draw(run))
            yield f"page {draw.__name__} {rollout}", "\n".join(server.told)
        server.told.clear()
        asyncio.run(pages.back_page(summary))
        yield f"page back {rollout}", "\n".join(server.told)


def whole(folder: Path) -> str:
    """All of it as one text."""
    with pytest.MonkeyPatch.context() as patched:
        return "".join(f"=== {name}\n{text.rstrip()}\n" for name, text in read(folder, patched))


def test_what_is_read_of_a_journal_is_byte_for_byte_what_it_was(tmp_path):
    made, kept = whole(tmp_path), KEPT.read_text("utf-8")
    assert made == kept, "where it was meant: python -m tests.unit.test_views_golden"


def test_every_kind_of_row_and_page_is_in_it():
    kept = KEPT.read_text("utf-8")
    status_json = json.loads(kept.partition("=== status --json\n")[2].partition("\n=== ")[0])
    rows = {(row["app"], row["env"]): row for row in status_json["envs"]}
    assert len(rows) == 7
    assert rows["orders", "prod"]["active"]["observed"] == {"seconds": 12.0, "needed": 60.0}
    assert rows["orders", "prod"]["active"]["driver_alive"] is True
    assert rows["orders", "dev"]["active"]["held"]["by"] == "ann"
    assert rows["hello", "prod"]["active"]["waiting"] == "step 1 waits for ops"
    assert rows["hello", "new"]["active"]["next"] == "admit"
    assert rows["hello", "lab"]["active"] is None
    assert rows["orders", "lab"]["owed_edges"] == ["edge1"]
    assert rows["orders", "lab"]["owed_hosts"] == {"app1": "it does not | answer"}
    assert (rows["orders", "lab"]["last"]["outcome"], rows["hello", "lab"]["last"]["rule"]) == ("rolled back", 7)
    assert rows["orders", "prod"]["active"]["dead_edges"] == {"edge2": "away"}
    for page in ("plan_page r-bake", "board r-back", "board r-bake", "runs_page r-held", "back r-back"):
        assert len(kept.partition(f"=== page {page}\n")[2].partition("\n=== ")[0]) > 100, page


if __name__ == "__main__":
    os.environ["TZ"] = "UTC"
    with tempfile.TemporaryDirectory() as made_here:
        KEPT.write_text(whole(Path(made_here)), "utf-8")
