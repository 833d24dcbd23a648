"""Services that are not in Go, on real hosts: one in C, whose file is the process, and one in Python, whose is not."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gopub.canon import sha256
from gopub.fleet.backends.ssh import SshFleet
from gopub.process import run, which

from .host_kit import PATIENCE, Cargo, Site, open_site

pytestmark = pytest.mark.e2e

FOREIGN = Path(__file__).parent / "foreign"
PLACE = b"@VERSION@"
PYTHON = Path("/usr/bin/python3").resolve()
LEFT_OUT = ("test", "tests", "__pycache__", "idlelib", "lib2to3", "ensurepip", "tkinter", "pydoc_data", "config-*")
KINDS = ("c", "python")
UNIT = """[Service]
Type={type}
NotifyAccess=all
ExecStart=/opt/{name}/current/bin/service
ExecReload=/bin/kill -HUP $MAINPID
WorkingDirectory=/opt/{name}/current
Environment=ADDR=:{port}
DynamicUser=yes
TimeoutStopSec=3
Restart=on-failure
RestartSec=100ms
[Install]
WantedBy=multi-user.target
"""


@cache
def lay_python(root: Path) -> None:
    """An interpreter with its library, as Debian has it, on a host that has none."""
    library = Path("usr/lib") / PYTHON.name
    shutil.copy2(PYTHON, root / PYTHON.relative_to("/"))
    shutil.copytree("/" / library, root / library, ignore=shutil.ignore_patterns(*LEFT_OUT), dirs_exist_ok=True)
    (root / "usr/bin/python3").symlink_to(PYTHON.name)


@pytest.fixture(scope="module")
def programs(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    lay_python(lab.root(lab.hosts[0].name))
    made = tmp_path_factory.mktemp("foreign") / "service"
    asyncio.run(run(("gcc", "-O1", "-static", "-o", str(made), str(FOREIGN / "service.c"))))
    return {"c": made.read_bytes(), "python": (FOREIGN / "service").read_bytes()}


@pytest.fixture
async def site(lab: Any) -> AsyncIterator[Site]:
    async with SshFleet() as fleet:
        made = await open_site(lab, fleet, lab.hosts[0].name)
        yield made
        await made.close()


@pytest.fixture(params=KINDS)
def program(request: pytest.FixtureRequest, programs: dict[str, bytes]) -> bytes:
    return programs[request.param]


async def cargo(site: Site, program: bytes, version: str, mode: str, how: str = "", **more: Any) -> Cargo:
    """A release of it; all of one mode have one unit."""
    said = version.encode().ljust(len(PLACE), b"\0" if program[:1] == b"\x7f" else b" ")
    kind = "notify" if mode == "handover" else "exec"
    unit = None if mode == "socket" else UNIT.format(name=site.instance, port=site.port, type=kind)
    more = {"unit": unit, "templates": {"how": how}, "mode": mode, "program": program.replace(PLACE, said), **more}
    return (await site.cargo(version, **more)).with_arguments("switch", within="60")


async def says(site: Site) -> str:
    return (await site.sh(f"curl -s -m 5 {site.health}")).split()[0]


@pytest.mark.parametrize("mode", ["restart", "socket", "handover", "reload"])
async def test_it_is_switched_and_goes_back_in_every_mode(site: Site, program: bytes, mode: str) -> None:
    one, two = await cargo(site, program, "1", mode), await cargo(site, program, "2", mode)
    await site.release(one)
    before = (await site.facts()).unit
    ask = f"curl -sS -o /dev/null -m 30 {site.health} 2>&1 || echo lost"
    load = asyncio.create_task(site.sh(f"while [ ! -e {site.home}/enough ]; do {ask}; done | sort | uniq -c"))
    await site.run("stage", two)
    for verb, there in (("switch", two), ("rollback", one)):
        done = await site.do(verb, there.with_arguments("rollback", within="60"))  # type: ignore[arg-type]
        assert (done.ok, done.values["way"], done.values.get("way_why")) == (True, mode, None), done
        proof = await site.run("verify", there)
        assert proof.values["check.exe"] == there.wanted.digests["binary"]
        assert proof.values.get("unit.interpreter", "") == ("" if program[:1] == b"\x7f" else str(PYTHON))
        assert await says(site) == ("2" if there is two else "1")
        now = (await site.facts()).unit
        assert (now.invocation == before.invocation) == (mode in {"handover", "reload"})
        assert (now.main_pid == before.main_pid) == (mode == "reload")
    await site.sh(f"touch {site.home}/enough")
    if mode != "restart":
        assert (await load).strip() == "", "nobody was lost"
    await load
    assert await site.whole() == one.folder


async def test_one_that_does_not_end_or_dies_after_it_took_over(site: Site, program: bytes) -> None:
    stubborn, two, dies = [
        await cargo(site, program, version, "handover", how)
        for version, how in (("1", "stubborn\n"), ("2", ""), ("3", "crash 3000\n"))
    ]
    await site.release(stubborn)
    old = (await site.facts()).unit.main_pid
    await site.run("stage", two)
    done = await site.run("switch", two)
    assert done.values["way"] == "handover", done
    proof = await site.run("verify", two)
    assert (proof.values["old_pid"], proof.values["old_gone"]) == (str(old), "false"), "it is told, and not ended"
    assert await says(site) == "2"
    await site.run("stage", dies)
    done = await site.do("switch", dies)
    assert done.ok, done
    for _ in range(PATIENCE):
        status = await site.do("status", dies)
        if status.code == "GP443":
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError(f"nobody saw it die: {status}")
    assert (await site.do("rollback", two)).ok
    assert (await site.run("verify", two)).ok
    assert await says(site) == "2"
    assert await site.whole() == two.folder
    assert await site.sh(f"kill -0 {old} 2>/dev/null && echo lives || echo gone") == "gone", "a restart ends all"


@pytest.mark.parametrize("program", ["python"], indirect=True)
async def test_one_that_ignores_its_end_is_killed_and_one_that_never_answers_is_no_release(
    site: Site, program: bytes
) -> None:
    stubborn = await cargo(site, program, "1", "restart", "stubborn\n")
    slow, slower = [
        await cargo(site, program, name, "restart", f"slow {ms}\n") for name, ms in (("2", 3000), ("3", 600_000))
    ]
    await site.release(stubborn)
    await site.run("stage", slow)
    assert (await site.run("switch", slow)).values["way"] == "restart"
    assert (await site.run("verify", slow)).values["check.restarts"] == "0"
    await site.run("stage", slower)
    assert (await site.do("switch", slower)).ok, "that it was started is all that is known yet"
    record = await site.do("verify", slower)
    assert (record.ok, record.code) == (False, "GP445"), record
    assert "nobody does" in record.message
    assert (await site.do("rollback", stubborn)).ok
    assert (await site.run("verify", stubborn)).ok
    assert await site.whole() == stubborn.folder


@pytest.mark.parametrize("program", ["python"], indirect=True)
async def test_one_that_is_too_slow_to_take_over_leaves_the_old_one_serving(site: Site, program: bytes) -> None:
    one, slow, late, ends = [
        await cargo(site, program, name, "handover", how)
        for name, how in (("1", ""), ("2", "slow 600000\n"), ("3", "slow 2000\n"), ("4", "exit\n"))
    ]
    await site.release(one)
    old = (await site.facts()).unit.main_pid
    for bad, within in ((slow, "3"), (ends, "60")):
        await site.run("stage", bad)
        record = await site.do("switch", bad.with_arguments("switch", within=within))
        assert (record.ok, record.code) == (False, "GP533"), record
        assert ((await site.facts()).unit.main_pid, await says(site)) == (old, "1")
        assert (await site.run("verify", one)).ok
    await site.run("stage", late)
    assert (await site.run("switch", late)).values["way"] == "handover"
    assert (await site.run("verify", late)).ok
    assert await site.whole() == late.folder


@pytest.mark.parametrize("program", ["python"], indirect=True)
async def test_a_reload_that_reads_its_files_anew_is_refused(site: Site, program: bytes) -> None:
    one, two = await cargo(site, program, "1", "reload", "deaf\n"), await cargo(site, program, "2", "reload")
    await site.release(one)
    await site.run("stage", two)
    record = await site.do("switch", two.with_arguments("switch", within="3"))
    assert (record.ok, record.code) == (False, "GP536"), record
    assert await says(site) == "1"
    assert (await site.run("verify", one)).ok
    assert await site.whole() == one.folder


async def test_a_script_takes_changed_config_in_and_its_own_command_confirms_it(
    site: Site, programs: dict[str, bytes]
) -> None:
    async def with_config(text: str) -> Cargo:
        made = await cargo(
            site, programs["python"], "1", "restart", unit=None, templates={"config.txt": text},
            env={"CONFIG": f"{site.home}/current/config.txt"},
        )  # fmt: skip
        words = {"confirm.0": "service", "confirm.1": "--held", "confirm.2": str(site.port)}
        return made.with_arguments("stage", reload="config.txt", **words)

    one, two = await with_config("one\n"), await with_config("two\n")
    await site.release(one)
    began = (await site.facts()).unit.main_pid
    for verb, there, text in (("switch", two, b"two\n"), ("rollback", one, b"one\n")):
        await site.run("stage", there)
        done = await site.do(verb, there)  # type: ignore[arg-type]
        assert (done.ok, done.values["way"]) == (True, "config"), done
        assert (await site.run("verify", there)).values["check.config"] == "ok"
        assert (await site.sh(f"curl -s -m 5 http://127.0.0.1:{site.port}/held")).strip() == sha256(text)
        assert (await site.facts()).unit.main_pid == began
        assert (await site.do("switch", there)).changed is False
    assert await site.whole() == one.folder


async def test_two_of_it_serve_side_by_side_and_the_way_back_starts_nothing(site: Site, program: bytes) -> None:
    ports = (site.port, site.port - 10_000)

    async def for_slots(version: str) -> Cargo:
        made = await cargo(
            site, program, version, "side-by-side", unit=None, ports=ports, env={"ADDR": ":{{ port }}"}
        )  # fmt: skip
        asks = {name: made.wanted.arguments["verify"][name] for name in ("port", "health", "within")}
        return made.with_arguments("stage", ports=f"{ports[0]},{ports[1]}").with_arguments("switch", **asks)

    one, two = await for_slots("1"), await for_slots("2")
    assert (await site.release(one)).values["slot"] == "a"
    pid = (await site.facts()).unit.main_pid
    proof = await site.release(two)
    assert (proof.values["slot"], proof.values["check.exe"]) == ("b", two.wanted.digests["binary"])
    both = [(await site.sh(f"curl -s -m 5 http://127.0.0.1:{port}/")).split()[0] for port in ports]
    assert both == ["1", "2"]
    assert (await site.run("rollback", one)).values["main_pid"] == str(pid)
    assert (await site.run("verify", one)).values["slot"] == "a"
    await site.run("prune", one)
    assert await site.whole() == one.folder


@pytest.mark.parametrize("program", ["python"], indirect=True)
async def test_a_port_that_somebody_else_holds_is_named_where_a_socket_is_to_listen(site: Site, program: bytes) -> None:
    holder = f"holder-{site.instance}"
    await site.sh(
        f"systemd-run -q --unit={holder} --setenv=ADDR=:{site.port} "
        "/usr/bin/python3 -m http.server --bind 0.0.0.0 " + str(site.port)
    )
    try:
        one = await cargo(site, program, "1", "socket")
        for _ in range(PATIENCE):
            if site.port in {held.port for held in (await site.facts()).standing.taken}:
                break
            await asyncio.sleep(0.1)
        else:
            raise AssertionError("the plan would not know that the port is held")
        await site.run("stage", one)
        record = await site.do("switch", one)
        assert (record.ok, record.code) == (False, "GP441"), record
        assert "ddress already in use" in record.message
    finally:
        await site.sh(f"systemctl stop {holder}")
    assert (await site.run("switch", one)).ok, "the same order, once the port is free"
    assert (await site.run("verify", one)).ok
    assert await site.whole() == one.folder


NGINX = """[Service]
Type=forking
PIDFile=/run/{name}/nginx.pid
ExecStart=/opt/{name}/current/bin/service -e stderr -c /opt/{name}/current/nginx.conf
ExecReload=/bin/sh -c 'cd /run/{name} && kill -USR2 $MAINPID && {wait}; kill -QUIT $MAINPID'
WorkingDirectory=/opt/{name}
RuntimeDirectory={name}
DynamicUser=yes
[Install]
WantedBy=multi-user.target
"""
WAIT = "for i in `seq 300`; do [ -s nginx.pid.oldbin ] && [ -s nginx.pid ] && break; sleep 0.1; done"
CONF = """pid /run/{name}/nginx.pid; error_log stderr; worker_processes 2; events {{}}
http {{ access_log off; {paths} server {{ listen {port}; location / {{ return 200 "{version}\\n"; }} }} }}
"""


def nginx() -> bytes:
    """The real one: the same that hosts of the lab have."""
    return Path(which("nginx") or "/usr/sbin/nginx").read_bytes()


async def test_nginx_upgrades_its_own_binary_by_the_mode_reload(site: Site) -> None:
    """By its own way, USR2 and QUIT: another main process, of which systemd learns by the file of its number."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path /run/{site.instance}/{kind};" for kind in kinds)
    unit = NGINX.format(name=site.instance, wait=WAIT)
    program = nginx()

    async def of(version: str) -> Cargo:
        conf = CONF.format(name=site.instance, port=site.port, paths=paths, version=version)
        templates = {"nginx.conf": conf}
        made = await cargo(site, program + version.encode(), version, "reload", unit=unit, templates=templates)
        return made.with_arguments("rollback", within="60")

    one, two = await of("1"), await of("2")
    await site.release(one)
    before = (await site.facts()).unit
    await site.run("stage", two)
    for verb, there, text in (("switch", two, "2"), ("rollback", one, "1")):
        done = await site.do(verb, there)  # type: ignore[arg-type]
        assert (done.ok, done.values["way"], done.values.get("way_why")) == (True, "reload", None), done
        assert (await site.run("verify", there)).values["check.exe"] == there.wanted.digests["binary"]
        assert await says(site) == text
    now = (await site.facts()).unit
    assert (now.invocation, now.n_restarts) == (before.invocation, 0)
    assert await site.whole() == one.folder
