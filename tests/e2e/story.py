"""Given, when, then: a rollout on the lab told as a sentence.

    await (
        a_fleet(ground, "main")
        .given_stable("1.0.0")
        .when_releasing("1.1.0")
        .then_it_was("promoted")
        .then_every_host_runs("1.1.0")
        .then_no_request_was_lost()
    )

What hosts run is read from /proc on each of them, what edges send from the table on their disks, what the journal
believes from the journal: none of it from the driver.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import pytest

from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.reading import read_env_state, read_state
from gopub.journal.state import EnvState, State
from gopub.journal.store import Journal, open_journal
from gopub.journal.streams import env_stream
from gopub.lab.traffic import Load, Traffic
from gopub.usecases.ask import ask_promote
from tests.e2e.story_ground import Driver, Ground, until

P = ParamSpec("P")
STORY = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),  # drivers outlive a test
]
HELLO = ("GET /", "GET /", "GET /work", "POST /")
PAIR = {"1.0.0": "1.1.0", "1.1.0": "1.0.0"}
"""Two good versions of which one can always follow the other."""
_LOOK_AT_HOST = """
unit={unit}.service
for slot in a b; do # of two slots the one whose unit is that of the release that serves
    its={unit}@$slot.service
    ! grep -qsF "gopub for $(readlink /opt/{unit}/current | sed s,.*/,,);" /etc/systemd/system/$its || unit=$its
done
pid=$(systemctl show -p MainPID --value $unit)
echo "$(readlink /opt/{unit}/current | sed s,.*/,,) $(sha256sum /proc/$pid/exe 2>/dev/null | cut -d' ' -f1)"
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a host runs: the folder that ``current`` names, and the sha256 of the process that serves."""

    current: str
    digest: str


def told(
    work: Callable[Concatenate[Story, P], Coroutine[Any, Any, None]],
) -> Callable[Concatenate[Story, P], Story]:
    """Make a coroutine method a part of the sentence: it is done when the story is awaited."""

    @wraps(work)
    def later(story: Story, *args: P.args, **kwargs: P.kwargs) -> Story:
        story._script.append(lambda: work(story, *args, **kwargs))
        return story

    return later


class Story:
    """One environment of the ground and what happens in it."""

    def __init__(self, ground: Ground, env: str) -> None:
        """Tell ``given``, ``when`` and ``then``; await it to make it happen."""
        self.ground, self.env = ground, ground.envs[env]
        self.result: dict[str, Any] = {}
        self.error: dict[str, Any] = {}
        self.appends = 0
        self.counts: Any = None
        self.stable = self.other = ""
        self._script: list[Callable[[], Coroutine[Any, Any, None]]] = []

    def __await__(self) -> Generator[Any, None, Story]:
        """Make it happen."""
        return self._play().__await__()

    async def _play(self) -> Story:
        script, self._script = self._script, []
        for part in script:
            await part()
        return self

    # --- given

    @told
    async def given_releases(self, *versions: str, **behaviour: Any) -> None:
        """These versions are published; ``behaviour`` is what is wrong with them."""
        for version in versions:
            await self.ground.release(self.env.app, version, behaviour)

    @told
    async def given_stable(self, version: str) -> None:
        """This version is stable on every host, whatever was before."""
        await self.ground.release(self.env.app, version)
        if self.known().stable_version == version and not self.known().active:
            return
        self.allow(version)
        await self.release(version, hurry=True)
        assert self.result.get("outcome") in ("promoted", "nothing to do"), (self.result, self.error)

    @told
    async def given_a_stable_one(self) -> None:
        """1.0.0 or 1.1.0 is stable on every host, whichever was; the ``other`` one is published, too."""
        if self.known().stable_version != "1.1.0":
            await self.given_stable("1.0.0")
        for version in PAIR:
            await self.ground.release(self.env.app, version)
        self.stable = self.known().stable_version
        self.other = PAIR[self.stable]
        self.allow(self.other)

    # --- when

    @told
    async def when_releasing(self, version: str, **how: Any) -> None:
        """Roll it out to the end; see ``release``."""
        await self.release(version, **how)

    @told
    async def when(self, happens: Callable[[Story], Coroutine[Any, Any, Any]]) -> None:
        """Anything else."""
        await happens(self)

    # --- then

    @told
    async def then_it_was(self, outcome: str, *rules: int) -> None:
        """How it ended, and by which rule of the decision."""
        assert self.result.get("outcome") == outcome, (self.result, self.error)
        assert not rules or self.result["rule"] in rules, self.result

    @told
    async def then_it_was_refused(self, code: str, exit_code: int) -> None:
        """It was not begun; the error says why."""
        assert (self.error.get("code"), self.error.get("exit")) == (code, exit_code), (self.result, self.error)

    @told
    async def then_every_host_runs(self, version: str) -> None:
        """The process on every host is exactly that release's signed binary, and everybody agrees."""
        await self.whole({version})
        assert self.known().stable_version == version
        await self.agreed()

    @told
    async def then_no_request_was_lost(self) -> None:
        """A client that never retries got an answer to each request, and none was an error."""
        assert self.counts.sent > 100
        assert self.counts.lost == 0, self.counts.lost_by
        assert dict(self.counts.classes) == {"2xx": self.counts.sent}

    @told
    async def then(self, holds: Callable[[Story], Any]) -> None:
        """Anything else; a coroutine is awaited."""
        found = holds(self)
        if asyncio.iscoroutine(found):
            await found

    # --- doing

    async def release(
        self, version: str, *, rate: float = 80, mix: tuple[str, ...] = (), hurry: bool = False, **more: Any
    ) -> None:
        """Run the flow ``rollout`` under traffic; ``hurry`` promotes each step as soon as it is reached."""
        driver = self.ground.engine
        order = self.begin(driver, version, **more)
        async with self.traffic(rate, mix):
            hurrying = asyncio.create_task(self._hurry()) if hurry else None
            try:
                self.take(await driver.answer(order))
            finally:
                if hurrying:
                    hurrying.cancel()
                    await asyncio.gather(hurrying, return_exceptions=True)

    async def reached(self, step: int = 0) -> None:
        """Wait until the newest rollout bakes that step."""

        async def bakes() -> bool:
            active = self.known().active
            return bool(active) and step in self.state(active).reached

        try:
            await until(bakes, f"step {step + 1} bakes", self.ground.engine.log)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await self.ground.doings()}") from None

    def begin(self, driver: Driver, version: str, **more: Any) -> int:
        """Give a driver the order."""
        parameters = {"app": self.env.app, "env": self.env.name, "version": version,
                      "project": str(self.ground.repository(self.env.app)), "actor": "story"}  # fmt: skip
        return driver.order("rollout", parameters | more.pop("parameters", {}), self.settings(), **more)

    def allow(self, version: str) -> None:
        """Take a release out of quarantine, as a person would."""
        known, release = self.known(), self.release_id(version)
        if release in known.quarantine:
            cleared = [ev.QuarantineCleared(release, "the story goes on")]
            self.journal().append(env_stream(self.env.app, self.env.name), known.version, cleared, actor="story")

    async def run(self, flow: str, **more: Any) -> Any:
        """Run a flow on this env to its end; gives what it returned."""
        parameters = {"app": self.env.app, "env": self.env.name} | more.pop("parameters", {})
        answer = await self.ground.flow(self.env.name, flow, parameters, **more)
        self.take(answer)
        return answer.get("result")

    async def gopub(self, *words: str, **settings: str) -> Any:
        """The command line in this env's service."""
        return await self.ground.cli(self.env.name, *words, **settings)

    def take(self, answer: Mapping[str, Any]) -> None:
        """Keep an answer."""
        found = answer.get("result")
        self.result = found if isinstance(found, dict) else (found[-1] if found else {})
        self.error = answer.get("error") or {}
        self.appends = answer.get("appends", 0)
        said = self.result.get("outcome") or self.error.get("text")
        print(f"{self.env.name}: {self.result.get('version')} {said} in {answer.get('seconds', 0):.1f}s")

    @asynccontextmanager
    async def traffic(self, rate: float, mix: tuple[str, ...] = ()) -> Any:
        """Requests to this env's upstream as long as the block lasts; none where nothing serves yet."""
        if rate <= 0 or not self.known().stable:
            yield None
            return
        mix = mix or (HELLO if self.env.app == "hello" else ("GET /get", "POST /post"))
        load = Load(self.ground.lab.edge_address, f"{self.env.upstream}.lab", rate=rate, mix=mix)
        async with Traffic(load) as traffic:
            self.counts = traffic.counts
            yield traffic

    async def _hurry(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            active = self.known().active
            state = self.state(active) if active else None
            if state and state.step and state.step.index in state.reached and not state.back:
                try:
                    ask_promote(self.journal(), active, "the story is in a hurry")
                except GopubError:
                    continue

    # --- looking

    def settings(self, **more: str) -> dict[str, str]:
        """The environment variables of this story."""
        return self.ground.settings(self.env.name, **more)

    def journal(self) -> Journal:
        """The journal of this env."""
        return open_journal(self.settings()["GOPUB_JOURNAL"], SystemClock())

    def known(self) -> EnvState:
        """The env as the journal tells it."""
        return read_env_state(self.journal(), self.env.app, self.env.name)

    def state(self, rollout: str = "") -> State:
        """A rollout as the journal tells it; by default the newest."""
        journal = self.journal()
        return read_state(journal, rollout or journal.streams("rollout/")[-1].removeprefix("rollout/"))

    def entries(self) -> list[Entry]:
        """The newest rollout's entries."""
        journal = self.journal()
        return journal.read(journal.streams("rollout/")[-1])

    def events(self, kind: type[ev.Event]) -> list[Any]:
        """The newest rollout's events of a kind."""
        return [entry.event for entry in self.entries() if isinstance(entry.event, kind)]

    def release_id(self, version: str) -> str:
        """The id of a published version."""
        return str(self.ground._released[self.env.app, version]["release_id"])

    def digest(self, version: str) -> str:
        """The sha256 of a version's signed binary."""
        return self.ground.digests[self.release_id(version)]

    @property
    def names(self) -> list[str]:
        """The hosts that the env selects: all, or those of zone a, which is every other one."""
        names = [host.name for host in self.ground.lab.hosts]
        return names[::2] if "zone=a" in self.env.more.get("hosts", "") else names

    async def hosts(self) -> dict[str, Seen]:
        """What every host really runs."""
        script = _LOOK_AT_HOST.format(unit=self.env.upstream)

        async def one(name: str) -> Seen:
            said = (await self.ground.lab.exec(name, ("sh", "-c", script), check=False)).text.split(" ")
            return Seen(said[0], said[1] if len(said) > 1 else "")

        names = self.names
        return dict(zip(names, await asyncio.gather(*(one(name) for name in names)), strict=True))

    async def table(self) -> dict[str, Any]:
        """The table on the edge's disk."""
        path = f"/var/lib/gopub/edge/{self.env.upstream}.json"
        found = await self.ground.lab.exec(self.ground.lab.edges[0].name, ("cat", path))
        table: dict[str, Any] = json.loads(found.text)
        return table

    async def whole(self, versions: set[str]) -> dict[str, Seen]:
        """Every host runs one of these versions, whole; a restart under way may end first."""
        allowed = {self.release_id(version)[:12]: self.digest(version) for version in versions}
        seen: dict[str, Seen] = {}

        async def all_whole() -> bool:
            seen.update(await self.hosts())
            return all(allowed.get(one.current.partition("-")[0]) == one.digest for one in seen.values())

        try:
            await until(all_whole, f"every host runs one of {versions}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {seen}") from None
        return seen

    async def agreed(self) -> None:
        """Journal, hosts and edges tell the same, and the journal's chain holds."""
        journal = self.journal()
        journal.verify()
        env = self.known()
        assert not env.active, env
        assert all(self.state(name.removeprefix("rollout/")).closed for name in journal.streams("rollout/"))
        seen = await self.hosts()
        assert {one.current.partition("-")[0] for one in seen.values()} == {env.stable[:12]}, (seen, env)
        table = await self.table()
        assert table.get("canary") is None, table
        assert table["stable"]["release"] == env.stable
        assert sorted(peer["host"] for peer in table["stable"]["peers"]) == sorted(seen)


def a_fleet(ground: Ground, env: str) -> Story:
    """The lab's hosts, seen from one environment."""
    return Story(ground, env)
