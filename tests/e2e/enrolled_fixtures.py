"""The lab of enrolled hosts, made once for all modules that use it (``pytest_plugins``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gopub.errors import GopubError
from gopub.lab.lab import Lab, sweep, take_down
from tests.e2e.enrolled_ground import Enrolled, aside, laid_out


def tell(line: str) -> None:
    print(line, flush=True)


@pytest.fixture(scope="session")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Enrolled]:
    """Enrolled hosts. A test that breaks one mends it (`enrol()` heals): they are shared."""
    yield from opened(f"n{os.getpid()}", tmp_path_factory.mktemp("enrolled"), hosts=3, edges=1)


def opened(name: str, folder: Path, *, hosts: int, edges: int) -> Iterator[Enrolled]:
    """A lab of that name with its hosts enrolled, gone at the end."""
    try:
        aside(lambda: sweep(tell))
        made = laid_out(aside(lambda: Lab.up(name, hosts=hosts, edges=edges, owned=True, tell=tell)), folder)
        done = aside(made.enrol)
        assert done.code == 0, done.complaint
        yield made
    except GopubError as error:
        pytest.fail(str(error), pytrace=False)
    finally:
        aside(lambda: take_down(name))
