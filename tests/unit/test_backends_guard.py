"""A plug-in that fails in whatever way: one error that names it, no secret in it, no wait without end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from gopub.errors import GopubError, SpecError
from gopub.health.samples import NoData
from gopub.spec.connections import parse_connections
from gopub.spec.kinds import Connection, SecretRef
from gopub.telemetry import REDACTOR
from gopub.wiring import guard
from gopub.wiring.backends import Backends
from tests.support.plugin import LINES, MODULE, install

KNOWN = "a-secret-that-is-known"
FILE = {
    "store": "x: {kind: shelf, folder: x}\n",
    "inventory": "x: {kind: names, names: [h1]}\n",
    "router": "x: {kind: paper, inventory: y, hosts: role=app}\n",
    "metrics": "x: {kind: abacus, file: x}\n",
    "logs": "x: {kind: diary, folder: x}\n",
    "fleet": "x: {kind: pigeon, loft: x}\n",
    "signer": "x: {kind: seal, private: {env: X}}\n",
    "notify": "x: {kind: bell, folder: x}\n",
}
GIVEN: dict[str, tuple[Any, ...]] = {"router": ((), None)}
WHO = "the backend {kind!r} of acme_gopub 1.0 cannot be used: "
Install = Callable[..., Backends]


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    def make(*changes: str, lines: dict[str, str] = LINES) -> Backends:
        return install(tmp_path, monkeypatch, "acme_gopub", "\n".join([MODULE, *changes]), lines)

    return make


def entry(door: str, kinds: Backends, tmp_path: Path) -> tuple[Connection, str]:
    found = parse_connections(FILE[door], "c.yaml", tmp_path, kinds)["x"]
    return found, WHO.format(kind=found.kind)


def failing(door: str, body: str) -> str:
    """The class of a door, whose open() does something else."""
    name = LINES[next(line for line in LINES if line.startswith(f"{door}."))].partition(":")[2]
    return f"def opens(self, *args):\n    {body}\n{name}.open = opens"


@pytest.mark.parametrize("door", FILE)
def test_what_it_raises_and_what_it_gives_instead_are_one_error(door: str, broken: Install, tmp_path: Path) -> None:
    REDACTOR.learn(KNOWN)
    found, who = entry(door, broken(failing(door, f"raise KeyError('{KNOWN}')")), tmp_path)
    with pytest.raises(GopubError) as caught:
        found.open(*GIVEN.get(door, ()))  # type: ignore[attr-defined]
    assert (caught.value.code, caught.value.problem) == ("GP968", who + "its open() failed: KeyError: '**********'")


def test_what_somebody_else_wrote_stays_as_it_is(broken: Install, tmp_path: Path) -> None:
    kinds = broken(failing("store", "raise KeyError('rows')"))
    found, _ = entry("store", kinds, tmp_path)
    theirs = sys.modules["acme_gopub"].Shelf
    assert type(found) is not theirs
    assert isinstance(found, theirs), "its own code may ask"
    assert (type(found).__name__, type(found).__doc__, repr(found)) == (
        "Shelf",
        "A shelf.",
        repr(theirs(**dict(found))),
    )
    with pytest.raises(KeyError, match="rows"):
        theirs(folder=tmp_path).open()
    with pytest.raises(GopubError, match=r"GP968 .*its open\(\) failed: KeyError"):
        found.open()


def test_a_class_that_nothing_can_be_derived_from_is_told(broken: Install, tmp_path: Path) -> None:
    change = """
class Last(Shelf):
    def __init_subclass__(cls, **_):
        raise TypeError("there are no more")
"""
    with pytest.raises(
        GopubError, match=r"GP968 .*nothing can be derived from its class: TypeError: there are no more"
    ):
        entry("store", broken(change, lines=LINES | {"store.shelf": "acme_gopub:Last"}), tmp_path)


@pytest.mark.parametrize("door", FILE)
def test_what_is_no_backend_is_told_at_once(door: str, broken: Install, tmp_path: Path) -> None:
    found, who = entry(door, broken(failing(door, "return 7")), tmp_path)
    with pytest.raises(GopubError) as caught:
        found.open(*GIVEN.get(door, ()))  # type: ignore[attr-defined]
    assert caught.value.code == "GP968"
    assert caught.value.problem.startswith(who + "what its open() gives is no ")


async def test_its_methods_fail_in_words_and_its_own_errors_pass(broken: Install, tmp_path: Path) -> None:
    change = """
class Odd(Exception):
    def __str__(self):
        raise ValueError
class Bad(DirectoryStore):
    async def get(self, key, *, limit):
        raise Odd
    async def list(self, prefix):
        raise OSError("the disk")
    async def put(self, key, data):
        pass
Shelf.open = lambda self: Bad(self.folder)
"""
    found, who = entry("store", broken(change), tmp_path)
    store = found.open()  # type: ignore[attr-defined]
    with pytest.raises(GopubError) as caught:
        await store.get("a", limit=1)
    assert (caught.value.code, caught.value.problem) == ("GP968", who + "its get() failed: Odd: ValueError")
    with pytest.raises(GopubError, match=r"GP968 .*its put\(\) failed: TypeError: .*unexpected keyword argument"):
        await store.put("a", b"", digest="")
    with pytest.raises(OSError, match="the disk"):
        await store.list("")
    with pytest.raises(GopubError) as ours:
        await store.copy("../x", None, limit=1)
    assert ours.value.code != "GP968", "control: what a backend may raise is not its fault"


async def test_the_judge_has_no_data_where_its_source_fails(broken: Install, tmp_path: Path) -> None:
    change = """
class Bad:
    async def counters(self, *args):
        raise KeyError("rows")
    async def history(self, *args):
        return [1]
    async def runtime(self, *args):
        raise GopubError("GP999", "in its own words")
Abacus.open = lambda self: Bad()
"""
    found, who = entry("metrics", broken(change), tmp_path)
    source = found.open()  # type: ignore[attr-defined]
    told = [await getattr(source, name)("a", "e", [], 1.0) for name in ("counters", "history", "runtime")]
    assert [one.reason for one in told if isinstance(one, NoData)] == [
        who + "its counters() failed: KeyError: 'rows'",
        who + "its history() gave list",
        "in its own words",
    ]


async def test_the_judge_waits_for_no_source_without_an_end() -> None:
    class Silent:
        async def counters(self, *_: object) -> None:
            await asyncio.Event().wait()

    source = guard.Measuring(Silent(), lambda why: GopubError("GP968", why), within=0.01)
    assert await source.counters("a", "e", [], 1.0) == NoData("its counters() gave no answer within 0.01s")


def test_what_blocks_is_left_behind() -> None:
    forever = Event()
    with (
        pytest.raises(GopubError, match=r"GP968 it: no answer within 0\.01s"),
        guard.as_broken(lambda why: GopubError("GP968", why), "it", most=0.01),
    ):
        guard.in_time(forever.wait, 0.01)
    assert guard.in_time(lambda: 7, 10.0) == 7, "control: who answers is heard"
    forever.set()


def secret(kinds: Backends, tmp_path: Path) -> SecretRef:
    text = "a: {kind: prometheus, url: 'http://p:9090', token: {drawer: top}}\n"
    return parse_connections(text, "c.yaml", tmp_path, kinds)["a"].token  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("raise ValueError('no good: hunter2-hunter2')", "its open() failed: ValueError"),
        ("raise SystemExit('hunter2-hunter2')", "its open() failed: SystemExit"),
        ("return b'hunter2-hunter2'", "what its open() gives is no str but bytes"),
        ("return None", "what its open() gives is no str but NoneType"),
    ],
)
def test_a_secret_that_fails_is_in_no_text(body: str, why: str, broken: Install, tmp_path: Path) -> None:
    found = secret(broken(failing("secret", body)), tmp_path)
    with pytest.raises(GopubError) as caught:
        found.reveal()
    assert (caught.value.code, caught.value.problem) == ("GP968", WHO.format(kind="drawer") + why)
    assert caught.value.__cause__ is None, "a traceback would show it"


def test_keys_that_its_own_check_stumbles_over_are_told_with_their_place(broken: Install, tmp_path: Path) -> None:
    change = """
from pydantic import field_validator
class Strict(Shelf):
    @field_validator("folder")
    @classmethod
    def _check(cls, value):
        return {}[value]
"""
    kinds = broken(change, lines=LINES | {"store.shelf": "acme_gopub:Strict"})
    with pytest.raises(SpecError) as caught:
        entry("store", kinds, tmp_path)
    assert (caught.value.code, str(caught.value.where)) == ("GP968", "c.yaml:1:1")
    assert "its check of the keys failed: KeyError" in caught.value.problem


def test_what_it_prints_is_no_part_of_an_answer(
    broken: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = broken("print('imported')", failing("store", "print('opened'); return DirectoryStore(self.folder)"))
    entry("store", kinds, tmp_path)[0].open()  # type: ignore[attr-defined]
    assert capsys.readouterr() == ("", "imported\nopened\n")


def test_a_way_to_secrets_may_be_called_as_a_connection_is(
    broken: Install, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change = "class Vault(SecretRef):\n    {0}: str = ''\n    def open(self):\n        return 'of-the-vault'"
    lines = LINES | {"secret.shelf": "acme_gopub:A", "secret.s3": "acme_gopub:B", "secret.env": "acme_gopub:A"}
    classes = [change.format(kind).replace("Vault", name) for kind, name in (("shelf", "A"), ("s3", "B"))]
    kinds = broken(*classes, lines=lines)
    for kind in ("shelf", "s3"):
        text = f"t: {{kind: shelf, folder: t}}\na: {{kind: prometheus, url: 'http://p', token: {{{kind}: x}}}}\n"
        token = parse_connections(text, "c.yaml", tmp_path, kinds)["a"].token  # type: ignore[attr-defined]
        assert token.reveal() == "of-the-vault"
    assert kinds.find_secret("env") is None
    assert "the backend 'env' of acme_gopub 1.0 cannot be used: its name is taken by one of gopub's own" in caplog.text
