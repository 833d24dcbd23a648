"""The host program on real hosts: fresh installs, repeats, refusals, bad releases, and the way back."""

from __future__ import annotations

import asyncio
import secrets
import tarfile
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gopub.canon import sha256
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.facts import Fence, HostFacts, host_steps
from gopub.fleet.orders import Record
from gopub.rollout.hosts import RELEASE_AT_FAULT

from .host_kit import APP, Site, entry, open_site, tar_gz

pytestmark = pytest.mark.e2e


@pytest.fixture
async def fleet() -> AsyncIterator[SshFleet]:
    async with SshFleet() as opened:
        yield opened


@pytest.fixture
async def site(lab: Any, fleet: SshFleet) -> AsyncIterator[Site]:
    made = await open_site(lab, fleet, lab.hosts[0].name)
    yield made
    await made.close()


async def test_a_fresh_install_is_proven_and_a_second_run_yields_nothing(site: Site) -> None:
    cargo = await site.cargo("1")
    before = await site.facts()
    assert (before.current, before.releases, before.epoch, before.unit.load) == (None, (), 0, "not-found")
    steps = host_steps(before, cargo.wanted, site.fence)
    assert [step.verb for step in steps] == ["stage", "switch", "verify"]
    for step in steps:
        record = await site.channel.run(step, cargo.payload if step.verb == "stage" else ())
        assert (record.ok, record.changed) == (True, step.verb != "verify"), record
    after = await site.facts()
    assert after.runs == cargo.folder
    assert after.unit.exe_digest == cargo.wanted.digests["binary"]
    assert after.unit.listening == (site.port,)
    assert after.current is not None
    assert (after.current.release, after.current.render) == (cargo.wanted.release, cargo.wanted.render)
    assert host_steps(after, cargo.wanted, Fence(after.epoch, after.token, after.n)) == ()
    assert await site.sh(f"readlink {site.home}/current") == f"releases/{cargo.folder}"
    assert await site.sh(f"systemctl is-enabled {site.instance}") == "enabled"
    assert "DynamicUser=yes" in await site.sh(f"systemctl show -p DynamicUser {site.instance}")


async def test_staging_twice_moves_nothing(site: Site) -> None:
    cargo = await site.cargo("1")
    assert (await site.run("stage", cargo)).changed
    times = f"find {site.home}/releases -printf '%p %T@ %C@ %i\\n' | sort"
    before = await site.sh(times)
    again = await site.run("stage", cargo)
    assert not again.changed
    assert await site.sh(times) == before


async def test_switching_twice_restarts_nothing(site: Site) -> None:
    cargo = await site.cargo("1")
    await site.release(cargo)
    before = (await site.facts()).unit
    assert not (await site.run("switch", cargo)).changed
    assert (await site.facts()).unit == before
    assert (await site.run("verify", cargo)).ok


async def test_the_same_number_gives_the_kept_record(site: Site) -> None:
    cargo = await site.cargo("1")
    await site.run("stage", cargo)
    order = await site.order("switch", cargo)
    first = await site.channel.run(order)
    before = (await site.facts()).unit
    second = await site.channel.run(order)
    assert (first.ok, first.changed, second.ok, second.changed) == (True, True, True, False)
    assert second.values["repeated"] == "true"
    assert second.values["first_changed"] == "true"
    assert second.values["invocation"] == first.values["invocation"] == before.invocation
    assert (await site.facts()).unit == before


def kept(facts: HostFacts) -> HostFacts:
    """Without what others on the machine use of its disk and memory."""
    return replace(facts, free_bytes=0, free_inodes=0, slots=replace(facts.slots, free=0, used=0))


async def test_the_fence_lets_in_only_who_holds_it(site: Site) -> None:
    cargo = await site.cargo("1")
    site.fence = Fence(5, "ab" * 16, 10)
    await site.run("stage", cargo)
    held = f"this host holds epoch 5, token {'ab' * 16}, n 11"
    before = await site.facts()
    for change, code, text in (
        ({"epoch": 4}, "GP431", f"epoch 4 is over: {held}"),
        ({"token": "cd" * 16}, "GP432", f"epoch 5 belongs to another token: {held}"),
        ({"n": 10}, "GP433", f"n 10 is over: {held}"),
        ({"n": 11, "reason": "other"}, "GP435", f"n 11 was another order here: {held}"),
        ({"epoch": 6, "machine_id": "0" * 32}, "GP434", "the order is for machine"),
    ):
        for verb in ("switch", "stage", "prune", "verify", "stop", "rollback"):
            record = await site.do(verb, cargo, **{"n": 99, **change})  # type: ignore[arg-type]
            assert (record.ok, record.code) == (False, code), record
            assert text in record.message
    assert kept(await site.facts()) == kept(before)
    site.fence = Fence(6, "cd" * 16, 0)
    assert (await site.run("switch", cargo)).changed, "a higher epoch is let in with any token and number"


async def test_a_tampered_archive_is_refused_and_current_stays(site: Site) -> None:
    good, bad = await site.cargo("1"), await site.cargo("2")
    await site.release(good)
    spoiled = bytearray(bad.archive)
    spoiled[len(spoiled) // 2] ^= 1
    for payload, code in (
        ((bad.files, bytes(spoiled)), "GP425"),
        ((bytes(spoiled[: len(bad.files)]), bad.archive), "GP425"),
        ((bad.files, good.archive.ljust(len(bad.archive), b"\0")[: len(bad.archive)]), "GP425"),
    ):
        record = await site.channel.run(await site.order("stage", bad), payload)
        assert (record.ok, record.code) == (False, code), record
    assert (await site.facts()).releases == (good.folder,)
    assert await site.whole() == good.folder


async def test_a_payload_that_ends_early_is_no_outcome(site: Site) -> None:
    cargo = await site.cargo("1")
    order = await site.order("stage", cargo)
    short = await site.channel.run(order, (cargo.files, cargo.archive[:-1]))
    assert (short.ok, short.code) == (False, "GP424")
    assert (await site.facts()).half == f"stage:{cargo.folder}"
    assert (await site.channel.run(order, cargo.payload)).ok, "the same number must be tried again"
    assert (await site.facts()).half is None


@pytest.mark.parametrize(
    "name",
    ["symlink", "hard link", "device", "pipe", "up", "absolute", "set-uid", "twice", "space", "marker", "no binary"],
)
async def test_an_unsafe_archive_is_refused(site: Site, name: str) -> None:
    program = entry(f"bin/{APP}")
    bad = {
        "symlink": entry("bin/link", tarfile.SYMTYPE, linkname="/etc"),
        "hard link": entry("bin/link", tarfile.LNKTYPE, linkname=f"bin/{APP}"),
        "device": entry("bin/dev", tarfile.CHRTYPE, devmajor=1, devminor=3),
        "pipe": entry("bin/pipe", tarfile.FIFOTYPE),
        "up": entry("bin/../../../../tmp/gopub-escaped"),
        "absolute": entry("/tmp/gopub-escaped"),
        "set-uid": entry("bin/root", mode=0o4755),
        "twice": entry(f"./bin/{APP}"),
        "space": entry("bin/a b"),
        "marker": entry("bin/.gopub-sums"),
    }
    cargo = await site.cargo("1")
    entries = [(entry("bin/other"), b"x")] if name == "no binary" else [(program, b"program"), (bad[name], b"x")]
    record = await site.do("stage", cargo.with_archive(tar_gz(entries)))
    assert (record.ok, record.code) == (False, "GP426"), record
    assert (await site.facts()).releases == ()
    assert await site.sh("ls /tmp/gopub-escaped 2>/dev/null || true") == ""


async def test_a_binary_that_is_not_the_signed_one_is_refused(site: Site) -> None:
    cargo = await site.cargo("1")
    record = await site.do("stage", cargo.with_archive(tar_gz([(entry(f"bin/{APP}"), b"another program")])))
    assert (record.ok, record.code) == (False, "GP425"), record


async def test_verify_fails_when_another_binary_runs(site: Site) -> None:
    """Control of the proof: the same process, another digest expected."""
    cargo = await site.cargo("1")
    await site.release(cargo)
    short = cargo.with_arguments("verify", within="1")
    record = await site.do("verify", short, digests={"binary": "0" * 64})
    assert (record.ok, record.code) == (False, "GP444"), record
    assert cargo.wanted.digests["binary"] in record.message


BAD = {
    "ends at once": ({"MODE": "exit"}, "GP443", ("restarted", "code=exited, status=3", ": I end at once")),
    "ends well but ends": ({"MODE": "done"}, "GP442", ("is inactive", ": nothing to do")),
    "listens elsewhere": ({"ADDR": ":1999"}, "GP445", ("it listens on 1999",)),
    "is sick": ({"MODE": "sick"}, "GP446", ("answers 500",)),
    "finds its port taken": ({"ADDR": ":22"}, "GP443", ("code=exited, status=1", "address already in use")),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_release_is_told_precisely_and_the_old_one_comes_back(site: Site, name: str) -> None:
    env, code, words = BAD[name]
    good = await site.cargo("1")
    await site.release(good)
    bad = (await site.cargo("2", env=env)).with_arguments("verify", within="2")
    await site.run("stage", bad)
    await site.do("switch", bad)
    record = await site.do("verify", bad)
    assert (record.ok, record.code) == (False, code), record
    assert all(word in record.message for word in words), record.message
    back = await site.do("rollback", good)
    assert (back.ok, back.values["current"]) == (True, good.folder), back
    assert (await site.run("verify", good)).values["check.health"] == "200"
    assert await site.whole() == good.folder


async def test_a_binary_that_cannot_be_executed_does_not_start(site: Site) -> None:
    cargo = await site.cargo("1")
    archive = tar_gz([(entry(f"bin/{APP}"), b"\x7fELF no program")])
    broken = cargo.with_archive(archive)
    digests = {**broken.wanted.digests, "binary": sha256(b"\x7fELF no program")}
    broken = replace(broken, wanted=replace(broken.wanted, digests=digests))
    await site.run("stage", broken)
    record = await site.do("switch", broken)
    assert (record.ok, record.code) == (False, "GP441"), record


async def test_a_late_service_is_waited_for(site: Site) -> None:
    cargo = await site.cargo("1", env={"MODE": "late"})
    record = await site.release(cargo)
    assert record.values["check.health"] == "200"


@pytest.mark.parametrize("way", ["MORE", "WORKER"])
async def test_both_ports_have_to_be_the_release_s_own(site: Site, way: str) -> None:
    port = site.port - 10_000
    told = {"traffic_port": str(port), "within": "3"}
    one = (await site.cargo("1")).with_arguments("verify", **told)
    await site.run("stage", one)
    await site.run("switch", one)
    record = await site.do("verify", one)
    assert (record.ok, record.code) == (False, "GP445"), "health alone says nothing of the port of the traffic"
    assert f"does not listen on port {port} of the traffic (nobody does), it listens on {site.port}" in record.message
    assert (record.values["check.listen"], record.values["check.traffic"]) == (str(site.port), "no")
    two = (await site.cargo("1", env={way: f":{port}"})).with_arguments("verify", **told)
    record = await site.release(two)
    assert (record.values["check.listen"], record.values["check.traffic"]) == (str(site.port), str(port))
    assert (await site.facts()).unit.listening == (port, site.port)


async def test_a_worker_that_runs_another_file_holds_no_port_for_the_release(site: Site) -> None:
    port = site.port - 10_000
    cargo = await site.cargo("1", env={"WORKER": f"copy:{port}"})
    cargo = cargo.with_arguments("verify", traffic_port=str(port), within="3")
    await site.run("stage", cargo)
    await site.run("switch", cargo)
    record = await site.do("verify", cargo)
    assert (record.ok, record.code) == (False, "GP445"), record
    assert "of the traffic (held by process" in record.message


async def test_a_health_url_is_taken_as_it_stands(site: Site) -> None:
    cargo = await site.cargo("1")
    told = {"health": f"http://127.0.0.1:{site.port}/healthz?of=[0]&in={{a,b}}"}
    await site.release(cargo.with_arguments("verify", **told))


async def test_changed_configuration_is_another_folder_and_restarts(site: Site) -> None:
    one = await site.cargo("1", env={"WORD": "one"}, templates={"config.yaml": "a: 1\n"})
    two = await site.cargo("1", env={"WORD": "two"}, templates={"config.yaml": "a: 2\n"})
    await site.release(one)
    pid = (await site.facts()).unit.main_pid
    await site.release(two)
    facts = await site.facts()
    assert facts.unit.main_pid != pid
    assert facts.previous == one.folder
    assert await site.sh(f"cat {site.home}/current/config.yaml") == "a: 2"
    assert await site.sh(f"curl -s {site.health}") == "1 two"
    back = await site.do("rollback", one, release="", render="", digests={})
    assert (back.ok, back.values["current"]) == (True, one.folder), "without a release it goes to the previous one"
    assert await site.sh(f"curl -s {site.health}") == "1 one"


async def test_the_first_release_is_taken_back_by_stopping(site: Site) -> None:
    cargo = await site.cargo("1")
    await site.release(cargo)
    assert (await site.run("stop", cargo)).changed
    facts = await site.facts()
    assert (facts.current, facts.unit.load, facts.unit.active) == (None, "not-found", "inactive")
    assert facts.releases == (cargo.folder,)
    assert not (await site.run("stop", cargo)).changed
    assert (await site.run("switch", cargo)).changed
    assert await site.whole() == cargo.folder


async def test_going_back_without_anything_to_go_back_to(site: Site) -> None:
    cargo = await site.cargo("1")
    await site.release(cargo)
    record = await site.do("rollback", cargo, release="", render="", digests={})
    assert (record.ok, record.code) == (False, "GP438")
    other = replace(cargo.wanted, release="f" * 64)
    record = await site.do("switch", replace(cargo, wanted=other))
    assert (record.ok, record.code) == (False, "GP439")


async def test_pruning_keeps_what_runs_and_what_ran_before(site: Site) -> None:
    cargos = [await site.cargo("1", env={"WORD": str(number)}) for number in range(4)]
    for cargo in cargos:
        await site.run("stage", cargo)
    await site.run("switch", cargos[0])
    await site.run("switch", cargos[1])
    record = await site.run("prune", cargos[1].keeping(1))
    assert record.changed
    assert set((await site.facts()).releases) == {cargos[0].folder, cargos[1].folder, cargos[3].folder}
    assert not (await site.run("prune", cargos[1].keeping(1))).changed
    everything = " ".join(cargo.folder for cargo in cargos)
    await site.run("prune", cargos[1].with_arguments("prune", remove=everything))
    assert (await site.facts()).releases == (cargos[1].folder,), "whatever an order names, what runs stays"
    assert await site.whole() == cargos[1].folder


async def test_a_release_that_was_altered_on_the_host_is_staged_again_or_refused(site: Site) -> None:
    one, two = await site.cargo("1"), await site.cargo("2")
    await site.release(one)
    await site.run("stage", two)
    for folder in (one.folder, two.folder):
        await site.sh(f"echo x >> {site.home}/releases/{folder}/{site.instance}.service")
    assert (await site.run("stage", two)).changed
    record = await site.do("stage", one)
    assert (record.ok, record.code) == (False, "GP429"), record
    await site.sh(f"printf x >> {site.home}/releases/{two.folder}/bin/{APP}")
    record = await site.do("switch", two)
    assert (record.ok, record.code) == (False, "GP425"), record


async def test_a_unit_of_somebody_else_stays(site: Site) -> None:
    unit = f"/etc/systemd/system/{site.instance}.service"
    await site.sh(f"printf '[Service]\\nExecStart=/bin/sleep 1000\\n' > {unit}")
    cargo = await site.cargo("1")
    await site.run("stage", cargo)
    for verb in ("switch", "stop"):
        record = await site.do(verb, cargo)  # type: ignore[arg-type]
        assert (record.ok, record.code) == (False, "GP440"), record
    assert "sleep 1000" in await site.sh(f"cat {unit}")


async def test_a_service_user_must_exist_and_its_files_are_its_group_s_only(site: Site) -> None:
    user = f"u{secrets.token_hex(3)}"
    cargo = (await site.cargo("1", user=user)).with_arguments("stage", user=user)
    record = await site.do("stage", cargo)
    assert (record.ok, record.code) == (False, "GP428"), record
    await site.sh(f"useradd --system {user}")
    await site.release(cargo)
    assert await site.sh(f"stat -c '%U %G %a' {site.home}/releases/{cargo.folder}/*.service") == f"root {user} 640"
    pid = (await site.facts()).unit.main_pid
    assert await site.sh(f"stat -c %U /proc/{pid}") == user


async def test_configuration_is_checked_in_all_three_ways(site: Site) -> None:
    words = {"check.0": APP, "check.1": "--check-config", "check.2": "config.yaml"}

    async def staged(version: str, config: str) -> Any:
        cargo = await site.cargo(version, templates={"config.yaml": config})
        cargo = cargo.with_arguments("stage", **words)
        return cargo, await site.do("stage", cargo)

    cargo, record = await staged("1", "good\n")
    assert record.ok, record
    assert record.values == {"check.new_new": "ok"}
    await site.run("switch", cargo)
    cargo, record = await staged("2", "only for two\n")
    assert record.ok, record
    assert record.values["check.new_new"] == record.values["check.new_old"] == "ok"
    assert record.values["check.old_new"].startswith('failed: 1 reads "only for two')
    cargo, record = await staged("2", "bad\n")
    assert (record.ok, record.code) == (False, "GP437"), record
    assert '2 reads "bad' in record.message
    assert cargo.folder not in (await site.facts()).releases


async def test_a_check_that_systemd_cannot_start_is_asked_again_and_is_no_verdict(site: Site) -> None:
    user = f"u{secrets.token_hex(3)}"
    tries = f"/var/lib/{user}"
    await site.sh(f"useradd --system {user} && install -d -o {user} {tries}")

    async def staged(version: str, least: int) -> Record:
        script = f"echo >>{tries}/{version}; [ $(wc -l <{tries}/{version}) -ge {least} ] || exit 219"
        words = {"check.0": "sh", "check.1": "-c", "check.2": script}
        cargo = (await site.cargo(version, user=user)).with_arguments("stage", user=user, **words)
        return await site.do("stage", cargo)

    record = await staged("1", least=3)
    assert (record.ok, record.values.get("check.new_new")) == (True, "ok"), record
    record = await staged("2", least=1000)
    assert (record.ok, record.code) == (False, "GP450"), record
    assert "219" in record.message
    assert record.code not in RELEASE_AT_FAULT


async def test_orders_at_the_same_time_are_carried_out_one_after_the_other(site: Site) -> None:
    cargos = [await site.cargo("1", env={"WORD": str(number)}) for number in range(4)]
    orders = [await site.order("stage", cargo) for cargo in cargos]
    last = orders[-1].n
    records = await asyncio.gather(
        *(site.channel.run(order, cargo.payload) for order, cargo in zip(orders, cargos, strict=True))
    )
    assert {record.code for record in records} <= {"", "GP433"}, records
    done = [record.n for record in records if record.ok]
    facts = await site.facts()
    assert len(facts.releases) == len(done)
    assert (last in done, facts.n) == (True, last)
    await site.run("switch", cargos[-1])
    assert await site.whole() == cargos[-1].folder


async def test_a_poller_never_sees_half_a_release(site: Site) -> None:
    """Reads `current` over and over from outside while it is switched: always one whole release."""
    cargos = [await site.cargo(v, templates={"version.txt": f"{v}\n"}) for v in ("1", "2")]
    for cargo in cargos:
        await site.run("stage", cargo)
    await site.run("switch", cargos[0])
    current = site.lab.root(site.name) / "opt" / site.instance / "current"
    stop, seen, rounds = asyncio.Event(), set(), [0]

    def poll() -> None:
        while not stop.is_set():
            folder = current.readlink().name
            text = (current / "version.txt").read_text()
            assert (current / "bin" / APP).stat().st_size > 1_000_000
            seen.add((folder, text))
            rounds[0] += 1

    polling = asyncio.create_task(asyncio.to_thread(poll))
    try:
        for number in range(10):
            await site.run("switch", cargos[(number + 1) % 2])
    finally:
        stop.set()
    await polling
    texts = {folder: {text for other, text in seen if other == folder} for folder, _ in seen}
    assert set(texts) == {cargo.folder for cargo in cargos}
    assert rounds[0] > 1000
