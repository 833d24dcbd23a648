"""The observer: asks the sources at each look and folds the answers into observations."""

from __future__ import annotations

from collections.abc import Sequence

from gopub.canon import Json
from gopub.health.config import JudgeConfig
from gopub.health.observation import Observation
from gopub.health.samples import ProcessHealth
from gopub.health.sources import LogSource, LogTarget, MetricSource


class Observer:
    """One per rollout and driver; everything it knows beyond its sources is in ``state()``."""

    def __init__(
        self,
        metrics: MetricSource | None,
        logs: LogSource | None,
        config: JudgeConfig,
        state: Json = None,
    ) -> None:
        """Take the sources; ``state`` is what an earlier driver's ``state()`` gave, None at the first start."""
        self._metrics, self._logs, self._config, self._state = metrics, logs, config, state

    async def start(self, at: float) -> None:
        """Learn from before the rollout (spread of the stable hosts, what counts as slow) and take the first counters."""

    async def look(
        self,
        at: float,
        hosts: Sequence[ProcessHealth],
        step: int,
        *,
        compare: bool = True,
        logs: Sequence[LogTarget] = (),
    ) -> Observation:
        """One look: a handful of queries. ``compare`` False for a step that only a header rule sends traffic to."""
        config = self._config
        return Observation(
            config.app, config.env, config.rollout, step, at, config.canary, config.stable, hosts=tuple(hosts)
        )

    def state(self) -> Json:
        """What must survive the driver: evidence and totals, not windows; put it into the journal."""
        return self._state
