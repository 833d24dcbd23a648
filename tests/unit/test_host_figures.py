"""What a host tells of a process in the status call: read on cgroup 2, 1 and none, kept, judged, and told."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gopub.fleet.orders import Record
from gopub.health.observe import Observer
from gopub.health.samples import ProcessHealth
from gopub.health.uses import ProcessUse, began_anew, since, use_of
from gopub.judge.decision import decide
from gopub.judge.processes import say_host
from gopub.judge.replay import judge, record_from_json, record_to_json, replay
from gopub.judge.verdict import Cause, Kind
from gopub.rollout.hosts import health_of
from tests.unit import judge_maker
from tests.unit.test_health_observer import CANARY, CONFIG, STABLE, T0, World

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "gopub/fleet/program"
GOOD: dict[str, Any] = YAML(typ="safe").load(ROOT / "tests/cases/health/decide.yaml")["good"]
MIB = 2**20
V2 = {
    "sys/memory.events": "low 0\nhigh 7\nmax 9\noom 2\noom_kill 3\noom_group_kill 0\n",
    "sys/memory.max": "104857600\n",
    "sys/cpu.stat": "usage_usec 12345678\nuser_usec 1\nnr_periods 200\nnr_throttled 50\nthrottled_usec 9\n",
}
V1 = {
    "sys/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
    "sys/cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
    "sys/cpuacct.usage": "7000000000\n",
}
PROC = {
    "proc/uptime": "5000.25 9000.00\n",
    "proc/7/stat": f"7 (a) 9 ) b) S {' '.join(['1'] * 10)} 30 40 1 1 20 0 12 0 490000 1000 25 1\n",
    "proc/7/status": "Name:\tsvc\nThreads:\t12\nVmRSS:\t   2048 kB\nRssAnon:\t 1024 kB\n",
    "proc/7/limits": "Max cpu time  unlimited unlimited seconds\nMax open files  1024  524288 files\n",
}


def told(
    root: Path, files: dict[str, str], descriptors: int = 3, group: str = "/system.slice/svc.service"
) -> dict[str, str]:
    """The values that the host program's own text makes of these files."""
    for name, text in files.items():
        path = root / (name if name.startswith("proc") else f"sys{group}/{name.removeprefix('sys/')}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    held = root / "proc/7/fd"
    held.mkdir(parents=True)
    for number in range(descriptors):
        (held / str(number)).symlink_to("/dev/null")
    text = "".join((PROGRAM / part).read_text() for part in ("base.sh", "facts.sh"))
    text = text.replace("/sys/fs/cgroup", str(root / "sys")).replace("/proc", str(root / "proc"))
    harness = f"u_pid=7 u_cgroup={group}\nunit_use\n"
    shell = shutil.which("dash") or "/bin/sh"
    ran = subprocess.run((shell, "-c", text + harness), capture_output=True, text=True, check=False)
    assert not ran.stderr, ran.stderr
    return {f"unit.{name}": number for name, number in (line.split(" ") for line in ran.stdout.splitlines())}


def test_all_of_it_is_read_on_cgroup_2(tmp_path: Path) -> None:
    assert use_of(told(tmp_path, PROC | V2)) == ProcessUse(
        age=100.25, oom_kills=3, oom_limit=2, descriptors=3, descriptors_limit=1024, threads=12, resident=2 * MIB,
        memory_limit=100 * MIB, cpu=12.346, periods=200, throttled=50,
    )  # fmt: skip


def test_cgroup_1_does_not_tell_whose_limit_it_was(tmp_path: Path) -> None:
    use = use_of(told(tmp_path, PROC | V1))
    assert use is not None
    assert (use.oom_kills, use.oom_limit, use.memory_limit, use.cpu) == (4, None, None, 7.0)


def test_without_any_cgroup_figures_are_absent_and_cpu_is_the_process_own(tmp_path: Path) -> None:
    use = use_of(told(tmp_path, PROC, group="/"))
    assert use is not None
    assert (use.oom_kills, use.periods, use.throttled, use.cpu) == (None, None, None, 0.7)
    assert use.killed is None, "absent is absent, never 0"


def test_no_limit_is_no_number(tmp_path: Path) -> None:
    limits = "Max open files            unlimited            unlimited            files\n"
    use = use_of(told(tmp_path, PROC | V2 | {"sys/memory.max": "max\n", "proc/7/limits": limits}))
    assert use is not None
    assert (use.memory_limit, use.descriptors_limit, use.full) == (None, None, None)


def test_a_process_that_is_gone_while_it_is_read_says_nothing(tmp_path: Path) -> None:
    found = told(tmp_path, {"proc/uptime": "5000.25 1\n"}, descriptors=0)
    assert use_of(found) is None


def test_an_older_program_says_nothing_and_that_is_kept_as_before() -> None:
    said = Record("h1", "status", 1, "t", 1, True, False, "", "", {"unit.active": "active", "unit.memory": "7"})
    assert health_of("h1", said).use is None
    damaged = {"unit.threads": "1e3", "unit.oom_kills": "-1", "unit.resident": "9" * 40, "unit.cpu_ms": "٣"}
    assert use_of(damaged) is None


def test_what_was_used_between_two_looks() -> None:
    first = ProcessUse(age=10, cpu=4.0, periods=100, throttled=10)
    later = since(first, 2.0, ProcessUse(age=12, cpu=5.0, periods=120, throttled=15))
    assert (later.cores, later.waiting) == (0.5, 0.25)
    again = since(later, 2.0, ProcessUse(age=1, cpu=0.1, periods=5, throttled=0))
    assert (again.cores, again.waiting) == (None, None), "a counter that fell is another process'"
    assert began_anew(later, ProcessUse(age=1))
    assert not began_anew(later, ProcessUse(age=14)), "control"


# --- judged


def seen(ours: list[ProcessUse | None], theirs: list[ProcessUse | None] = [], **case: Any):  # noqa: B006 - never changed
    """A verdict on a rollout against which nothing else stands."""
    given = GOOD | case
    observation = replace(
        judge_maker.observation(given),
        hosts=tuple(ProcessHealth(f"c{i}", use=use) for i, use in enumerate(ours)),
        beside=tuple(ProcessHealth(f"s{i}", use=use) for i, use in enumerate(theirs)),
    )
    return decide(observation, judge_maker.policy(given), judge_maker.history(given))


NONE, ONE = ProcessUse(oom_kills=0, oom_limit=0), ProcessUse(oom_kills=1, oom_limit=1)
HOSTS = ProcessUse(oom_kills=1, oom_limit=0)


@pytest.mark.parametrize(
    ("ours", "theirs", "kind"),
    [
        ([ONE], [NONE], Kind.WITHDRAW),
        ([ONE, NONE, NONE], [NONE], Kind.WITHDRAW),
        ([ONE], [], Kind.WITHDRAW),
        ([ONE], [ONE], Kind.PROMOTE),
        ([replace(ONE, oom_kills=3)], [ONE, ONE], Kind.WITHDRAW),
        ([ONE], [replace(ONE, oom_kills=5, oom_before=5)], Kind.WITHDRAW),
        ([HOSTS], [NONE], Kind.PROMOTE),
        ([HOSTS, HOSTS], [NONE], Kind.WITHDRAW),
        ([replace(HOSTS, oom_kills=2), NONE], [NONE], Kind.PROMOTE),
        ([None], [NONE], Kind.PROMOTE),
        ([NONE], [NONE], Kind.PROMOTE),
    ],
)
def test_kills_for_want_of_memory_that_stable_does_not_have_end_it(ours: Any, theirs: Any, kind: Kind) -> None:
    verdict = seen(ours, theirs)
    assert verdict.kind is kind, verdict
    assert (verdict.cause is Cause.KILLED) == (kind is Kind.WITHDRAW)
    assert verdict.kind is Kind.WITHDRAW or ("killed for want of memory" in verdict.reason) == any(
        use and use.killed for use in ours
    ), "a kill is told even where it decides nothing"


def test_overwhelming_evidence_still_blames_a_release_whose_processes_are_killed() -> None:
    assert seen([ONE], [NONE], e=10001).rule == 3


@pytest.mark.parametrize(
    ("held", "beside", "kind"), [(922, 10, Kind.HOLD), (921, 10, Kind.PROMOTE), (1000, 1000, Kind.PROMOTE)]
)
def test_files_at_their_limit_hold_unless_stable_is_there_too(held: int, beside: int, kind: Kind) -> None:
    ours, theirs = (ProcessUse(descriptors=n, descriptors_limit=1024) for n in (held, beside))
    assert seen([ours], [theirs]).kind is kind
    late = seen([ours], [theirs], now=86400)
    assert late.kind is (Kind.WITHDRAW if kind is Kind.HOLD else Kind.PROMOTE), "held to the deadline, never blamed"
    assert late.cause is (Cause.FULL if kind is Kind.HOLD else Cause.GOOD)


def test_waiting_for_cpu_is_told_where_stable_does_not() -> None:
    ours, theirs = ProcessUse(waiting=0.4), ProcessUse(waiting=0.1)
    assert "waited for CPU at its quota: c0 in 40% of its periods" in seen([ours], [theirs]).reason
    assert "waited for CPU" not in seen([ours], [replace(theirs, waiting=0.5)]).reason


def test_a_host_is_told_in_a_line() -> None:
    use = ProcessUse(age=185, resident=24 * MIB, threads=12, descriptors=40, descriptors_limit=65536, cores=0.31)
    assert say_host(ProcessHealth("h", use=use)) == "up 3m5s, 24 MiB, 12 threads, 40 of 65536 files, 0.31 CPUs"
    assert say_host(ProcessHealth("h")) == ""


# --- from look to look


async def looks(stable_growth: float, *, asked: bool = True) -> Any:
    """A canary whose resident memory grows by 30 MiB a minute, beside stable's; the last observation."""
    world = World()
    config = replace(CONFIG, warmup=0.0)
    observer = Observer(world, None, config)
    await observer.start(T0)
    found = None
    for second in range(2, 122, 2):
        world.serve(STABLE, "s1", 60)
        world.serve(CANARY, "h1", 20)
        at = T0 + second
        ours = ProcessHealth("h1", memory=(50 + 0.5 * second) * MIB, use=ProcessUse(age=second, oom_kills=0))
        theirs = ProcessHealth("s1", memory=(50 + stable_growth / 60 * second) * MIB, use=ProcessUse(oom_kills=4))
        beside = (theirs,) if asked and second % 8 == 0 else ()
        found = await observer.look(at, (ours,), 0, beside=beside)
    return found, observer


def growth(found: Any) -> Any:
    return next(one for one in found.score.dimensions if one.name == "memory_growth")


async def test_memory_of_any_language_is_held_against_stables_own_growth() -> None:
    both, _ = await looks(30.0)
    assert growth(both).value == pytest.approx(100.0, abs=1), "both fill their caches alike"
    alone, _ = await looks(0.0)
    assert growth(alone).value < 1, "control: stable does not grow"
    unasked, _ = await looks(30.0, asked=False)
    assert growth(unasked).value < 1, "control: what nobody asked excuses nothing"


async def test_kills_of_before_are_not_the_rollouts_even_for_the_next_driver() -> None:
    found, observer = await looks(0.0)
    assert [host.use.killed for host in found.beside] == [0]
    later = Observer(World(), None, CONFIG, observer.state())
    one = ProcessHealth("s1", use=ProcessUse(oom_kills=6))
    told = await later.look(T0 + 200, (ProcessHealth("h1"),), 0, beside=(one,))
    assert [host.use.killed for host in told.beside] == [2]


async def test_a_restarted_process_has_no_growth_of_the_one_before() -> None:
    world = World()
    observer = Observer(world, None, CONFIG)
    await observer.start(T0)
    for second in range(2, 60, 2):
        world.serve(STABLE, "s1", 60)
        world.serve(CANARY, "h1", 20)
        age = second if second < 30 else second - 29
        host = ProcessHealth("h1", memory=(10 if second < 30 else 900) * MIB, use=ProcessUse(age=age))
        found = await observer.look(T0 + second, (host,), 0)
    assert growth(found).value == 100, "900 MiB at once are the new process', and it does not grow"


async def test_what_was_told_is_in_the_record_and_an_older_one_has_its_digest() -> None:
    found, _ = await looks(0.0)
    policy, history = judge_maker.policy(GOOD), judge_maker.history(GOOD)
    record = judge(found, policy, history)
    again = record_from_json(record_to_json(record))
    assert replay(again).same
    assert again.observation.hosts[0].use == found.hosts[0].use
    bent = replace(found, beside=())
    assert not replay(replace(again, observation=bent)).same, "control: the digest covers it"
    plain = replace(found, beside=(), hosts=(ProcessHealth("h1"),))
    data: Any = record_to_json(judge(plain, policy, history))
    del data["observation"]["beside"], data["observation"]["hosts"][0]["use"]
    assert replay(record_from_json(data)).same, "a record of before these figures"
