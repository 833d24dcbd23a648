"""A/A comparisons on the fleet's own past: for people, and as JSON (calibration.v1.json).

``python -m gopub.views.calibrations`` writes that schema anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from gopub.canon import Json
from gopub.errors import GopubError
from gopub.health.config import JudgeConfig, SloTarget
from gopub.health.logscore import least
from gopub.health.samples import Histogram, Window
from gopub.health.wire import schema_of, to_json
from gopub.journal.store import Journal
from gopub.journal.streams import stream_of
from gopub.judge.between import Looks, unfolded
from gopub.judge.calibrate import Calibration, Share, calibrate
from gopub.judge.verdict import VerdictRecord
from gopub.plan.model import Outcome
from gopub.plan.sight import Wanted, sees
from gopub.units import say_seconds
from gopub.views.keptlooks import kept_records
from gopub.views.past import told_by

_NAMED = 3
"""Damaged rollouts that are named with what is wrong; of the others the number is told."""


@dataclass(frozen=True, slots=True)
class Past:
    """Windows of hosts that ran the same release, and by which policy they were last judged (None: nobody says)."""

    windows: tuple[Window, ...] = ()
    slo: SloTarget | None = None
    alpha: float | None = None
    source: str = "the journal"
    note: str = ""
    lines: tuple[bool, ...] = ()
    """Of each rollout that was promoted and whose logs were read, whether its log score reached its mark."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The document: of which service, from what, by which marks, what was found, and what a step can see."""

    app: str
    env: str
    source: str
    alpha: float
    seconds: float
    found: Calibration
    sight: str
    note: str = ""
    schema_version: int = 1


def past_of(journal: Journal, app: str, env: str, since: float) -> Past:
    """The stable track as the looks of past rollouts saw it, each stretch of time once.

    What a damaged stream or record held is left out and counted.
    """
    windows: list[Window] = []
    lines: list[bool] = []
    config: JudgeConfig | None = None
    lost: list[str] = []
    for told in told_by(app, env, journal.read(f"env/{app}/{env}")):
        if told.began < since:
            continue
        try:
            entries = journal.read(stream_of(told.rollout))
            records = kept_records(told.rollout, entries)
            windows += kept_windows(records, after=windows[-1].end if windows else 0.0)
        except GopubError as error:
            lost.append(f"{error.code} {error.problem}")
            continue
        if told.outcome == Outcome.PROMOTED.value:
            lines += _lines_of([record for record, _ in records])
        config = records[-1][0].observation.config if records else config
    note = f"{len(lost)} rollouts cannot be read and are left out: {'; '.join(lost[:_NAMED])}" if lost else ""
    return Past(tuple(windows), config.slo if config else None, config.alpha if config else None, note=note,
                lines=tuple(lines))  # fmt: skip


def _lines_of(records: Sequence[VerdictRecord]) -> list[bool]:
    """Whether error lines reached their mark in a rollout; nothing where they were never read."""
    read = [one.observation.log_score for one in records]
    reached = (
        found is not None and found.value >= max(one.policy.log_score, least(one.policy.alpha))
        for one, found in zip(records, read, strict=True)
    )
    return [any(reached)] if any(read) else []


def kept_windows(records: Sequence[tuple[VerdictRecord, Looks | None]], after: float = 0.0) -> list[Window]:
    """The stable track at each look from ``after`` on, each stretch of time once; latency is in its counts of slow.

    A journal of before the counts of every look were kept has the minute before each record, which follow one another.
    """
    looks = [window for record in unfolded(records) for window in record.observation.windows]
    minutes = [record.observation.recent for record, _ in records if record.observation.recent]
    found = [_following(one, after) for one in (looks, minutes)]
    return max(found, key=lambda windows: sum(one.end - one.start for one in windows))


def _following(windows: Sequence[Window], after: float) -> list[Window]:
    found: list[Window] = []
    for one in windows:
        if one.stable and one.start >= after and one.end > one.start:
            # Edges of another time may have counted by other bounds, which cannot be summed.
            found.append(Window(one.start, one.end, None, replace(one.stable, latency=Histogram())))
            after = one.end
    return found


def calibrated(
    past: Past, app: str, env: str, marks: tuple[SloTarget, float], length: float, step: tuple[float, float]
) -> Calibrated:
    """The past held against ``marks`` (SLO and α) in trials of ``length`` seconds; ``step`` is share and bake."""
    slo, alpha = marks
    found = calibrate(past.windows, slo, alpha, length, past.lines)
    usual = found.usual
    sight = sees(*step, usual, Wanted(slo, alpha)) if usual else ""
    return Calibrated(app, env, past.source, alpha, length, found, sight, past.note)


def calibration_json(made: Calibrated) -> Json:
    """The document."""
    return to_json(made)


def calibration_lines(made: Calibrated) -> Iterator[str]:
    """What people read: how much past there was, how often an innocent was blamed, what a step can see."""
    found, span = made.found, say_seconds(round(made.found.seconds))
    yield f"{made.app} in {made.env}, from {made.source}: {span} of one release on several hosts"
    if made.note:
        yield made.note
    trials = len(found.trials)
    if not trials:
        yield "no trial: too little history to compare like with like (at least two hosts with requests, for as long"
        yield f"as a trial takes, {say_seconds(made.seconds)})"
    else:
        like = "one host as the canary beside the others, all of one release"
        yield f"{trials} trials of {say_seconds(made.seconds)}: {like}"
        yield f"  false evidence (E ≥ 1/α): {_share(found.alarms)}"
        yield f"  false rollback at once (E ≥ 100/α): {_share(found.back)}"
        yield from _enough(found, made.alpha)
        if found.late.of and any(one.log_e_all for one in found.trials):
            yield f"  held by late answers alone (they never blame): {_share(found.late)}"
    if found.lines.of:
        yield f"error lines reached their mark in promoted rollouts: {_share(found.lines)}"
    if made.sight:
        yield f"a step with {made.sight}"
    else:
        yield "what a step can see is not known: nothing was counted"


def _enough(found: Calibration, alpha: float) -> Iterator[str]:
    limit, trials = f"{100 * alpha:.3g} %", len(found.trials)
    if found.alarms.low > alpha:
        yield f"  more than the {limit} that α allows: errors cluster, or hosts differ, more than φ knows"
    elif found.alarms.high <= alpha:
        yield f"  that is within the {limit} that α allows"
    else:
        few = f"about {found.needed} trials would, {trials} are here"
        yield f"  too little history to tell it from the {limit} that α allows: {few}"


def _share(found: Share) -> str:
    interval = f"between {100 * found.low:.2g} % and {100 * found.high:.2g} % (95 %)"
    return f"{found.count} of {found.of}, the true share lies {interval}"


def main() -> None:
    """Write the schema file into gopub/schemas of this checkout."""
    made = schema_of(Calibrated, "calibration")
    place = Path(str(files("gopub.schemas"))) / "calibration.v1.json"
    place.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
