"""The lab itself: what it promises to everything that runs on it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncssh
import pytest
from typer.testing import CliRunner

from gopub.cli.lab import app
from gopub.errors import GopubError, UsageError
from gopub.lab import faults, kernel, machine
from gopub.lab.lab import Lab, sweep, take_down
from gopub.lab.sigstore import services
from gopub.lab.sigstore.ground import listens
from gopub.lab.sigstore.layout import SERVICES
from gopub.lab.state import home_of
from gopub.lab.traffic import Load, Traffic

pytestmark = pytest.mark.e2e


async def text(lab: Lab, host: str, *argv: str) -> str:
    return (await lab.exec(host, argv)).text


def query(lab: Lab, expression: str) -> list[dict[str, object]]:
    url = f"{lab.prometheus_url}/api/v1/query?query={expression}"
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - the lab's own URL
        return list(json.load(answer)["data"]["result"])


async def until(holds: Callable[[], Awaitable[bool]], limit: float = 300.0) -> None:
    end = time.monotonic() + limit
    while not await holds():
        assert time.monotonic() < end, "it did not come to hold"
        await asyncio.sleep(0.2)


async def test_every_host_is_a_machine_of_its_own(lab: Lab) -> None:
    names = [host.name for host in (*lab.hosts, *lab.edges)]
    ids = [await text(lab, name, "cat", "/etc/machine-id") for name in names]
    boots = [await text(lab, name, "cat", "/proc/sys/kernel/random/boot_id") for name in names]
    assert len(set(ids)) == len(set(boots)) == len(names) == 5
    assert [await text(lab, name, "hostname") for name in names] == names
    assert await text(lab, "app1", "systemctl", "is-system-running") == "running"


async def test_a_host_runs_units_and_keeps_their_logs(lab: Lab) -> None:
    await lab.exec("app1", ("systemd-run", "--wait", "--unit=lab-test", "sh", "-c", "echo to the journal"))
    assert "to the journal" in await text(lab, "app1", "journalctl", "--unit=lab-test", "--output=cat")


async def test_input_reaches_a_command_and_no_input_ends_at_once(lab: Lab) -> None:
    assert (await lab.exec("app1", ("cat",), stdin=b"\x00\xff")).out == b"\x00\xff"
    assert (await lab.exec("app1", ("cat",))).out == b""
    assert (await lab.exec("app1", ("sh", "-c", "exit 3"), check=False)).code == 3
    with pytest.raises(GopubError, match="GP808"):
        await lab.exec("app1", ("false",))


async def test_the_units_of_one_host_are_none_of_another_s(lab: Lab) -> None:
    group = Path("/sys/fs/cgroup")

    async def groups(host: str) -> str:
        return (await lab.exec(host, ("find", str(group), "-name", "only-here.service"))).text

    await lab.exec("app1", ("systemd-run", "--unit=only-here", "sleep", "60"))
    assert "only-here.service" in await groups("app1")
    assert not await groups("app2")
    await lab.exec("app2", ("systemd-run", "--wait", "--unit=only-here", "true"))
    assert "only-here.service" in await groups("app1")
    await lab.exec("app1", ("systemctl", "stop", "only-here"))


async def test_a_command_may_end_without_reading_its_input(lab: Lab) -> None:
    for unread in (b"x", bytes(8 * 1024 * 1024)):
        for _ in range(5):
            assert (await lab.exec("app1", ("sh", "-c", "exit 3"), stdin=unread, check=False)).code == 3


async def test_a_host_with_another_key_is_refused(lab: Lab, tmp_path: Path) -> None:
    wrong = tmp_path / "known_hosts"
    lines = lab.layout.known_hosts.read_text().splitlines()
    keys = {name.split(",")[1]: key for name, key in (line.split(" ", 1) for line in lines)}
    host = lab.layout.host("app1")
    wrong.write_text(f"{host.address} {keys['app2']}\n")
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await asyncssh.connect(host.address, username="root", client_keys=[str(lab.layout.key)], known_hosts=str(wrong))


async def test_up_twice_changes_nothing(lab: Lab) -> None:
    before = await lab.status()
    again = await Lab.up(lab.name, hosts=4, edges=1, owned=True)
    assert before.whole
    assert await again.status() == before
    assert again.layout == lab.layout


async def test_stock_ansible_reads_the_inventory_and_reaches_the_hosts(lab: Lab) -> None:
    argv = ["ansible", "--inventory", str(lab.inventory), "--module-name", "raw", "--args", "hostname", "role_app,app"]
    done = await asyncio.to_thread(
        subprocess.run, argv, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    assert done.stdout.count("rc=0") == 4, done.stdout + done.stderr


async def test_prometheus_scrapes_the_edge_and_tells_who_does_not_answer(lab: Lab) -> None:
    async def scraped() -> bool:
        return [r["value"][1] for r in query(lab, "up{job='edge'}")] == ["1"] and len(query(lab, "up{job='apps'}")) == 4

    await until(scraped)


async def test_prometheus_can_go_and_come_back_with_what_it_knew(lab: Lab) -> None:
    async with faults.without_prometheus(lab):
        assert not (await lab.status()).prometheus
        with pytest.raises(OSError, match="refused"):
            query(lab, "up")
    assert query(lab, "count_over_time(up{job='edge'}[1h])")


async def test_an_unplugged_host_runs_on_and_answers_again(lab: Lab) -> None:
    boot = await text(lab, "app2", "cat", "/proc/sys/kernel/random/boot_id")
    async with faults.unplugged(lab, "app2"):
        with pytest.raises(GopubError, match="GP807"):
            await lab.exec("app2", ("true",), limit=2)
    assert await text(lab, "app2", "cat", "/proc/sys/kernel/random/boot_id") == boot


async def test_a_full_disk_is_full_on_one_host_only(lab: Lab) -> None:
    await faults.fill_disk(lab, "app3", leave=4096)
    try:
        with pytest.raises(GopubError, match="No space left"):
            await lab.exec("app3", ("dd", "if=/dev/zero", "of=/opt/more", "bs=64K", "count=1"))
        await lab.exec("app4", ("dd", "if=/dev/zero", "of=/opt/more", "bs=64K", "count=1"))
    finally:
        await faults.empty_disk(lab, "app3")
        await lab.exec("app3", ("rm", "-f", "/opt/more"))


async def test_the_edge_answers_traffic_and_every_request_is_accounted_for(lab: Lab) -> None:
    async with Traffic(Load(lab.edge_address, "nobody.lab", rate=100)) as traffic:

        async def enough() -> bool:
            return traffic.counts.sent > 50

        await until(enough)
    counts = traffic.counts
    assert counts.lost == counts.under_way == 0
    assert list(counts.classes.values()) == [counts.sent]
    assert "2xx" not in counts.classes  # nginx runs; nobody serves this name


async def test_a_killed_unit_is_dead_at_once(lab: Lab) -> None:
    await lab.exec("app1", ("systemd-run", "--unit=victim", "sleep", "1000"))
    await faults.kill_unit(lab, "app1", "victim")

    async def dead() -> bool:
        return (await lab.exec("app1", ("systemctl", "is-active", "victim"), check=False)).text == "failed"

    await until(dead)
    await lab.exec("app1", ("systemctl", "reset-failed", "victim"))


async def test_a_crashed_host_comes_back_on_its_disk(spare_lab: Lab) -> None:
    lab = spare_lab
    identity = await text(lab, "app1", "cat", "/etc/machine-id")
    boot = await text(lab, "app1", "cat", "/proc/sys/kernel/random/boot_id")
    await lab.exec("app1", ("sh", "-c", "echo kept >/opt/kept"))
    await lab.kill_host("app1")
    assert [h.pid > 0 for h in (await lab.status()).hosts] == [False, True]
    with pytest.raises(GopubError, match="GP807"):
        await lab.exec("app1", ("true",), limit=2)
    await lab.start_host("app1")
    assert await text(lab, "app1", "cat", "/opt/kept") == "kept"
    assert await text(lab, "app1", "cat", "/etc/machine-id") == identity
    assert await text(lab, "app1", "cat", "/proc/sys/kernel/random/boot_id") != boot


async def test_a_host_whose_supervisor_was_killed_is_not_left_running(spare_lab: Lab) -> None:
    """Whoever kills systemd-nspawn itself leaves a host behind that nobody holds; the next start takes its place."""
    lab = spare_lab
    host = lab.layout.host("app1")
    nspawn = machine.process(lab.layout, host)
    assert nspawn
    (before,) = machine.inside(lab.root("app1"))
    await kernel.end(nspawn, ask=signal.SIGKILL)
    await lab.start_host("app1")
    (after,) = machine.inside(lab.root("app1"))
    assert not before.alive()
    assert after != before


async def test_up_mends_a_half_dead_lab_and_leaves_the_rest_alone(spare_lab: Lab) -> None:
    lab = spare_lab
    kept = await text(lab, "app2", "cat", "/proc/sys/kernel/random/boot_id")
    await lab.kill_host("app1")
    await kernel.unmount_below(lab.layout.folder(lab.layout.host("app1")))
    await lab.stop_prometheus()
    await faults.unplug(lab, "app2")
    await Lab.up(lab.name, hosts=2, edges=0, owned=True)
    assert (await lab.status()).whole
    assert await text(lab, "app2", "cat", "/proc/sys/kernel/random/boot_id") == kept
    assert await text(lab, "app1", "hostname") == "app1"


async def test_a_lab_takes_a_sigstore_in_and_keeps_it(spare_lab: Lab) -> None:
    assert (await spare_lab.status()).sigstore == {}
    with pytest.raises(UsageError, match=r"GP815 lab .* has no Sigstore stack"):
        _ = spare_lab.sigstore
    lab = await Lab.up(spare_lab.name, hosts=2, edges=0, sigstore=True, owned=True)
    first = dict((await lab.status()).sigstore)
    assert sorted(first) == sorted(SERVICES) and all(first.values())
    await services.kill(lab.layout.stack, "rekor")
    seen = await lab.status()
    assert not seen.whole and [name for name, pid in seen.sigstore.items() if not pid] == ["rekor"]
    shown = await asyncio.to_thread(CliRunner().invoke, app, ["status", "--name", lab.name])
    assert shown.exit_code == 1 and "sigstore       rekor           DOWN" in shown.stdout.splitlines()
    again = await Lab.up(lab.name, hosts=2, edges=0, owned=True)
    second = (await again.status()).sigstore
    assert {name for name in second if second[name] != first[name]} == {"rekor"} and again.sigstore == lab.sigstore


async def test_a_lab_grows_and_shrinks(spare_lab: Lab) -> None:
    grown = await Lab.up(spare_lab.name, hosts=3, edges=0, owned=True)
    assert await text(grown, "app3", "hostname") == "app3"
    shrunk = await Lab.up(spare_lab.name, hosts=2, edges=0, owned=True)
    assert [h.name for h in shrunk.hosts] == ["app1", "app2"]
    assert not machine.process(grown.layout, grown.layout.host("app3"))
    assert not grown.layout.folder(grown.layout.host("app3")).exists()


def nothing_left(lab: Lab) -> bool:
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    return (
        not lab.home.exists()
        and not kernel.mounts_below(lab.home)
        and not machine.supervisors(lab.home)
        and not machine.all_inside(lab.home)
        and not services.all_running(lab.layout.stack)
        and lab.layout.bridge not in links
        and not list(Path("/sys/fs/cgroup").glob(f"**/{lab.layout.bridge}-*"))
    )


async def test_down_finds_what_nobody_wrote_down() -> None:
    """No state file, a host and a service of Sigstore killed, a stranger's mount inside: all of it goes."""
    lab = await Lab.up(f"d{os.getpid()}", hosts=2, edges=0, sigstore=True, owned=True)
    try:
        assert not nothing_left(lab)  # the check can fail
        assert len(services.all_running(lab.layout.stack)) == 5
        ports = [lab.sigstore.port(name) for name in SERVICES]
        await services.kill(lab.layout.stack, "fulcio")
        await lab.kill_host("app1")
        (lab.home / "lab.json").unlink()
        leftover = lab.home / "hosts" / "leftover"
        leftover.mkdir()
        await asyncio.to_thread(subprocess.run, ["mount", "-t", "tmpfs", "stranger", str(leftover)], check=True)
    finally:
        await take_down(lab.name)
    assert nothing_left(lab)
    assert [port for port in ports if listens(port)] == []


async def test_a_folder_without_a_lab_is_no_hindrance() -> None:
    name = f"u{os.getpid()}"
    home = home_of(name)
    home.mkdir(parents=True)
    (home / "lab.json").write_text('{"version": 99}')
    try:
        with pytest.raises(GopubError, match="GP806"):
            Lab.open(name)
        lab = await Lab.up(name, hosts=1, edges=0, owned=True)
        assert (await lab.status()).whole
    finally:
        await take_down(name)
    assert nothing_left(lab)


async def test_two_labs_run_side_by_side(lab: Lab) -> None:
    other = await Lab.up(f"o{os.getpid()}", hosts=1, edges=0, owned=True)
    try:
        assert other.layout.subnet != lab.layout.subnet
        assert await text(other, "app1", "cat", "/etc/machine-id") != await text(lab, "app1", "cat", "/etc/machine-id")
    finally:
        await other.down()
    assert (await lab.status()).whole


async def test_a_lab_whose_maker_was_killed_is_swept_away(lab: Lab) -> None:
    """Somebody else brings a lab up and is killed with it up; the next one to come takes it down."""
    name = f"k{os.getpid()}"
    script = (
        "import asyncio, time; from gopub.lab.lab import Lab;"
        f"asyncio.run(Lab.up({name!r}, hosts=1, edges=0, owned=True)); print('up', flush=True); time.sleep(600)"
    )
    maker = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    try:
        assert maker.stdout is not None
        assert await maker.stdout.readline() == b"up\n"
        orphan = Lab.open(name)
        assert name not in await sweep()  # its maker lives
        maker.send_signal(signal.SIGKILL)
        await maker.wait()
        assert (await orphan.status()).whole  # hosts outlive their maker
        assert name in await sweep()
        assert nothing_left(orphan)
        assert (await lab.status()).whole
    finally:
        if maker.returncode is None:
            maker.kill()
        await take_down(name)
        shutil.rmtree(home_of(name), ignore_errors=True)
