"""A hook runs beside the orders of its host, and not in their way; what a signal ended did not end well."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hooking import HookingHost
from tests.support.switching import SHELLS


@pytest.fixture(params=sorted(SHELLS))
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HookingHost]:
    made = HookingHost(tmp_path / "host", str(request.param))
    yield made
    made.close()


def leaving(host: HookingHost, line: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", f"echo {line} >>{host.root}/ran")


def ran(host: HookingHost) -> list[str]:
    return (host.root / "ran").read_text().split()


def test_whoever_goes_back_waits_for_no_hook_and_its_undo_ends_it(host: HookingHost) -> None:
    old, new = host.sealed("a"), host.sealed("b")
    assert host.do("switch", old).ok
    order = host.hook(new, ("/bin/sh", "-c", f"echo begun >>{host.root}/ran; sleep 3000"), "r1.run", within="4000")
    carried = host.begin(order)
    end = time.monotonic() + 120
    while not host.busy:
        assert time.monotonic() < end, "it never began"
        time.sleep(0.02)
    for verb, name in (("switch", new), ("rollback", old)):
        record = host.do(verb, name, lock_wait="5")  # type: ignore[arg-type]
        assert record.ok, record
    assert (carried.poll(), host.busy) == (None, True), "it goes on beside them"
    assert host.run(host.hook(new, leaving(host, "another"), "r2.run")).code == "GP590"
    assert host.run(host.hook(new, leaving(host, "undone"), "r1.undo")).ok
    assert ran(host) == ["begun", "undone"]
    late = host.answer(order, carried)
    assert (late.ok, late.code) == (False, "GP590")
    assert "stands=done" in (host.home / ".gopub/hooks/expand").read_text(), "it wrote nothing over what came later"
    again = host.run(host.hook(new, leaving(host, "undone"), "r1.undo"))
    assert (again.ok, again.changed) == (True, False)


def test_one_that_a_signal_ended_did_not_end_well(host: HookingHost) -> None:
    name = host.sealed("a")
    for _ in range(2):
        record = host.run(host.hook(name, ("/bin/sh", "-c", f"echo half >>{host.root}/ran; kill -TERM $$"), "r1.run"))
        assert record.code == "GP588", record
        assert "was ended by signal TERM" in record.message
    assert ran(host) == ["half"]
    assert host.run(host.hook(name, leaving(host, "whole"), "r1.run", again="1")).ok
    assert ran(host) == ["half", "whole"]


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ("DynamicUser=yes\nStateDirectory=web\n", {"DynamicUser=yes", "User=web", "StateDirectory=web"}),
        ("DynamicUser=yes\nUser=gopub-1\n", {"DynamicUser=yes", "User=gopub-1"}),
        ("User=daemon\nStateDirectory=web\n", {"User=daemon"}),
        ("  User = daemon\n", {"User=daemon"}),
        ("", set()),
    ],
)
def test_it_is_the_services_user_by_its_unit_and_takes_a_folder_of_state_from_nobody(
    tmp_path: Path, says: str, told: set[str]
) -> None:
    host = HookingHost(tmp_path / "host")
    try:
        name = host.release("a")
        unit = host.home / "releases" / name / "web.service"
        unit.write_text(unit.read_text() + says)
        host.seal(name)
        assert host.run(host.hook(name, ("/bin/true",), "r1.run")).ok
        lines = (host.root / "sd/told").read_text().splitlines()
        found = {line.removeprefix("--property=") for line in lines}
        keys = ("User=", "DynamicUser=", "StateDirectory=")
        assert {line for line in found if line.startswith(keys)} == told
        assert "Environment=UNIT=is" in found
        assert lines[-2:] == ["--", "/bin/true"]
    finally:
        host.close()
