"""What the routes work with; made once, at start."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from deployments.deliveries import Deliveries
from deployments.hooks.alertmanager import AlertSecrets
from deployments.hooks.signing import HookSecrets
from deployments.journal import DowngradeCheck, FollowCheck, RolloutLookup, by_journal, follows, rollout_of_run
from deployments.refs import Refs
from deployments.starter import Starter
from deployments.writeback.apis.protocol import Access
from gopub.clock import Clock
from gopub.journal.store import Journal
from gopub.spec.projects import Projects
from gopub.wiring import settings


async def nobody_knows() -> bool:
    """Whether a worker is there, where no engine is asked: then nobody is taken to be away."""
    return True


@dataclass(frozen=True, slots=True)
class Parts:
    """The projects, their secrets, and the ways out: deliveries, the engine, repositories, the clock, the journal.

    ``tokens`` maps a token's name to its SHA-256; ``hooks`` an app's name to the secrets of its webhook;
    ``alerts`` is what Alertmanager may present; ``attended`` is whether a worker takes up runs.
    ``forges`` are those that are told, by the app. ``fresh`` is set when something was written that waits to be
    started.
    """

    projects: Projects
    tokens: Mapping[str, str]
    hooks: Mapping[str, HookSecrets]
    deliveries: Deliveries
    starter: Starter
    refs: Refs
    clock: Clock
    downgrade: DowngradeCheck = by_journal
    following: FollowCheck = follows
    rollouts: RolloutLookup = rollout_of_run
    journal: Callable[[], Journal] = settings.journal
    alerts: AlertSecrets | None = None
    attended: Callable[[], Awaitable[bool]] = nobody_knows
    forges: Mapping[str, Access] = field(default_factory=dict)
    fresh: asyncio.Event = field(default_factory=asyncio.Event)
