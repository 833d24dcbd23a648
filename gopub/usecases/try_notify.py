"""One message to everybody who is told of an environment, and what came back from each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from gopub.errors import UsageError
from gopub.notify.message import Message
from gopub.notify.protocol import Answer
from gopub.wiring.naming import Elsewhere
from gopub.wiring.project import Project
from gopub.wiring.told import Told, told_of


async def try_notify(
    project: Project, env: str, message: Callable[[str], Message], elsewhere: Elsewhere | None = None
) -> Sequence[tuple[Told, Answer]]:
    """Send ``message`` (by language) to each at once.

    Raises:
        UsageError: GP942 there is no such environment, GP972 nobody is told of it.
    """
    told = await told_of(project, project.environment(env), elsewhere)
    if not told:
        raise UsageError("GP972", f"nobody is told of {project.spec.app} in {env}",
                         hint=f"name a connection in gopub.yaml: environments.{env}.notify: [NAME]")  # fmt: skip
    answers = await asyncio.gather(*(one.send(message(one.lang)) for one in told))
    return list(zip(told, answers, strict=True))
