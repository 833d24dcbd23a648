"""What the error budget will say to a plan, told before anything is done."""

from __future__ import annotations

from gopub.health.burn import spans
from gopub.health.config import JudgeConfig
from gopub.health.observation import Observation
from gopub.health.spending import read_within
from gopub.judge.backtest import under
from gopub.judge.budget import why_not
from gopub.judge.verdict import Policy
from gopub.plan.model import Plan
from gopub.wiring.ports import Ports

PATIENCE = 15.0
"""Seconds that a plan waits for the reading."""


async def brake(planned: Plan, ports: Ports) -> tuple[str, ...]:
    """Why this plan would stop after its first step as things are; () where nobody asks, or nothing would stop it."""
    stable = planned.stable.short if planned.stable else None
    known = JudgeConfig(planned.app, planned.env, planned.rollout, planned.counted[:12], stable)
    config, now = under(known, ports.environment.judge), ports.clock.now()
    policy = Policy.at_step(config, 0, len(planned.steps), follow=bool(planned.kept))
    if planned.mode != "judged" or config.budget is None:
        return ()
    read = await read_within(ports.metrics, config, spans(config.budget), now, PATIENCE)
    why = why_not(Observation(config, 0, now, spending=read), policy)
    return (f"after its first step this rollout would hold: {why}",) if why else ()
