"""What the routes work with; made once, at start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from deployments.deliveries import Deliveries
from deployments.hooks.signing import HookSecrets
from deployments.journal import DowngradeCheck, RolloutLookup, by_journal, rollout_of_run
from deployments.refs import Refs
from deployments.starter import Starter
from gopub.clock import Clock
from gopub.spec.projects import Projects


@dataclass(frozen=True, slots=True)
class Parts:
    """The projects, their secrets, and the ways out: deliveries, the engine, repositories, the clock, the journal.

    ``tokens`` maps a token's name to its SHA-256; ``hooks`` an app's name to the secrets of its webhook.
    ``fresh`` is set when something was written that waits to be started.
    """

    projects: Projects
    tokens: Mapping[str, str]
    hooks: Mapping[str, HookSecrets]
    deliveries: Deliveries
    starter: Starter
    refs: Refs
    clock: Clock
    downgrade: DowngradeCheck = by_journal
    rollouts: RolloutLookup = rollout_of_run
    fresh: asyncio.Event = field(default_factory=asyncio.Event)
