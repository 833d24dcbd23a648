"""Hooks on a host: once per rollout, as the service's user, found and settled wherever the program was killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from gopub.fleet import program
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.facts import Fence
from gopub.fleet.orders import Order, Record
from tests.support.chance import seed as chance_seed

from .host_kit import PATIENCE, Cargo, Site, open_site
from .test_host_program_kills import STEP_BY_STEP, moments

pytestmark = pytest.mark.e2e


@pytest.fixture
async def fleet() -> AsyncIterator[SshFleet]:
    async with SshFleet() as opened:
        yield opened


@pytest.fixture
async def site(spare_lab: Any, fleet: SshFleet) -> AsyncIterator[Site]:
    made = await open_site(spare_lab, fleet, spare_lab.hosts[0].name)
    yield made
    await made.sh(
        f"systemctl stop 'gopub-{made.instance}-hook-*'; rm -rf /var/lib/private/{made.instance}", check=False
    )
    await made.close()


@pytest.fixture
async def staged(site: Site) -> Cargo:
    cargo = await site.cargo("1", env={"WHERE": "db 100% $HOME"})
    await site.run("stage", cargo)
    return cargo


async def hook_order(
    site: Site, cargo: Cargo, words: Sequence[str], *, name: str = "expand", run: str = "r1.run", again: str = "",
    within: str = "60",
) -> Order:  # fmt: skip
    made = await site.order("hook", cargo)
    arguments = {"hook": name, "id": run, "within": within, "again": again, "stop_timeout": within}
    more = {f"word.{n}": word for n, word in enumerate(words)}
    return replace(made, arguments={**arguments, **more})


async def hook(site: Site, cargo: Cargo, words: Sequence[str], **said: str) -> Record:
    return await site.channel.run(await hook_order(site, cargo, words, **said), timeout=300)


def leaving(site: Site, line: str) -> tuple[str, ...]:
    """A hook that leaves a line in the service's own folder."""
    return ("/bin/sh", "-c", f"echo {line} >> /var/lib/{site.instance}/ran")


async def ran(site: Site) -> list[str]:
    return (await site.sh(f"cat /var/lib/private/{site.instance}/ran 2>/dev/null", check=False)).split()


async def test_a_hook_runs_once_in_a_rollout_and_again_in_the_next(site: Site, staged: Cargo) -> None:
    assert (await hook(site, staged, leaving(site, "one"))).ok
    other = replace(site, fence=Fence(site.fence.epoch + 1, "f" * 32))  # a driver that took over asks again
    record = await hook(other, staged, leaving(site, "one"))
    assert (record.ok, record.changed, record.message) == (True, False, "expand ran before, and ended well")
    assert await ran(site) == ["one"]
    assert (await hook(other, staged, leaving(site, "undo"), run="r1.undo")).ok
    assert (await hook(other, staged, leaving(site, "two"), run="r2.run")).ok
    assert await ran(site) == ["one", "undo", "two"]


async def test_it_runs_as_the_services_user_with_its_variables_in_its_release(site: Site, staged: Cargo) -> None:
    words = (
        "/bin/sh",
        "-c",
        f'printf "%s|" "$(id -u)" "$WHERE" "$PWD" "$0" "$1" > /var/lib/{site.instance}/seen',
        "a b",
        "$HOME %n",
    )
    record = await hook(site, staged, words)
    assert record.ok, record
    seen = await site.sh(f"cat /var/lib/private/{site.instance}/seen")
    owner = await site.sh(f"stat -c %u /var/lib/private/{site.instance}")
    assert owner != "0"
    assert seen == f"{owner}|db 100% $HOME|{site.home}/releases/{staged.folder}|a b|$HOME %n|"


async def test_a_program_of_the_release_goes_before_the_machines(site: Site, staged: Cargo) -> None:
    record = await hook(site, staged, ("service",), within="2")  # it serves, and so never ends by itself
    assert (record.ok, record.code) == (False, "GP588")
    assert "ended with timeout" in record.message


async def test_a_hook_that_fails_says_why_and_is_not_run_again(site: Site, staged: Cargo) -> None:
    words = ("/bin/sh", "-c", f"echo no such column; echo x >> /var/lib/{site.instance}/ran; exit 3")
    record = await hook(site, staged, words)
    assert (record.ok, record.code) == (False, "GP588")
    assert "exit status 3" in record.message
    assert "no such column" in record.message
    assert (await hook(site, staged, words)).code == "GP588"
    assert await ran(site) == ["x"]
    assert (await hook(site, staged, words, again="1")).code == "GP588"
    assert await ran(site) == ["x", "x"], "a team that says that it may be run again means it"


async def test_one_that_was_ended_by_a_signal_did_not_end_well(site: Site, staged: Cargo) -> None:
    """A shutdown sends TERM to what runs, and systemd calls that a good end."""
    words = ("/bin/sh", "-c", f"echo half >> /var/lib/{site.instance}/ran; kill -TERM $$")
    for _ in range(2):
        record = await hook(site, staged, words)
        assert (record.ok, record.code) == (False, "GP588"), record
        assert "was ended by signal TERM" in record.message
    assert await ran(site) == ["half"]
    assert (await hook(site, staged, leaving(site, "whole"), again="1")).ok, "control: one that may run again ends well"


async def test_whoever_goes_back_waits_for_no_hook_and_its_undo_ends_it(site: Site, staged: Cargo) -> None:
    words = ("/bin/sh", "-c", f"echo begun >> /var/lib/{site.instance}/ran; sleep 3000")
    asked = asyncio.create_task(hook(site, staged, words, within="4000"))
    for _ in range(PATIENCE):
        if await ran(site) == ["begun"]:
            break
        await asyncio.sleep(0.1)
    other = replace(site, fence=Fence(site.fence.epoch + 1, "e" * 32))
    made = await other.order("switch", staged)
    record = await other.channel.run(replace(made, arguments={**made.arguments, "lock_wait": "5"}), timeout=300)
    assert record.ok, record
    assert not asked.done(), "it goes on beside that"
    assert (await hook(other, staged, leaving(site, "again"), run="r2.run")).code == "GP590", "another rollout's"
    assert (await hook(other, staged, leaving(site, "undone"), run="r1.undo")).ok
    assert await ran(site) == ["begun", "undone"]
    assert (await asked).ok is False
    assert (await hook(other, staged, leaving(site, "undone"), run="r1.undo")).changed is False


async def test_it_runs_as_whom_a_unit_of_the_teams_own_says_and_takes_its_files_from_nobody(site: Site) -> None:
    own = (
        f"[Service]\nUser=daemon\nStateDirectory={site.instance}\nEnvironment=ADDR=:{site.port} \\\n  WHERE=db\n"
        f"ExecStart=/opt/{site.instance}/current/bin/service\n[Install]\nWantedBy=multi-user.target\n"
    )
    cargo = await site.cargo("1", unit=own)
    await site.release(cargo)
    try:
        record = await hook(site, cargo, ("/bin/sh", "-c", f'echo "$(id -un) $WHERE" > /var/lib/{site.instance}/seen'))
        assert record.ok, record
        stands = await site.sh(
            f"cd /var/lib; cat {site.instance}/seen; [ ! -L {site.instance} ] && stat -c %U {site.instance}"
        )
        assert stands.split() == ["daemon", "db", "daemon"], "as the service left it"
    finally:
        await site.sh(f"rm -rf /var/lib/{site.instance}")


async def test_of_an_instance_whose_name_is_too_long_for_a_user_it_is_the_services_dynamic_one(site: Site) -> None:
    long = replace(site, instance=f"{site.instance}-{'x' * 31}")
    try:
        cargo = await long.cargo("1")
        await long.release(cargo)
        record = await hook(long, cargo, ("/bin/sh", "-c", f"id -u > /var/lib/{long.instance}/seen"))
        assert record.ok, record
        runs = f"ps -o uid= -p $(systemctl show {long.instance} -p MainPID --value)"
        seen = (await site.sh(f"cat /var/lib/private/{long.instance}/seen; {runs}")).split()
        assert seen[0] == seen[1] != "0"
    finally:
        await long.close()
        await site.sh(f"rm -rf /var/lib/{long.instance} /var/lib/private/{long.instance}")


async def test_before_a_first_release_side_by_side_it_has_the_variables_of_a_slot(site: Site) -> None:
    cargo = await site.cargo(
        "1", mode="side-by-side", ports=(site.port, site.port - 10_000), env={"ADDR": ":{{ port }}", "WHERE": "db"}
    )
    await site.run("stage", cargo.with_arguments("stage", ports=f"{site.port},{site.port - 10_000}"))
    words = ("/bin/sh", "-c", f'echo "$WHERE" > /var/lib/{site.instance}/seen')
    assert (await hook(site, cargo, words)).ok
    assert (await site.sh(f"cat /var/lib/private/{site.instance}/seen")) == "db"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"hook": "../../x"}, "GP430"),
        ({"hook": "A"}, "GP430"),
        ({"id": "r1 x"}, "GP430"),
        ({"id": ""}, "GP430"),
        ({"word.0": "", "word.1": "", "word.2": ""}, "GP430"),
        ({"within": "08"}, "GP430"),
    ],
)
async def test_an_order_for_what_is_no_hook_changes_nothing(site: Site, staged: Cargo, change: dict, code: str) -> None:
    made = await hook_order(site, staged, leaving(site, "one"))
    record = await site.channel.run(replace(made, arguments={**made.arguments, **change}), timeout=60)
    assert record.code == code, record
    assert await ran(site) == []


async def test_a_release_that_was_altered_or_is_another_runs_no_hook(site: Site, staged: Cargo) -> None:
    made = await hook_order(site, staged, leaving(site, "one"))
    assert (await site.channel.run(replace(made, digests={"binary": "0" * 64}))).code == "GP425"
    await site.sh(f"echo '# more' >> {site.home}/releases/{staged.folder}/{site.instance}.service")
    assert (await hook(site, staged, leaving(site, "one"))).code == "GP429"
    assert await ran(site) == []


async def test_killed_at_any_command_it_has_run_once_when_it_is_asked_again(site: Site, staged: Cargo) -> None:
    dice = random.Random(chance_seed())
    counting = await hook_order(site, staged, leaving(site, "counted"), run="count.run")
    steps = await steps_of(site, counting)
    assert steps > 80
    done, died = ["counted"], 0
    for step in moments(dice, steps, 14):
        order = await hook_order(site, staged, leaving(site, str(step)), run=f"r{step}.run")
        died += await killed(site, order, step)
        record = await site.channel.run(order, timeout=300)
        assert record.ok, (step, record)
        done.append(str(step))
        assert await ran(site) == done, f"killed at {step}, it did not run once"
    assert died >= 10, "control: it has to die nearly every time"


async def test_one_that_goes_on_alone_is_waited_for_and_not_begun_again(site: Site, staged: Cargo) -> None:
    words = (
        "/bin/sh",
        "-c",
        f"cd /var/lib/{site.instance}; echo begun >> ran; while [ ! -e go-{site.instance} ]; do sleep 0.1; done",
    )
    order = await hook_order(site, staged, words)
    asked = asyncio.create_task(site.channel.run(order, timeout=300))
    for _ in range(PATIENCE):
        if await ran(site) == ["begun"]:
            break
        await asyncio.sleep(0.1)
    job = f"gopub-{site.instance}-{order.epoch}-{order.n}-{order.token[:12]}.service"
    await site.sh(f"systemctl kill -s KILL {job}")
    await asyncio.sleep(0.5)  # the channel asks again by itself, and the host finds that it goes on
    await site.sh(f"touch /var/lib/private/{site.instance}/go-{site.instance}")
    record = await asked
    assert record.ok, record
    assert await ran(site) == ["begun"]


async def test_one_whose_end_nobody_saw_is_left_to_a_person(site: Site, staged: Cargo) -> None:
    assert (await hook(site, staged, leaving(site, "one"))).ok
    mark = f"{site.home}/.gopub/hooks/expand"
    await site.sh(f"sed -i s/stands=done/stands=began/ {mark}; rm {mark}.end")  # as a power cut leaves it
    record = await hook(site, staged, leaving(site, "one"))
    assert (record.ok, record.code) == (False, "GP589")
    assert await ran(site) == ["one"]
    assert (await hook(site, staged, leaving(site, "one"), again="1")).ok
    assert await ran(site) == ["one", "one"]


async def steps_of(site: Site, order: Order) -> int:
    counting = STEP_BY_STEP + "trap 'echo $gopub_steps >&2' EXIT\n"
    done = await _as_job(site, order, counting, 0)
    return int(done.err.split()[-1])


async def killed(site: Site, order: Order, step: int) -> bool:
    done = await _as_job(site, order, STEP_BY_STEP, step)
    return done.code != 0


async def _as_job(site: Site, order: Order, before: str, step: int) -> Any:
    place = f"{site.home}/.gopub/killed.order"
    await site.lab.exec(site.name, ("sh", "-c", f"cat > {place}"), stdin=order.lines())
    text = before + program.text()
    argv = [
        "env",
        f"GOPUB_KILL_AT={step}",
        "bash",
        "-c",
        text,
        "gopub",
        "hook",
        place,
        f"{site.home}/.gopub/killed.answer",
    ]
    return await site.lab.exec(site.name, argv, stdin=b"", check=False)
