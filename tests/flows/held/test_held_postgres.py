"""The stories that say most, told on PostgreSQL: Prefect's tables and the journal lie there (the others: on SQLite).

With GOPUB_TEST_DATABASE=postgresql all of this folder is on PostgreSQL.
"""

from __future__ import annotations

import pytest

from tests.flows.held.approvals import who_approves_in_the_form_lets_it_go_on_and_is_marked_unverified
from tests.flows.held.beside import Beside, Story
from tests.flows.held.shown import Shown
from tests.flows.held.test_held_deploy_server import (
    a_deploy_that_waits_shows_it_on_both_runs_and_its_cancel_takes_it_back,
)
from tests.flows.held.test_held_server import (
    a_suspended_run_takes_a_bad_canary_back,
    what_nobody_holds_is_promoted_and_its_run_bears_its_tags,
)

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
DATABASE = "postgresql"


def test_control_both_are_on_postgresql(shown: Shown):
    """Not on a file of SQLite somewhere beside it, without anybody seeing it."""
    server = shown.stack.postgres
    assert server is not None
    tables = {name: server.run("psql", "-d", name, "-Atc", TABLES).split() for name in ("prefect", "gopub")}
    assert "flow_run" in tables["prefect"]
    assert {"journal", "seats"} <= set(tables["gopub"])
    assert not list(shown.stack.folder.rglob("*.db"))


TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
STORIES = [
    what_nobody_holds_is_promoted_and_its_run_bears_its_tags,
    a_deploy_that_waits_shows_it_on_both_runs_and_its_cancel_takes_it_back,
    who_approves_in_the_form_lets_it_go_on_and_is_marked_unverified,
    a_suspended_run_takes_a_bad_canary_back,
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_story(told: Beside[Shown], story: Story[Shown]):
    told.end_of(story)
