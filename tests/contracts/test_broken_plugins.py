"""The controls of the suites that a ground is enough for: a plug-in that breaks one promise fails the test of it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gopub.wiring.backends import Backends
from tests.contracts import test_plugin_contract as plug
from tests.support.plugin import LINES, MODULE, install

GROUNDS: dict[str, Callable[[Path, Backends], Any]] = {
    "secret": plug.secret_ground,
    "signer": plug.signer_ground,
    "inventory": plug.inventory_ground,
    "logs": plug.logs_ground,
}


def failed(door: str, module: str, folder: Path) -> set[str]:
    """The tests of a door's suite that a plug-in fails, each run on ground of its own."""
    suite = plug.SUITES[door]()
    found = set()
    for name, test in inspect.getmembers(suite, inspect.ismethod):
        if not name.startswith("test_"):
            continue
        place = folder / name
        place.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            ground = GROUNDS[door](place, install(place, patch, "acme_gopub", module, LINES))
            try:
                done = test(ground)
                if inspect.iscoroutine(done):
                    asyncio.run(done)
            except (Exception, pytest.fail.Exception):  # noqa: BLE001 - however it fails, it fails
                found.add(name.removeprefix("test_"))
    return found


class Broken(NamedTuple):
    """A plug-in that does something else than it promises: what its module ends with, and the test that finds it."""

    door: str
    how: str
    test: str
    change: str


BROKEN = (
    Broken(
        "secret",
        "trims it",
        "it_comes_whole",
        """
Drawer.open = lambda self: DRAWERS.get(self.drawer, '').strip()
""",
    ),
    Broken(
        "secret",
        "keeps the first",
        "one_that_was_changed_is_the_new_one",
        """
KEPT = {}
Drawer.open = lambda self: KEPT.setdefault(self.drawer, DRAWERS.get(self.drawer, ''))
""",
    ),
    Broken(
        "secret",
        "does not say where",
        "an_absent_one_is_told_by_its_place_and_with_what_to_do",
        """
Drawer.__str__ = lambda self: 'a drawer'
""",
    ),
    Broken(
        "secret",
        "shows it",
        "where_it_lies_is_told_and_nothing_of_it_is_shown",
        """
Drawer.__repr__ = lambda self: f'Drawer({DRAWERS.get(self.drawer)!r})'
""",
    ),
    Broken(
        "secret",
        "prints it",
        "reading_it_says_nothing_of_it",
        """
def opens(self):
    print(DRAWERS.get(self.drawer))
    return DRAWERS.get(self.drawer, '')
Drawer.open = opens
""",
    ),
    Broken(
        "secret",
        "tells it in an error",
        "an_absent_one_is_told_by_its_place_and_with_what_to_do",
        """
OLD = []
def opens(self):
    now = DRAWERS.get(self.drawer)
    if now is None:
        raise GopubError('GP142', f'{self}: no longer {OLD}', hint='fill it')
    OLD.append(now)
    return now
Drawer.open = opens
""",
    ),
    Broken(
        "signer",
        "leaves a byte out",
        "another_byte_is_not_proven",
        """
class Half(KeySigner):
    def sign(self, data):
        return super().sign(data[:-1])
Seal.open = lambda self: Half.parse(self.private.reveal().encode())
""",
    ),
    Broken(
        "signer",
        "makes a key up",
        "it_has_one_key_whenever_it_is_opened",
        """
from cryptography.hazmat.primitives.asymmetric import ec
Seal.open = lambda self: KeySigner(ec.generate_private_key(ec.SECP256R1()))
""",
    ),
    Broken(
        "signer",
        "says nothing of what to do",
        "a_key_that_is_not_there_is_told_with_what_to_do",
        """
def opens(self):
    try:
        return KeySigner.parse(self.private.reveal().encode())
    except GopubError as error:
        raise GopubError(error.code, error.problem) from None
Seal.open = opens
""",
    ),
    Broken(
        "signer",
        "shows it",
        "nothing_of_the_key_is_shown",
        """
Seal.__repr__ = lambda self: f'Seal({self.private.reveal()})'
""",
    ),
    Broken(
        "inventory",
        "sorts",
        "every_host_is_there_in_the_order_of_the_list",
        """
Names.open = lambda self: Inventory('names', tuple(map(self._host, sorted(set(self.names)))))
""",
    ),
    Broken(
        "inventory",
        "has one twice",
        "a_host_that_is_named_twice_is_one",
        """
Names.open = lambda self: Inventory('names', tuple(map(self._host, self.names)))
""",
    ),
    Broken(
        "inventory",
        "knows no groups",
        "a_host_has_its_groups_and_is_in_all",
        """
Names._host = lambda self, name: Host(name, name, labels={'role': self.roles.get(name, 'app')})
""",
    ),
    Broken(
        "inventory",
        "has no labels",
        "a_host_has_its_labels_as_text",
        """
Names._host = lambda self, name: Host(name, name, groups=frozenset({'all', self.roles.get(name, 'app')}))
""",
    ),
    Broken(
        "inventory",
        "keeps the first",
        "the_list_is_read_as_it_is_now",
        """
KEPT = []
READ = Names.open
def opens(self):
    KEPT or KEPT.append(READ(self))
    return KEPT[0]
Names.open = opens
""",
    ),
    Broken(
        "logs",
        "has no beginning",
        "lines_of_before_are_not_counted",
        """
NEWS = DiarySource.read
DiarySource.read = lambda self, target, since: NEWS(self, target, 0.0)
""",
    ),
    Broken(
        "logs",
        "begins anew each time",
        "each_line_is_counted_once_by_its_classes",
        """
NEWS = DiarySource.read
async def read(self, target, since):
    self.read_of.clear()
    return await NEWS(self, target, since)
DiarySource.read = read
""",
    ),
    Broken(
        "logs",
        "takes hosts for one",
        "each_host_is_read_for_itself",
        """
from dataclasses import replace
NEWS = DiarySource.read
DiarySource.read = lambda self, target, since: NEWS(self, replace(target, host='one'), since)
""",
    ),
    Broken(
        "logs",
        "takes silence for health",
        "a_host_that_is_away_is_told_and_hides_no_other",
        """
class Deaf(DiarySource):
    async def read(self, target, since):
        found = await super().read(target, since)
        return LogCounts(target.host, target.release, {}, 0, '') if isinstance(found, NoData) else found
Diary.open = lambda self: Deaf(self.folder)
""",
    ),
    Broken(
        "logs",
        "forgets who is away",
        "what_was_said_meanwhile_is_counted_when_the_host_is_back",
        """
class Loses(DiarySource):
    async def read(self, target, since):
        found = await super().read(target, since)
        if isinstance(found, NoData):
            self.read_of[target.host, target.unit] += 1
        return found
Diary.open = lambda self: Loses(self.folder)
""",
    ),
)


@pytest.mark.parametrize("door", GROUNDS)
def test_the_plug_in_as_it_is_fails_nothing(door: str, tmp_path: Path) -> None:
    assert failed(door, MODULE, tmp_path) == set()


@pytest.mark.parametrize("one", BROKEN, ids=lambda one: f"{one.door} {one.how}")
def test_control_a_plug_in_that_breaks_a_promise_fails_the_test_of_it(one: Broken, tmp_path: Path) -> None:
    assert one.test in failed(one.door, MODULE + one.change, tmp_path)


def test_control_every_suite_has_a_plug_in_that_fails_it() -> None:
    assert {one.door for one in BROKEN} == set(GROUNDS)
