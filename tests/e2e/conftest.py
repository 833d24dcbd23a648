"""The lab for the end-to-end tests: booted once per test run, gone when the run ends, however it ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from gopub.errors import GopubError
from gopub.lab.lab import Lab, sweep, take_down

T = TypeVar("T")
OFF = os.environ.get("GOPUB_LAB") == "off"
_left_out = pytest.StashKey[int]()


def aside(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in a thread of its own, whatever event loop the tests use."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


def needs_lab(item: pytest.Item) -> bool:
    return item.get_closest_marker("e2e") is not None or "lab" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    on_lab = [item for item in items if needs_lab(item)]
    for item in on_lab:
        item.add_marker(pytest.mark.e2e)
    if OFF and on_lab:
        items[:] = [item for item in items if item not in on_lab]
        config.stash[_left_out] = len(on_lab)
        config.hook.pytest_deselected(items=on_lab)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = config.stash.get(_left_out, 0)
    if left_out:
        terminalreporter.write_line(f"GOPUB_LAB=off: {left_out} tests on the lab were left out")


def tell(line: str) -> None:
    print(line, flush=True)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Four application hosts, an edge and Prometheus. A test that breaks a part mends it: the lab is shared."""
    yield from opened(f"t{os.getpid()}", hosts=4, edges=1)


@pytest.fixture(scope="module")
def spare_lab() -> Iterator[Lab]:
    """Two hosts that a test module may break as it likes."""
    yield from opened(f"s{os.getpid()}", hosts=2, edges=0)


def opened(name: str, *, hosts: int, edges: int) -> Iterator[Lab]:
    try:
        aside(lambda: sweep(tell))
        yield aside(lambda: Lab.up(name, hosts=hosts, edges=edges, owned=True, tell=tell))
    except GopubError as error:
        pytest.fail(str(error), pytrace=False)
    finally:
        aside(lambda: take_down(name))
