"""Handing over to forges what they did not take yet: one after the other for each API, beside each other for several.

What fails for a while (no answer, 5xx, a limit) leaves that API alone, longer each time or for as long as it asks, and
is sent again for a day. What is refused (4xx, a redirect) is told once in the log, and sent again when what should
stand there has changed, or once after a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from deployments.api.parts import Parts
from deployments.api.pauses import Pause, longer
from deployments.writeback.apis import open_api
from deployments.writeback.apis.protocol import Answer
from deployments.writeback.outbox import Letter, Outbox
from gopub.telemetry import log

GIVE_UP_AFTER = 86400.0
LONGEST_PAUSE = 600.0
"""Seconds between two tries while a forge is away."""
_LOG = log("writeback")


class Sending:
    """Sends what is due; one in a process."""

    def __init__(self, parts: Parts, outbox: Outbox) -> None:
        """Nothing is sent yet."""
        self._parts, self._outbox = parts, outbox
        self._apis = {app: open_api(access) for app, access in parts.forges.items()}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._pauses: dict[str, Pause] = {}
        self._again: set[str] = set()

    async def look(self) -> None:
        """Begin to send what is due to each API that nothing is being sent to."""
        now, todo = self._parts.clock.now(), dict[str, list[Letter]]()
        for letter in await self._parts.deliveries.aside(self._outbox.due, now):
            access = self._parts.forges.get(letter.app)
            if access is None:
                await self._settle(letter, Answer(says="its app has no forge any more"))
                continue
            todo.setdefault(access.url, []).append(letter)
        for url, letters in todo.items():
            pause = self._pauses.get(url)
            if url not in self._busy and not (pause and pause.lasts(now)):
                self._begin(url, letters)

    async def idle(self) -> None:
        """Wait until nothing is being sent."""
        while self._busy:
            await asyncio.wait(list(self._busy.values()))

    async def stop(self) -> None:
        """Leave what is being sent; it is sent again."""
        tasks = list(self._busy.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, url: str, letters: Sequence[Letter]) -> None:
        task = asyncio.create_task(self._send_all(url, letters))
        self._busy[url] = task
        task.add_done_callback(lambda done: self._ended(url, done))

    def _ended(self, url: str, done: asyncio.Task[None]) -> None:
        del self._busy[url]
        if not done.cancelled() and (error := done.exception()):
            self._leave_alone(url, 0.0)
            _LOG.error("telling %s broke off: %r", url, error)

    async def _send_all(self, url: str, letters: Sequence[Letter]) -> None:
        for letter in letters:
            if not await self._parts.deliveries.aside(self._outbox.take, letter, self._parts.clock.now()):
                continue
            answer = await self._tell(letter)
            await self._settle(letter, answer)
            if answer.again:
                self._leave_alone(url, answer.pause)
                return
            self._pauses.pop(url, None)

    async def _tell(self, letter: Letter) -> Answer:
        if self._parts.clock.now() - letter.changed > GIVE_UP_AFTER:
            return Answer(says="given up after a day", handle=letter.handle)
        api = self._apis[letter.app]
        if not api.takes(letter.report):
            return Answer(taken=True)
        return await api.tell(letter.report, letter.handle, tried=letter.tries > 0)

    async def _settle(self, letter: Letter, answer: Answer) -> None:
        refused = not answer.taken and not answer.again
        if refused or (answer.again and letter.key not in self._again):
            access = self._parts.forges.get(letter.app)
            where = f"{access.project} at {access.url}" if access else "no forge"
            say = _LOG.error if refused else _LOG.warning
            end = "is not told any more" if refused else "is told again later"
            say("%s of %s %s: %s, %s: %s", letter.report.kind, letter.app, letter.report.commit[:12], where, end,
                answer.says)  # fmt: skip
        self._again.add(letter.key) if answer.again else self._again.discard(letter.key)
        await self._parts.deliveries.aside(
            self._outbox.settle, letter, told=answer.taken, refused=refused, handle=answer.handle
        )

    def _leave_alone(self, url: str, wish: float) -> None:
        now = self._parts.clock.now()
        pause = longer(self._pauses.get(url), now, LONGEST_PAUSE)
        self._pauses[url] = Pause(wish, now + wish) if wish > pause.length else pause
