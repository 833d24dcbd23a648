"""What was on a host before gopub: told, never touched unasked, taken over by the first switch, and brought back."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gopub.errors import UsageError
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.facts import HostFacts
from gopub.plan.preflight import refuse_trouble
from gopub.spec.loader import parse_spec

from .host_kit import OLD_UNIT, Site, old_service, open_site

pytestmark = pytest.mark.e2e


@pytest.fixture
async def site(lab: Any) -> AsyncIterator[Site]:
    async with SshFleet() as fleet:
        made = await open_site(lab, fleet, lab.hosts[0].name)
        yield made
        await made.sh(f"rm -f /lib/systemd/system/{made.instance}.service", check=False)
        await made.close()


async def told(site: Site) -> HostFacts:
    """The facts, as every rollout begins with them; what they say is what the plan would refuse."""
    return await site.facts()


def refusal(site: Site, facts: HostFacts) -> str:
    of = f"inventory: h, hosts: a=b, instance: {site.instance}, health: '{site.health}'"
    text = f"app: t\nenvironments: {{lab: {{{of}}}}}\n"
    environment = parse_spec(text, "gopub.yaml").spec.environments["lab"]
    try:
        refuse_trouble("lab", environment, {"app1": facts})
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("folder", "link"), [("/etc", False), ("/lib", True), ("/etc", True)])
async def test_an_old_service_runs_on_until_the_switch_and_comes_back(site: Site, folder: str, link: bool) -> None:
    old = await old_service(site, folder, link=link)
    before = await told(site)
    assert (before.standing.unit, before.standing.current, before.current) == (old.unit, old.stands, None)
    said = refusal(site, before)
    assert said.startswith("GP454 app1: there already"), said
    assert old.unit in said
    assert old.stands in said

    cargo = await site.cargo("1")
    await site.run("stage", cargo)
    refused = await site.do("switch", cargo)
    assert (refused.ok, refused.code) == (False, "GP440"), "control: nobody gave the word"
    assert (await site.facts()).unit == before.unit

    done = await site.word("adopt")
    assert (done.ok, done.changed) == (True, True), done
    assert not (await site.word("adopt")).changed
    adopted = await told(site)
    assert (adopted.standing.adopted, refusal(site, adopted)) == (True, "")
    assert adopted.unit == before.unit, "it runs on"

    await site.run("switch", cargo)
    await site.run("verify", cargo)
    assert (await site.facts()).runs == cargo.folder
    assert (await told(site)).standing.found == ()
    assert (await site.word("disown")).code == "GP456"

    back = await site.run("stop", cargo)
    assert back.message == "what was there before gopub is there again"
    again = await told(site)
    assert (again.standing, again.current) == (adopted.standing, None)
    assert (again.unit.active, again.unit.exe) == ("active", before.unit.exe)
    assert await site.sh(f"cat {old.unit}; cat {site.home}/current/data") == f"{OLD_UNIT.format(home=site.home)}kept"
    assert await site.sh(f"systemctl is-enabled {site.instance}") == "enabled"
    assert not (await site.run("stop", cargo)).changed, "nothing is started twice"
    assert (await site.word("disown")).ok
    assert refusal(site, await told(site)).startswith("GP454"), "the word is taken back"


async def test_a_unit_that_changed_since_it_was_adopted_is_nobody_s_word(site: Site) -> None:
    old = await old_service(site, "/etc", link=False)
    await site.word("adopt")
    await site.sh(f"echo '# by hand' >> {old.unit} && systemctl daemon-reload")
    facts = await told(site)
    assert (facts.standing.adopted, refusal(site, facts)[:5]) == (False, "GP454")
    cargo = await site.cargo("1")
    await site.run("stage", cargo)
    assert (await site.do("switch", cargo)).code == "GP440"
    assert "# by hand" in await site.sh(f"cat {old.unit}")


async def test_a_current_that_is_a_mount_is_told_when_it_is_adopted(site: Site) -> None:
    """No rename moves it: the first switch would have failed, with gopub's unit in place of the old one already."""
    await old_service(site, "/etc", link=False)
    await site.sh(f"mount --bind {site.home}/current {site.home}/current")
    refused = await site.word("adopt")
    assert (refused.ok, refused.code) == (False, "GP456")
    assert "is a mount, which cannot be moved aside" in refused.message
    assert not (await told(site)).standing.adopted
    await site.sh(f"umount -l {site.home}/current")
    assert (await site.word("adopt")).ok, "control"


async def test_a_unit_that_was_written_over_under_gopub_is_told_and_its_removal_stops_nothing(site: Site) -> None:
    unit = f"/etc/systemd/system/{site.instance}.service"
    cargo = await site.cargo("1")
    await site.release(cargo)
    await site.sh(f"sed -i 1d {unit} && systemctl daemon-reload")
    before = await told(site)
    said = refusal(site, before)
    assert said.startswith(f"GP454 app1: there already, and not made by gopub: the unit {unit}; nothing was changed")
    assert "move away what is named" in said
    assert (await site.word("adopt")).code == "GP456"
    await site.sh(f"rm {unit} && systemctl daemon-reload")
    after = await told(site)
    assert (refusal(site, after), after.unit.main_pid) == ("", before.unit.main_pid), "it runs on"
    await site.run("switch", cargo)
    await site.run("verify", cargo)
    assert (await site.sh(f"head -n 1 {unit}")).startswith("# Written by gopub for")


async def test_a_port_of_another_process_is_told_with_its_name(site: Site) -> None:
    name, cargo = f"holder-{secrets.token_hex(2)}", await site.cargo("1")
    await site.run("stage", cargo)
    program = f"{site.home}/releases/{cargo.folder}/bin/service"
    await site.sh(f"systemd-run -q --unit={name} --setenv=ADDR=:{site.port} {program} && sleep 0.5")
    try:
        said = refusal(site, await told(site))
    finally:
        await site.sh(f"systemctl stop {name}")
    assert said.startswith(f"GP455 port {site.port} of the health check is held by another"), said
    assert "(service)" in said
    assert refusal(site, await told(site)) == ""
    await site.release(cargo)
    assert refusal(site, await told(site)) == "", "control: the service's own port is nobody else's"


async def test_drop_ins_that_are_left_of_an_old_unit_are_told(site: Site) -> None:
    folder = f"/etc/systemd/system/{site.instance}.service.d"
    await site.sh(f"mkdir {folder} && printf '[Service]\\nNice=5\\n' > {folder}/nice.conf")
    try:
        assert f"the drop-in {folder}/nice.conf" in refusal(site, await told(site))
        await site.word("adopt")
        assert refusal(site, await told(site)) == ""
        cargo = await site.cargo("1")
        await site.release(cargo)
        assert refusal(site, await told(site)) == ""
    finally:
        await site.sh(f"rm -rf {folder}")


async def test_where_the_folder_is_behind_a_link_a_repeat_restarts_nothing(site: Site) -> None:
    """As with /opt -> /srv/opt: the kernel names the real file of a process."""
    await site.sh(f"mkdir -p /srv/{site.instance} && ln -s /srv/{site.instance} {site.home}")
    cargo = await site.cargo("1")
    await site.release(cargo)
    before = (await site.facts()).unit
    assert before.exe.startswith(f"/srv/{site.instance}/releases/")
    assert not (await site.run("switch", cargo)).changed
    assert (await site.facts()).unit == before
    await site.sh(f"rm -rf /srv/{site.instance}")
