"""The series of `gopub exporter`: their names, kinds, units, labels and meaning, in one table. Pure.

docs/reference/metrics.md shows it, and a test compares. Names follow the conventions of Prometheus and OpenMetrics:
base units, ``_total`` for counters. A series is never renamed: another one takes its place, and both are there for a
release.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a series is."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Series:
    """One family: ``name`` as it is queried (of a histogram without ``_bucket``), with its labels in their order."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


_APP, _ENV = ("app",), ("app", "env")
_LONG = (60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0, 259200.0, 604800.0)
"""Seconds: rollouts last minutes to days, and so does the time from a commit to its users."""
_SHORT = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
"""Seconds: taking the canary's traffic off."""
_BUILD = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)

UP = Series("gopub_up", Kind.GAUGE, (), "1 where the journal could be read for this scrape.")
BUILDS = Series("gopub_builds_total", Kind.COUNTER, ("app", "outcome"),
                "Releases that were made: published, again (published before) or failed.")  # fmt: skip
BUILD_SECONDS = Series("gopub_build_duration_seconds", Kind.HISTOGRAM, _APP,
                       "From the plan of a release to its publication, of those that were built.",
                       _BUILD)  # fmt: skip
LAST_BUILD = Series(
    "gopub_last_build_duration_seconds", Kind.GAUGE, _APP, "Of the last release that was made or failed."
)
BEGUN = Series("gopub_rollouts_begun_total", Kind.COUNTER, _ENV, "Rollouts that began.")
ROLLOUTS = Series("gopub_rollouts_total", Kind.COUNTER, ("app", "env", "outcome"),
                  "Rollouts that ended: promoted, rolled back, withdrawn, refused, failed or mended.")  # fmt: skip
ROLLOUT_SECONDS = Series("gopub_rollout_duration_seconds", Kind.HISTOGRAM, _ENV,
                         "From the beginning of a rollout to its end, waiting included.", _LONG)  # fmt: skip
OFF_SECONDS = Series("gopub_traffic_off_duration_seconds", Kind.HISTOGRAM, _ENV,
                     "From the decision to go back until no edge that answers sends the canary anything.",
                     _SHORT)  # fmt: skip
RESTORE_SECONDS = Series("gopub_restore_duration_seconds", Kind.HISTOGRAM, _ENV,
                         "From the decision to go back until the release before serves everywhere (DORA: time to "
                         "restore).", _LONG)  # fmt: skip
LEAD_SECONDS = Series("gopub_lead_time_seconds", Kind.HISTOGRAM, _ENV,
                      "From a release's commit to its promotion (DORA: lead time for changes).", _LONG)  # fmt: skip
FAILURES = Series("gopub_change_failures_total", Kind.COUNTER, _ENV,
                  "Rollouts that were rolled back, also after 100 % (DORA: change failures).")  # fmt: skip
ACTIVE = Series("gopub_rollouts_active", Kind.GAUGE, ("app", "env", "state"),
                "Rollouts under way: active, held or waiting (for a window or an approval).")  # fmt: skip
BEGAN = Series("gopub_rollout_begin_timestamp_seconds", Kind.GAUGE, _ENV, "When the rollout under way began.")
DRIVER = Series("gopub_rollout_driven", Kind.GAUGE, _ENV,
                "1 where somebody drives the rollout under way, 0 where its driver is gone.")  # fmt: skip
OWED_HOSTS = Series("gopub_owed_hosts", Kind.GAUGE, _ENV, "Hosts that could not be confirmed.")
OWED_EDGES = Series("gopub_owed_edges", Kind.GAUGE, _ENV, "Edges that did not take the last table.")
ENTRIES = Series("gopub_journal_entries", Kind.GAUGE, (), "The number of the newest entry of the journal.")
WRITTEN = Series("gopub_journal_last_entry_timestamp_seconds", Kind.GAUGE, (), "When it was written.")
WAITING = Series("gopub_deliveries_waiting", Kind.GAUGE, (), "Deliveries of webhooks that wait to be started.")
OVERFLOW = Series("gopub_series_dropped", Kind.GAUGE, (), "Apps and environments beyond those that series are kept of.")

ALL: tuple[Series, ...] = (
    UP, BUILDS, BUILD_SECONDS, LAST_BUILD, BEGUN, ROLLOUTS, ROLLOUT_SECONDS, OFF_SECONDS, RESTORE_SECONDS, LEAD_SECONDS,
    FAILURES, ACTIVE, BEGAN, DRIVER, OWED_HOSTS, OWED_EDGES, ENTRIES, WRITTEN, WAITING, OVERFLOW,
)  # fmt: skip

JENKINS_LAST = Series("jenkins_job_last_build_duration_seconds", Kind.GAUGE, ("job",),
                      "As gopub_last_build_duration_seconds (job: the app), and of the last rollout "
                      "(job: app/env).")  # fmt: skip
JENKINS_BUILDS = Series("jenkins_job_builds_total", Kind.COUNTER, ("job", "result"),
                        "As gopub_builds_total and gopub_rollouts_total, by Jenkins's results.")  # fmt: skip
JENKINS: tuple[Series, ...] = (JENKINS_LAST, JENKINS_BUILDS)
"""Names that dashboards of Jenkins ask for; only with ``--jenkins-names``."""
