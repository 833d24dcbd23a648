"""10 MiB staged by gopub on 50 SSH sessions against a plain asyncssh stream, as ratios of one run.

    PYTHONPATH=. python tests/bench/bench_stage.py [--sessions 50] [--hosts 8] [--mib 10] [--rounds 3]

Plain is what anybody would write: connect, `cat > file; sha256sum file`, compare; with gopub's ciphers, so that the
ratio shows the work and not the algorithm. Gopub connects, sends the host program, the order and the same bytes; the
host checks, unpacks, checks again, seals and syncs. Both go to the same sshds of a lab in turn, and medians are
compared. Hosts share this machine's cores, so wall time holds their work, too; the client's CPU is the steadier figure.
Facts, which gopub asks before any rollout and not once more for staging, are asked before the clock starts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import asyncssh

from gopub.canon import sha256
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.facts import Fence, HostFacts, Wanted, order
from gopub.fleet.host import Host
from gopub.fleet.inventory import load_inventory
from gopub.fleet.orders import Verb
from gopub.fleet.templates import render_release
from gopub.fleet.unit import Service
from gopub.lab.lab import Lab, sweep, take_down
from tests.e2e.host_kit import entry, tar_gz

APP = "bench"
LIMIT = 600.0
CIPHERS = "aes128-gcm@openssh.com"


@dataclass(frozen=True)
class Cost:
    """One round: seconds until the last session had its answer, and seconds of this process's CPU."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Session:
    """One instance on one host; a host of the lab carries many, each with a connection of its own."""

    host: Host
    facts: HostFacts
    instance: str


@dataclass(frozen=True)
class Cargo:
    """What is carried to every session."""

    binary: bytes
    archive: bytes

    @classmethod
    def make(cls, mib: int) -> Cargo:
        """Random bytes, which no compression makes smaller: the archive is as large as the binary."""
        binary = secrets.token_bytes(mib << 20)
        return cls(binary, tar_gz([(entry(f"bin/{APP}"), binary)]))


def sessions_on(lab: Lab, count: int) -> tuple[Session, ...]:
    """Spread them over the hosts, so that each sshd sees fewer at once than its MaxStartups."""
    hosts = load_inventory(lab.inventory).hosts
    apps = [host for host in hosts if host.name in {one.name for one in lab.hosts}]
    made = []
    for n in range(count):
        host = apps[n % len(apps)]
        machine = (lab.root(host.name) / "etc/machine-id").read_text().strip()
        name = f"{host.name}-{n}"
        made.append(Session(replace(host, name=name), HostFacts(name, machine), f"bench-{n}"))
    return tuple(made)


async def plain(session: Session, archive: bytes, digest: str) -> None:
    """Connect, stream, compare."""
    path = f"/opt/{session.instance}.plain"
    ssh = session.host.ssh
    async with asyncssh.connect(
        session.host.address,
        username=session.host.user or ssh.user or "root",
        client_keys=[str(ssh.key)],
        known_hosts=str(ssh.known_hosts),
        encryption_algs=CIPHERS,
        config=None,
        agent_path=None,
    ) as connection:
        done = await connection.run(f"cat > {path}; sha256sum {path}", input=archive, encoding=None)
    if not isinstance(done.stdout, bytes) or done.stdout[:64].decode() != digest:
        raise SystemExit(f"{session.host.name} has other bytes: {done.stdout!r} {done.stderr!r}")


def wanted(session: Session, cargo: Cargo) -> tuple[Wanted, bytes]:
    """What gopub is to bring to the session, and the rendered files that go with it."""
    rendered = render_release({}, None, Service(instance=session.instance, app=APP), {})
    files = rendered.payload()
    sizes = {"files_size": files, "archive_size": cargo.archive, "binary_size": cargo.binary}
    arguments: dict[Verb, dict[str, str]] = {"stage": {name: str(len(data)) for name, data in sizes.items()}}
    digests = {"archive": sha256(cargo.archive), "binary": sha256(cargo.binary), "files": sha256(files)}
    release = sha256(cargo.archive)
    return Wanted(APP, "bench", session.instance, release, rendered.render_id, digests, arguments), files


async def plain_round(sessions: Sequence[Session], cargo: Cargo) -> Cost:
    """All sessions at once by hand."""
    digest = sha256(cargo.archive)
    return await timed(lambda session: plain(session, cargo.archive, digest), sessions)


async def gopub_round(sessions: Sequence[Session], cargo: Cargo) -> Cost:
    """All sessions at once by gopub; what is carried is prepared before the clock starts."""
    goals = {session.instance: wanted(session, cargo) for session in sessions}
    async with SshFleet() as fleet:

        async def stage(session: Session) -> None:
            goal, files = goals[session.instance]
            channel = await fleet.channel(session.host)
            told = order(session.facts, goal, "stage", Fence(1, "f" * 32))
            record = await channel.run(told, (files, cargo.archive), timeout=LIMIT)
            if not (record.ok and record.changed):
                raise SystemExit(f"{session.host.name} did not stage: {record.code} {record.message}")

        return await timed(stage, sessions)


async def timed(work: Callable[[Session], Awaitable[None]], sessions: Sequence[Session]) -> Cost:
    """What it costs to do it on all sessions at once."""
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work(session) for session in sessions))
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


async def clean(lab: Lab) -> None:
    """Make the hosts what they were, and let the disk come to rest before the next round."""
    script = f"rm -rf /opt/{APP}-*; sync"
    await asyncio.gather(*(lab.exec(host.name, ("sh", "-c", script), limit=LIMIT) for host in lab.hosts))


async def bench(count: int, hosts: int, mib: int, rounds: int) -> dict[str, list[Cost]]:
    """Rounds of plain and gopub, each going first in turn, on a lab of their own."""
    ways = {"plain": plain_round, "gopub": gopub_round}
    found: dict[str, list[Cost]] = {name: [] for name in ways}
    name = f"bench{os.getpid()}"
    await sweep()
    try:
        lab = await Lab.up(name, hosts=hosts, edges=0, owned=True)
        sessions, cargo = sessions_on(lab, count), Cargo.make(mib)
        for at in range(rounds):
            for way in list(ways)[:: 1 if at % 2 == 0 else -1]:
                found[way].append(await ways[way](sessions, cargo))
                await clean(lab)
    finally:
        await take_down(name)
    return found


def main() -> None:
    """Print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--hosts", type=int, default=8)
    parser.add_argument("--mib", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found = asyncio.run(bench(options.sessions, options.hosts, options.mib, options.rounds))
    wall = {name: statistics.median(cost.wall for cost in costs) for name, costs in found.items()}
    cpu = {name: statistics.median(cost.cpu for cost in costs) for name, costs in found.items()}
    print(
        f"{options.mib} MiB on {options.sessions} sessions to {options.hosts} sshds, medians of {options.rounds} rounds"
    )
    for name, costs in found.items():
        each = " ".join(f"{cost.wall:.1f}" for cost in costs)
        print(f"{name:6} {wall[name]:6.2f} s wall ({each})   {cpu[name]:5.2f} s CPU of the client")
    print(f"wall       gopub/plain {wall['gopub'] / wall['plain']:.2f}")
    print(f"client CPU gopub/plain {cpu['gopub'] / cpu['plain']:.2f}")


if __name__ == "__main__":
    main()
