"""That error lines rise on the canary: what holds it before the log score is sure, and never blames it. Pure."""

from __future__ import annotations

from gopub.health.config import SURGES
from gopub.health.logarticle import TIMES, WITHIN
from gopub.health.logscore import LogScore
from gopub.health.logsurge import MARK
from gopub.health.observation import Observation


def surging(observation: Observation) -> str:
    """What rises, by the rule of the profile; empty where nothing does."""
    log = observation.log_score
    if log is None:
        return ""
    if observation.config.logs_profile == "article":
        return _article(log)
    found = log.surge
    if observation.config.rules < SURGES or found is None or found.log_r < MARK:
        return ""
    ours = f"{found.canary:.0f} of late in {found.canary_requests:.0f} requests"
    theirs = f"stable {found.stable:.0f} in {found.stable_requests:.0f}"
    return f"error lines surge on the canary ({found.name!r}: {ours}, {theirs}; {found.log_r:.3g}, the mark is {MARK})"


def _article(log: LogScore) -> str:
    if not log.article:
        return ""
    one = log.article[0]
    counts = f"{one.canary} in {one.canary_requests} requests, stable {one.stable} in {one.stable_requests}"
    more = f", and {len(log.article) - 1} more" if len(log.article) > 1 else ""
    return f"error lines come {TIMES:g} times as often as on stable ({one.name!r} in {WITHIN:g}s: {counts}{more})"
