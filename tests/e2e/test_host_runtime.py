"""Variables and limits on a real host: read from the new process, and told where something wins over them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.runtime import Runtime

from .host_kit import Site, open_site

pytestmark = pytest.mark.e2e
UNIT = (
    "[Service]\nEnvironment=IDLE=5s\nLimitNOFILE=4096\nEnvironment=ADDR=:{port}\nExecStart={home}/current/bin/service\n"
)


@pytest.fixture
async def site(lab: Any) -> AsyncIterator[Site]:
    async with SshFleet() as fleet:
        made = await open_site(lab, fleet, lab.hosts[0].name)
        yield made
        await made.sh(f"rm -rf /run/systemd/system/{made.instance}.service.d", check=False)
        await made.close()


async def drop_in(site: Site, lines: str) -> None:
    """What an operator lays beside the unit by hand."""
    folder = f"/run/systemd/system/{site.instance}.service.d"
    await site.sh(f"mkdir -p {folder} && printf '[Service]\\n{lines}\\n' >{folder}/x.conf && systemctl daemon-reload")


def read(values: Any) -> dict[str, str]:
    return {key: text for key, text in values.items() if key.startswith(("runtime.", "limit."))}


async def test_they_are_read_from_the_new_process_and_the_old_one_keeps_its_own(site: Site) -> None:
    old = await site.cargo("1", env={"SECRET": "hunter2"}, runtime=Runtime({"GOMAXPROCS": "4", "IDLE": "30s"}))
    new = await site.cargo("2", runtime=Runtime({"GOMAXPROCS": "8", "IDLE": "60s", "EMPTY": ""},
                                                {"files": 1024, "core": 0}))  # fmt: skip
    proof = await site.release(old)
    assert read(proof.values) == {"runtime.GOMAXPROCS": "4", "runtime.IDLE": "30s"}
    assert "hunter2" not in str(proof), "only what is named"
    await site.run("stage", new)
    assert read((await site.do("status", old)).values) == read(proof.values), "the old process keeps its own"
    await site.run("switch", new)
    proof = await site.run("verify", new)
    assert read(proof.values) == {
        "runtime.GOMAXPROCS": "8", "runtime.IDLE": "60s", "runtime.EMPTY": "",
        "limit.files": "1024", "limit.core": "0",
    }  # fmt: skip
    pid = (await site.facts()).unit.main_pid
    asked = await site.sh(
        f"tr '\\0' '\\n' </proc/{pid}/environ | grep GOMAXPROCS; grep 'open files' /proc/{pid}/limits"
    )
    assert asked.split()[:6] == ["GOMAXPROCS=8", "Max", "open", "files", "1024", "1024"], "control: it is really so"
    await site.run("rollback", old)
    assert read((await site.run("verify", old)).values) == {"runtime.GOMAXPROCS": "4", "runtime.IDLE": "30s"}


async def test_what_wins_over_them_on_the_host_is_told(site: Site) -> None:
    cargo = await site.cargo("1", runtime=Runtime({"GOMAXPROCS": "8"}, {"files": 2048}))
    await drop_in(site, "Environment=GOMAXPROCS=2")
    await site.run("stage", cargo)
    await site.run("switch", cargo)
    record = await site.do("verify", cargo)
    assert (record.ok, record.code, record.values["runtime.GOMAXPROCS"]) == (False, "GP572", "2")
    assert record.message.startswith("the variable GOMAXPROCS of process ")
    assert record.message.endswith(" is 2, not 8")
    await drop_in(site, "LimitNOFILE=512")
    await site.sh(f"systemctl restart {site.instance}")
    record = await site.do("verify", cargo)
    assert (record.code, record.values["limit.files"]) == ("GP572", "512")
    assert record.message == f"the limit files of {site.instance}.service is 512, not 2048"


async def test_a_limit_that_nothing_holds_is_none(site: Site) -> None:
    held = await site.sh(
        "cat /sys/fs/cgroup/system.slice/pids.max /sys/fs/cgroup/pids/system.slice/pids.max", check=False
    )
    cargo = await site.cargo("1", runtime=Runtime({}, {"tasks": 64}))
    await site.run("stage", cargo)
    await site.run("switch", cargo)
    record = await site.do("verify", cargo)
    if held.strip():  # cgroups of this machine reach into the lab's hosts
        assert (record.ok, record.values["limit.tasks"]) == (True, "64"), record
    else:
        assert (record.ok, record.code, record.values["limit.tasks"]) == (False, "GP572", "none")
        assert record.message.endswith("is none (its cgroup holds no such limit), not 64")


async def test_they_win_over_a_units_own_lines(site: Site) -> None:
    own = UNIT.format(home=site.home, port=site.port)
    cargo = await site.cargo(
        "1", unit=own, runtime=Runtime({"IDLE": "60s", "WORD": 'a "b" %n $HOME \\'}, {"files": 1024})
    )
    proof = await site.release(cargo)
    expected = {"runtime.IDLE": "60s", "runtime.WORD": 'a "b" %n $HOME \\', "limit.files": "1024"}
    assert read(proof.values) == expected
