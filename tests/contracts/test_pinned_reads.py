"""The suites of logs and edges again, on enrolled hosts: a real journald, real files and real edges, asked by verbs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.clock import SystemClock
from gopub.health.backends.journald import JournaldSource
from gopub.health.backends.logfile import FileSource
from gopub.process import Call, Executor, Result
from gopub.traffic.backends.nginx.client import NginxRouter, Question
from tests.contracts import test_logs_contract as logs
from tests.contracts import test_router_contract as routers
from tests.contracts.edge_nginx import Backend, LocalEdge, running_edge
from tests.contracts.journal_server import Machine
from tests.contracts.test_logs_contract import LogsGround, machines
from tests.support.enrolled import EnrolledHost
from tests.support.pinned_place import PinnedPlace

__all__ = ["machines"]


class Units:
    """An enrolled host with the logs of several units: each call is for one, as a channel of a rollout is."""

    def __init__(self, place: PinnedPlace, away: Callable[[], bool]) -> None:
        self.place, self.away = place, away

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        return await self.place.exec(argv, stdin)

    async def by_verb(self, call: Call, stdin: bytes = b"") -> Result:
        named = Path(call.arguments["path"]).stem if "path" in call.arguments else call.argv[4]
        instance = named.removesuffix(".service")
        (self.place.host.folder / f"systemd/{instance}.service").write_text("# Written by gopub for x\n")
        asked = replace(self.place, instance=instance, down=self.away())
        return await asked.by_verb(call, stdin)


class TestJournald(logs.TestJournald):
    """By the verb logs."""

    @pytest.fixture
    def ground(self, machines: dict[str, Machine], tmp_path: Path) -> Iterator[LogsGround]:
        clock = SystemClock()
        channels: dict[str, Executor] = {}
        for name, machine in machines.items():
            place = PinnedPlace(EnrolledHost(tmp_path / name), within=machine.inside)
            channels[name] = Units(place, lambda one=machine: one.down)
        yield LogsGround(
            lambda: JournaldSource(warmup=0.0, timeout=logs.WITHIN),
            channels,
            lambda host, unit, text: machines[host].say(unit, text),
            clock.now,
            lambda: clock.sleep(2.1),
            lambda host, away: setattr(machines[host], "down", away),
        )
        for machine in machines.values():
            machine.down = False


class TestLogFile(logs.TestLogFile):
    """By the verb logs, of files below /var/log, which is another folder for each host."""

    @pytest.fixture
    def ground(self, tmp_path: Path) -> LogsGround:
        def opened() -> FileSource:
            return FileSource("/var/log/acme/{app}.log", timeout=logs.WITHIN)

        plain = logs.on_shelves(tmp_path, opened, lambda text, _unit: text)
        channels: dict[str, Executor] = {}
        for name, under in plain.channels.items():
            place = PinnedPlace(EnrolledHost(tmp_path / f"{name}-root"), runs="busybox")
            shelf = under.shelf
            place.host.program.write_text(place.host.text().replace("/var/log", str(shelf.folder)))
            channels[name] = Below(Units(place, lambda one=shelf: one.down), under)
        return replace(plain, channels=channels)


class Below:
    """Moves paths as ``Under`` does."""

    def __init__(self, units: Units, under: logs.Under) -> None:
        self.units, self.under = units, under

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        return await self.units.exec(argv, stdin)

    async def by_verb(self, call: Call, stdin: bytes = b"") -> Result:
        arguments = call.arguments | {"path": self.under.here(call.arguments["path"])}
        return await self.units.by_verb(replace(call, arguments=arguments), stdin)


class PinnedNginxWorld(routers.NginxWorld):
    """The same edges, enrolled: each knows its own socket."""

    def __init__(self, edges: dict[str, LocalEdge], root: Path) -> None:
        super().__init__(edges)
        self.places = {name: enrolled(root / f"{name}-root", edge) for name, edge in edges.items()}

    async def _connect(self, name: str) -> Executor:
        await super()._connect(name)
        return self.places[name]


def enrolled(root: Path, edge: LocalEdge) -> PinnedPlace:
    host = EnrolledHost(root)
    host.enroll(socket=str(edge.socket))
    return PinnedPlace(host)


class TestNginx(routers.TestNginx):
    """By the verbs table-put and table-get."""

    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[PinnedNginxWorld]:
        async with running_edge(tmp_path / "e1") as one, running_edge(tmp_path / "e2") as two:
            yield PinnedNginxWorld({"e1": one, "e2": two}, tmp_path)

    async def test_the_same_question_gets_the_same_answer(
        self, world: PinnedNginxWorld, backends: list[Backend], tmp_path: Path
    ) -> None:
        """Whole and byte for byte, but for what the clock shows; what is refused, too."""
        table = routers.table_of(backends)
        questions = [
            Question("PUT", "/v1/tables/hello", (await world.router.ordered(table))[0], "", "hello", "lab"),
            Question("PUT", "/v1/tables/hello", b"no table", "", "hello", "lab"),
            Question("PUT", "/v1/tables/other", (await world.router.ordered(table))[0], "", "hello", "lab"),
            Question("GET", "/v1/status?upstream=hello", app="hello", env="lab"),
            Question("GET", "/v1/status?upstream=none", app="hello", env="lab"),
            Question("GET", f"/v1/counters/hello?releases={'a' * 12},{'b' * 12}", app="hello", env="lab"),
        ]
        edge = world.edges["e1"]
        past = NginxRouter(("e1",), lambda _name: itself(edge), socket=str(edge.socket))
        for question in questions:
            one = await (await past.reach("e1"))(question)
            two = await (await world.router.reach("e1"))(question)
            assert (one.code, without_time(one.out), one.err) == (two.code, without_time(two.out), two.err)


async def itself(edge: LocalEdge) -> Executor:
    return edge


def without_time(answer: bytes) -> bytes:
    return re.sub(rb'"(now|since)":[0-9.]+', b"", answer)
