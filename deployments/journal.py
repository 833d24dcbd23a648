"""What the journal of this machine says of an env: asked before a run is started that would be refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing

from gopub.clock import SystemClock
from gopub.errors import GopubError, RefusedError
from gopub.telemetry import log
from gopub.usecases.refuse_downgrade import refuse_downgrade
from gopub.usecases.refuse_following import refuse_following
from gopub.views import reading
from gopub.views.standing import Standing
from gopub.wiring import settings

_LOG = log("api")

DowngradeCheck = Callable[[str, str, str], None]
"""Raises GP730 where this version of this app is older than the one that is stable in this env."""

FollowCheck = Callable[[str, str, str], None]
"""Raises GP707 or GP708 where a rollout of this app in this env must wait; GP737 where it follows this one no more."""

RolloutLookup = Callable[[str, str, str, float], str]
"""The rollout into this env of this app that a run drove, by the run's id and when it was made; empty if none yet."""
SKEW = 600.0
"""Seconds by which the clocks of whoever made a run and of whoever drove its rollout may differ."""


async def not_older(check: DowngradeCheck, app: str, env: str, version: str) -> None:
    """Refuse what the flow would refuse; a journal that is away, or another machine's, is left to the flow.

    Raises:
        RefusedError: GP730 the version is older than the stable one.
    """
    try:
        await asyncio.to_thread(check, app, env, version)
    except RefusedError:
        raise
    except GopubError as error:
        _LOG.warning("the run itself will compare versions: %s", error.problem)


def by_journal(app: str, env: str, version: str) -> None:
    """The check against the journal that commands on this machine use."""
    refuse_downgrade(app, env, version)


def follows(app: str, env: str, after: str) -> None:
    """The same, of what is to follow a rollout."""
    with closing(settings.journal()) as journal:
        refuse_following(journal, app, env, after)


def stands(rollout: str) -> Standing | None:
    """How a rollout stands by the journal of this machine; None where that does not know it, or does not answer."""
    try:
        return reading.stands(settings.journal(), rollout, SystemClock().now())
    except GopubError as error:
        _LOG.warning("%s: %s", rollout, error.problem)
        return None


def rollout_of_run(app: str, env: str, run: str, since: float) -> str:
    """The rollout that a run drove by the journal of this machine; empty where that knows none, or does not answer."""
    try:
        return reading.rollout_of(settings.journal(), app, env, (run,), since - SKEW)
    except GopubError as error:
        _LOG.warning("which rollout run %s drives is not known: %s", run, error.problem)
        return ""
