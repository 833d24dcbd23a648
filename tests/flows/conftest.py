"""For the tests of this folder, which ask a real Prefect server."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let no test fail for a connection that Prefect's or httpx's client in this process forgot.

    Nor for one of a journal on PostgreSQL: what opens a journal here, as a command does, ends with its process. The
    garbage collector finds it some tests later, and then names one that has nothing to do with it.
    """
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed (transport|<socket):ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:<psycopg.Connection object:ResourceWarning"))
