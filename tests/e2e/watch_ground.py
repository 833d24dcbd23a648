"""What the stories of a watched release stand on: releases whose mood a test changes while they serve.

What runs is as good or bad as a file on its host says, now: so a release goes bad after its promotion, when the test
wants it, however slow the machine is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.streams import stream_of
from gopub.journal.transitions import Phase
from gopub.usecases.ask import ask_promote
from tests.e2e.release_kit import EXAMPLES
from tests.e2e.story import Story
from tests.e2e.story_ground import Ground, until

MOODY = {"7.0.0": "7.1.0", "7.1.0": "7.0.0"}
"""Two versions of which one can always follow the other."""
MOOD = "/run/gopub-test-mood"
"""On each host: the share of requests that fails there now."""
_SERVES = "func (m *misbehaving) ServeHTTP(w http.ResponseWriter, r *http.Request) {\n"
_MOODY = f"""{_SERVES}	if told, _ := os.ReadFile("{MOOD}"); len(told) > 0 {{
		if share, _ := strconv.ParseFloat(strings.TrimSpace(string(told)), 64); rand.Float64() < share {{
			http.Error(w, "in a bad mood", http.StatusInternalServerError)
			return
		}}
	}}
"""


class Watched(Story):
    """A story of an env whose promoted release is watched; ``more`` are settings of it alone."""

    more: Mapping[str, str] = MappingProxyType({})

    def settings(self, **more: str) -> dict[str, str]:
        """The environment variables of this story."""
        return super().settings(**self.more, **more)

    def in_a_hurry(self) -> asyncio.Task[None]:
        """Promote each step as soon as it is reached, and do not end the watch."""
        return asyncio.create_task(super()._hurry())

    async def given_moody(self) -> Watched:
        """One of both is stable on every host, in a good mood; the ``other`` one is published and may come."""
        await _publish(self.ground)
        await self.mood(0)
        if (active := self.known().active) and self.state().phase is Phase.WATCHING:  # what a test before it left
            await self.gopub("promote", active)
        if self.known().stable_version not in MOODY:
            await self.release("7.0.0", hurry=True)
            assert self.result["outcome"] == "promoted", (self.result, self.error)
        self.stable = self.known().stable_version
        self.other = MOODY[self.stable]
        self.allow(self.other)
        return self

    async def mood(self, share: float) -> None:
        """So many of the requests fail from now on, on every host."""
        script = ("sh", "-c", f"echo {share} >{MOOD}")
        await asyncio.gather(*(self.ground.lab.exec(name, script) for name in self.names))

    async def watches(self) -> str:
        """Wait until the newest rollout's release is promoted and watched; gives the rollout."""

        async def there() -> str:
            active = self.known().active
            return active if active and self.state(active).phase is Phase.WATCHING else ""

        return str(await until(there, "the promoted release is watched", self.ground.engine.log))

    async def found(self, holds: Callable[[ev.Watched], Any], what: str) -> ev.Watched:
        """Wait until the watch of the newest rollout says so."""

        async def said() -> ev.Watched | None:
            last = self.state().watched
            return last if last and holds(last) else None

        found: ev.Watched = await until(said, what, lambda: f"{self.state().watched}\n{self.ground.engine.log()}")
        return found

    async def over(self, rollout: str) -> ev.Closed:
        """Wait until a rollout is over, and the env free."""

        async def closed() -> ev.Closed | None:
            ended = self.state(rollout).closed
            return ended if ended and self.known().active != rollout else None

        ended: ev.Closed = await until(closed, f"{rollout} is over", self.ground.engine.log)
        return ended

    def looks(self, rollout: str) -> list[ev.Watched]:
        """What was found in a watch."""
        return [one.event for one in self.journal().read(stream_of(rollout)) if isinstance(one.event, ev.Watched)]

    async def _hurry(self) -> None:
        """The end of the watch is asked for as well: a release that is only given is watched by nobody."""
        steps = asyncio.create_task(super()._hurry())
        try:
            while True:
                await asyncio.sleep(0.2)
                active = self.known().active
                if active and self.state(active).phase is Phase.WATCHING:
                    try:
                        ask_promote(self.journal(), active, "the story is in a hurry")
                    except GopubError:
                        continue
        finally:
            steps.cancel()
            await asyncio.gather(steps, return_exceptions=True)


async def _publish(ground: Ground) -> None:
    """Their source is the example's with the mood in it; what others release later is the example's again."""
    await ground.release("hello", "1.0.0")  # the repository is there
    source = ground.repository("hello") / "behaviour.go"
    text = (EXAMPLES / "hello" / "behaviour.go").read_text()
    moody = text.replace(_SERVES, _MOODY).replace('\t"os"\n', '\t"os"\n\t"strconv"\n\t"strings"\n')
    assert moody.count("strconv") == 2, "the example's source is another by now"
    for version in MOODY:
        source.write_text(moody)
        try:
            await ground.release("hello", version)
        finally:
            source.write_text(text)
