"""Equal failures of hosts are told once, with who, of how many, the cause and what to do; the journal keeps each."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.cli.driving import _line
from gopub.errors import GopubError
from gopub.fleet.orders import Order, Record
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.streams import stream_of
from gopub.plan.model import Outcome, Plan, PlannedStep
from gopub.rollout.back import AGAIN
from gopub.rollout.failing import grouped, say_failures, untold
from gopub.rollout.hosts import unreached
from gopub.views.follow import line_printer
from gopub.views.summary import summary_of
from tests.support.doubles import MemoryHost
from tests.support.rollout_world import NEW, World, drive, in_memory

PROGRAM = Path(__file__).parents[2] / "gopub/fleet/program"
BUSY = "listen tcp :8080: bind: address already in use"
PIDS = {"app1": "12", "app2": "34", "app3": "56"}


def busy(host: str, code: str = "GP443", port: str = "8080", by: str = "nginx") -> ev.HostFailed:
    found = {"taken.port": port, "taken.pid": PIDS[host], "taken.by": by, "result": "exit-code"}
    return ev.HostFailed(host, "verify", code, f"x.service restarted, pid {PIDS[host]}: {BUSY}", values=found)


def ended(host: str, status: str, words: str) -> ev.HostFailed:
    values = {"check.unit": "failed/failed", "result": "exit-code", "exit_status": status}
    return ev.HostFailed(host, "verify", "GP442", words, values=values)


def test_a_port_that_another_holds_is_one_cause_whatever_the_service_died_of() -> None:
    (one,) = grouped([busy("app1"), busy("app2", code="GP442"), busy("app3")])
    assert one.who(5) == "app1, app2, app3 (3 of 5)"
    assert one.says == "port 8080 is in use by nginx (process 12 on app1, 34 on app2, 56 on app3)"
    assert "deploy again" in one.next and "sport = :8080" in one.next


def test_the_advice_names_the_unit_whose_log_is_to_be_read() -> None:
    (one,) = grouped([ended("app1", "1", "no config")], "gopub-hello-lab")
    assert one.next == "read its log there (`journalctl -u gopub-hello-lab`), mend it and release it anew"
    (unknown,) = grouped([ended("app1", "1", "no config")])
    assert "`journalctl -u INSTANCE`" in unknown.next, "control: as in the docs, where nobody knows the plan"


def test_different_failures_stay_separate() -> None:
    failures = [
        busy("app1"),
        busy("app2", port="9090"),
        busy("app3", by="java"),
        ended("app4", "1", "no config"),
        ended("app5", "2", "no config"),
        ev.HostFailed("app6", "stage", "GP440", "no room"),
        ev.HostFailed("app7", "stage", "GP440", "read only"),
        ev.HostFailed("app8", "stage", "GP440", "read only"),
    ]
    assert [one.hosts for one in grouped(failures)] == [
        *((f"app{n}",) for n in range(1, 7)), ("app7", "app8"),
    ]  # fmt: skip


def test_what_a_host_found_counts_and_not_its_words() -> None:
    (one,) = grouped([ended("app1", "2", "12:00:01 panic pid 7"), ended("app2", "2", "12:00:02 panic pid 9")])
    assert one.hosts == ("app1", "app2")
    assert one.says == "12:00:01 panic pid 7 (so on app1; `gopub explain` has what each said)"


def test_of_a_connection_the_kind_of_trouble_counts() -> None:
    def away(host: str, cause: Exception) -> ev.HostFailed:
        error = GopubError("GP413", f"{host} (192.0.2.{host[-1]}) cannot be reached")
        error.__cause__ = cause
        record = unreached(host, error)
        return ev.HostFailed(host, "stage", record.code, record.message, reached=False, values=record.values)

    refused = [away(name, ConnectionRefusedError(111, "refused")) for name in ("app1", "app2")]
    slow = away("app3", TimeoutError())
    assert [one.hosts for one in grouped([*refused, slow])] == [("app1", "app2"), ("app3",)]


def test_one_host_is_told_as_before_and_many_are_counted() -> None:
    alone = ev.HostFailed("app1", "switch", "GP440", "no room")
    assert say_failures([alone], 5) == "app1: GP440 no room"
    many = [replace(alone, host=f"app{n}") for n in range(1, 41)]
    assert say_failures(many, 50) == "app1, app2, app3, app4, app5 and 35 more (40 of 50): GP440 no room"


class Busy(MemoryHost):
    """A host on which another process holds the port."""

    def _proof(self, order: Order) -> Record:
        proof = super()._proof(order)
        if proof.ok or not self.bad:
            return proof
        found = busy(self.name)
        return replace(proof, code=found.code, message=found.message, values={**proof.values, **found.values})


class Occupied(World):
    """Three hosts that get a release at once, and none of which can run it; without anything before."""

    def __init__(self, path: Path, *, first: bool = True) -> None:
        super().__init__(path, 3)
        self.first = first
        have = {} if first else {"folders": {self.old: "0" * 64}, "current": self.old}
        self.machines = {n: Busy(n, f"id-{n}", epoch=7, bad=frozenset({self.new}), **have) for n in self.names}

    def plan(self) -> Plan:
        made = replace(super().plan(), steps=(PlannedStep(0, tuple(self.names), 10000, 1.0),), max_unavailable=3)
        if not self.first:
            return made
        nothing = tuple(replace(host, before="", before_digest="") for host in made.hosts)
        return replace(made, hosts=nothing, stable=None)


def told(entries: list[Entry]) -> tuple[list[str], str]:
    lines: list[str] = []
    printer = line_printer(lines.append)
    for entry in entries:
        printer(entry)
    printer.pause()
    return lines, printer.reason


@pytest.fixture
def occupied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    in_memory(monkeypatch)
    return Occupied(tmp_path)


def test_a_rollout_tells_it_once_and_its_journal_holds_each(occupied: World) -> None:
    state = drive(occupied, "good").state
    entries = occupied.journal.read(stream_of("r1"))
    kept = [entry.event for entry in entries if isinstance(entry.event, ev.HostFailed)]
    assert [(one.host, one.values["taken.pid"]) for one in kept] == list(PIDS.items())
    assert all(BUSY in one.message for one in kept)
    lines, reason = told(entries)
    text = "\n".join([*lines, _line(summary_of(state, ()), reason)])
    assert text.count("port 8080 is in use by nginx") == 1 and text.count("hint: end it there") == 1
    assert BUSY not in text
    cause = "GP443 port 8080 is in use by nginx (process 12 on app1, 34 on app2, 56 on app3)"
    assert f"app1, app2, app3 (3 of 3): verify failed: {cause}" in text
    assert state.closed is not None
    assert state.closed.reason == f"app1, app2, app3 (3 of 3): {cause}; {AGAIN}"
    assert untold(state.closed.reason, reason) == AGAIN
    back = [line.partition("  ")[2] for line in lines if "going back" in line or " is stopped" in line]
    assert back == [
        "going back for that",
        *(f"app{n} is stopped: there was nothing before ({n} of 3)" for n in (1, 2, 3)),
    ]


@pytest.mark.parametrize(
    ("reason", "left"), [("a: GP440 no", ""), ("a: GP440 no; mend it", "mend it"), ("a: GP440 no room",) * 2, ("",) * 2]
)
def test_of_a_reason_only_what_was_told_is_left_out(reason: str, left: str) -> None:
    assert untold(reason, "a: GP440 no") == left
    assert untold(reason, "") == reason


def test_control_told_one_by_one_it_comes_for_each_host(occupied: World) -> None:
    drive(occupied, "good")
    lines: list[str] = []
    printer = line_printer(lines.append)
    for entry in occupied.journal.read(stream_of("r1")):
        printer(entry)
        printer.pause()
    assert sum("failed: GP443 port 8080 is in use" in line for line in lines) == 3


def test_a_first_release_that_failed_goes_back_on_nothing(occupied: World) -> None:
    state = drive(occupied, "good").state
    lines, reason = told(occupied.journal.read(stream_of("r1")))
    summary = summary_of(state, ())
    assert summary["left"] == ["app1", "app2", "app3"]
    said = _line(summary, reason).splitlines()
    left = "there was nothing before: app1, app2, app3 hold a failed release, which is stopped"
    assert said[1] == f"{left}; mend what failed, then deploy again"
    assert not any("nothing" in line and "back on" in line for line in lines)
    assert not [name for name, runs in occupied.running().items() if runs]


def test_the_last_line_names_what_could_not_be_confirmed(occupied: World) -> None:
    summary = {**summary_of(drive(occupied, "good").state, ()), "left": []}
    owed = _line({**summary, "owed": ["app1"], "owed_edges": ["edge1"]}).splitlines()
    assert owed[1:] == ["could not be confirmed, and owed: app1, edge edge1; `gopub recover` mends that when reachable"]
    assert _line(summary).splitlines() == owed[:1], "control: nothing is owed"


def test_control_with_something_before_nothing_of_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory(monkeypatch)
    state = drive(Occupied(tmp_path, first=False), "good").state
    summary = summary_of(state, ())
    assert summary["left"] == [] and "\n" not in _line(summary)


def test_a_port_that_another_process_holds_is_nobodys_fault_and_the_release_stays_allowed(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    world = Occupied(tmp_path, first=False)
    closed = drive(world, "good").state.closed
    assert closed and closed.outcome is Outcome.WITHDRAWN
    assert "port 8080 is in use by nginx" in closed.reason
    assert set(world.running().values()) == {world.old}
    assert (world.env().quarantine, world.env().automatic_rollbacks) == (frozenset(), 0)


def test_control_the_same_failure_with_the_port_free_is_the_releases(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    world = Occupied(tmp_path, first=False)
    old = {"folders": {world.old: "0" * 64}, "current": world.old}
    world.machines = {n: MemoryHost(n, f"id-{n}", epoch=7, bad=frozenset({world.new}), **old) for n in world.names}
    closed = drive(world, "good").state.closed
    assert closed and closed.outcome is Outcome.ROLLED_BACK
    assert world.env().quarantine == {NEW}


TCP = {"any": "00000000", "any of IPv6": "0" * 32, "loopback": "0100007F", "loopback of IPv6": "0" * 24 + "01000000"}


@pytest.mark.parametrize("at", [*TCP, "10.0.0.5 alone"])
def test_who_listens_on_another_address_alone_is_not_in_the_way(at: str) -> None:
    line = f"   0: {TCP.get(at, '0500000A')}:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 1 0"
    text = (PROGRAM / "verify.sh").read_text()
    text += f'\ncat() {{ echo \'{line}\'; }}\nholder_of() {{ echo "$1"; }}\nvalue() {{ echo "$1"; }}\n'
    text += "u_pid=1 u_cgroup='' o_arg_port=8080 o_arg_traffic_port='' o_instance=x\nlistener 8080\nholders_of_ports\n"
    ran = subprocess.run((shutil.which("dash") or "sh", "-c", text), capture_output=True, text=True, check=False)
    anybody, *found = ran.stdout.split()
    assert anybody == "4711", "control: it listens"
    assert ("taken.port" in found) is (at in TCP)


@pytest.mark.parametrize("active", [True, False])
def test_systemd_holds_a_port_for_a_unit_that_it_starts_by_its_socket(active: bool) -> None:
    text = (PROGRAM / "verify.sh").read_text()
    text += f"\nsystemctl() {{ [ \"$*\" = 'is-active --quiet x.socket' ] && {str(active).lower()}; }}\n"
    text += "socket=x.socket\nis_the_socket 1 && echo yes\nis_the_socket 2 && echo no\n"
    ran = subprocess.run((shutil.which("dash") or "sh", "-c", text), capture_output=True, text=True, check=False)
    assert ran.stdout == ("yes\n" if active else "")


@pytest.mark.parametrize("whose", ["another's", "the unit's"])
def test_a_host_names_who_holds_the_port(whose: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ours = os.getpid() if whose == "the unit's" else 1
        text = "".join((PROGRAM / part).read_text() for part in ("base.sh", "order.sh", "verify.sh"))
        text += f"\nvalues='' u_pid={ours} u_cgroup='' o_arg_port={port} o_arg_traffic_port=''\n"
        text += 'holders_of_ports\necho "$values"\n'
        ran = subprocess.run((shutil.which("dash") or "sh", "-c", text), capture_output=True, text=True, check=False)
    assert ran.stderr == "", "control: it was called"
    found = dict(line.split("=", 1) for line in ran.stdout.split("\n") if "=" in line)
    if whose == "the unit's":
        assert found == {}
    else:
        comm = Path("/proc/self/comm").read_text().strip()
        assert found == {"value.taken.port": str(port), "value.taken.pid": str(os.getpid()), "value.taken.by": comm}


@pytest.mark.parametrize(("times", "said"), [(1, "once"), (3, "3 times")])
def test_a_host_says_how_often_its_service_restarted(times: int, said: str) -> None:
    text = "".join((PROGRAM / part).read_text() for part in ("base.sh", "order.sh", "verify.sh"))
    text += f"\nlast_end() {{ echo end; }}\nlast_words() {{ echo no; }}\nbad='' s_restarts=2 u_restarts={2 + times}\n"
    text += 'unit=x.service u_active=active u_sub=running\nlook_unit\necho "$bad $why"\n'
    ran = subprocess.run((shutil.which("dash") or "sh", "-c", text), capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == (f"GP443 x.service restarted {said} by itself (end): no\n", "")
