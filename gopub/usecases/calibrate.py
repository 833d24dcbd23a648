"""The past of an env's hosts from its Prometheus, for A/A comparisons."""

from __future__ import annotations

from gopub.errors import UsageError
from gopub.health.config import SloTarget
from gopub.health.samples import NoData
from gopub.health.sources import PastSource
from gopub.judge.calibrate import windows_of
from gopub.views.calibrations import Past
from gopub.wiring.outside import judge_sources
from gopub.wiring.project import Project, edges_of


async def past_of_metrics(project: Project, env: str, begin: float, end: float) -> Past:
    """What the env's metrics keep of this time; the marks are those of the project's own file.

    Raises:
        UsageError: GP605, they keep nothing, or it cannot be read.
    """
    environment = project.environment(env)
    metrics: object = judge_sources(project, environment, edges_of(project, environment))[0]
    if not isinstance(metrics, PastSource):
        raise UsageError(
            "GP605", f"the metrics of {env} keep no past", hint="leave out --prometheus: the journal has some"
        )
    found = await metrics.recorded(project.spec.app, env, begin, end)
    if isinstance(found, NoData):
        raise UsageError("GP605", f"the past of {env} cannot be read: {found.reason}", hint="is Prometheus up?")
    judge = environment.judge
    slo = SloTarget(judge.slo.latency_p95, judge.slo.error_rate)
    return Past(windows_of(found, slo), slo, judge.alpha, "Prometheus")
