"""``gopub judge``: replay kept verdicts, and show what a score is made of."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gopub.canon import Json, JsonError, read_json
from gopub.cli.saying import say, say_document
from gopub.errors import GopubError, UsageError

if TYPE_CHECKING:
    from gopub.health.samples import TrackWindow
    from gopub.health.score import Dimension, Score
    from gopub.judge.replay import Replay
    from gopub.judge.verdict import VerdictRecord
    from gopub.views.calibrations import Past

app = typer.Typer(no_args_is_help=True, help="Replay verdicts; compute a score.")

_MARK = "gopub/verdict/"
MOST_BYTES = 256 << 20
_EXACT = 1_000_000
"""Requests of the imagined track: rates down to one in a million come out as they were given."""


@app.command()
def replay(
    file: Annotated[
        Path | None, typer.Argument(help="Verdict records: JSON, JSON lines, or `gopub explain --json`.")
    ] = None,
    rollout: Annotated[
        str, typer.Option("--rollout", help="A past rollout, judged again from its env's Prometheus.")
    ] = "",
    env: Annotated[str, typer.Option("--env", "-e", help="The env of --canary.")] = "",
    canary: Annotated[str, typer.Option("--canary", help="A release's id: judged again from --from to --to.")] = "",
    stable: Annotated[str, typer.Option("--stable", help="The id of the release beside it.")] = "",
    begin: Annotated[str, typer.Option("--from", help="RFC 3339, or how long ago, such as 3h.")] = "",
    end: Annotated[str, typer.Option("--to", help="The same; without it, now.")] = "0s",
    bake: Annotated[str, typer.Option("--bake", help="The bake of --canary; without it, all of the time.")] = "",
    every: Annotated[str, typer.Option("--every", help="Time between two looks.")] = "5s",
    policy: Annotated[Path | None, typer.Option("--policy", help="A file with the keys of `judge`.")] = None,
    source: Annotated[
        str, typer.Option("--source", help="The connection that kept the past; without it, the env's own.")
    ] = "",
    spec: Annotated[Path, typer.Option("--file", "-f", help="gopub.yaml, for the env's Prometheus.")] = Path(
        "gopub.yaml"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge again: verdicts in FILE from what was kept with them (exit code 1 when one differs), or a past time.

    With --rollout, or --canary and --from, from the counters that the env's Prometheus kept of that time.
    """
    if rollout or canary:
        from gopub.cli.rerunning import Past, rerun_past

        if file is not None:
            raise UsageError("GP608", "a FILE, and a past time", hint="replay one of them")
        times = (begin, end, bake)
        rerun_past(Past(rollout, env, canary, stable, times, every, policy, spec, source), as_json=as_json)
        return
    if file is None:
        raise UsageError("GP608", "nothing to replay", hint="name a FILE, --rollout ID, or --canary ID and --from TIME")
    _replay_file(file, as_json=as_json)


def _replay_file(file: Path, *, as_json: bool) -> None:
    kept = list(find_kept(_documents(file)))
    if not kept:
        raise UsageError("GP602", f"{file}: no verdict record in it", hint="`gopub explain ROLLOUT --json` writes them")
    told = [_replayed(found, number) for number, found in enumerate(kept, start=1)]
    if as_json:
        say_document(json.dumps(_as_json(told), ensure_ascii=False, indent=2))
    else:
        say("\n".join(line for one in told for line in _lines(one)))
    damaged = [one.damage for one in told if one.damage]
    wrong = sum(bool(one.found and not one.found.same) for one in told)
    if wrong:
        more = f", and {len(damaged)} cannot be read" if damaged else ""
        raise GopubError("GP603", f"{wrong} of {len(told)} verdicts come out differently now{more}")
    if damaged:
        problem = f"{len(damaged)} of {len(told)} records cannot be read: {damaged[0].problem}"
        raise UsageError("GP601", problem, hint=damaged[0].hint)


@app.command()
def backtest(
    policy: Annotated[
        Path | None,
        typer.Option("--policy", help="A file with the keys of `judge` in gopub.yaml; without it, the shadow."),
    ] = None,
    since: Annotated[str, typer.Option("--since", help="How far back, such as 90d.")] = "90d",
    only_app: Annotated[str, typer.Option("--app", help="Only this app.")] = "",
    env: Annotated[str, typer.Option("--env", "-e", help="Only this env.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell for each past rollout what another policy would have decided, and when, or the one that rode along."""
    from gopub.clock import SystemClock
    from gopub.spec.loader import load_judge
    from gopub.units import seconds
    from gopub.views.backtests import backtest_json, backtest_lines, read_backtest
    from gopub.wiring import settings

    begin = SystemClock().now() - seconds(since)
    found = read_backtest(settings.journal(), load_judge(policy) if policy else None, begin, only_app, env)
    if as_json:
        say_document(json.dumps(backtest_json(found), ensure_ascii=False, indent=2))
    else:
        say("\n".join(backtest_lines(found)))


@app.command()
def calibrate(
    only_app: Annotated[str, typer.Option("--app", help="Which app.")],
    env: Annotated[str, typer.Option("--env", "-e", help="Which env.")],
    policy: Annotated[
        Path | None, typer.Option("--policy", help="A file with the keys of `judge`; else the last.")
    ] = None,
    since: Annotated[str, typer.Option("--since", help="How far back, such as 90d.")] = "90d",
    trial: Annotated[str, typer.Option("--trial", help="How long one comparison takes.")] = "10m",
    share: Annotated[str, typer.Option("--share", help="The share of a step whose sight is told.")] = "10%",
    bake: Annotated[str, typer.Option("--bake", help="The bake of that step.")] = "5m",
    prometheus: Annotated[
        bool, typer.Option("--prometheus", help="Read the env's Prometheus, not the journal.")
    ] = False,
    file: Annotated[Path, typer.Option("--file", "-f", help="The file, for --prometheus.")] = Path("gopub.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare like with like on the fleet's own past: how often an innocent is blamed, and what a step can see."""
    from gopub.clock import SystemClock
    from gopub.health.config import SloTarget
    from gopub.spec.loader import load_judge
    from gopub.spec.models import Judge
    from gopub.units import fraction, seconds
    from gopub.views.calibrations import calibrated, calibration_json, calibration_lines, past_of
    from gopub.wiring import settings

    now = SystemClock().now()
    if prometheus:
        past = _past_of_metrics(file, env, now - seconds(since), now)
    else:
        past = past_of(settings.journal(), only_app, env, now - seconds(since))
    judge = load_judge(policy) if policy else Judge()
    kept = policy is None and past.slo is not None
    slo = past.slo if kept and past.slo else SloTarget(judge.slo.latency_p95, judge.slo.error_rate)
    alpha = past.alpha if kept and past.alpha else judge.alpha
    made = calibrated(past, only_app, env, (slo, alpha), seconds(trial), (fraction(share), seconds(bake)))
    if as_json:
        say_document(json.dumps(calibration_json(made), ensure_ascii=False, indent=2))
    else:
        say("\n".join(calibration_lines(made)))


def _past_of_metrics(file: Path, env: str, begin: float, end: float) -> Past:
    import asyncio

    from gopub.usecases.calibrate import past_of_metrics
    from gopub.wiring.project import open_project

    return asyncio.run(past_of_metrics(open_project(file), env, begin, end))


@app.command()
def score(
    p95: Annotated[str, typer.Option(help="The canary's 95th percentile, such as 120ms.")],
    errors: Annotated[str, typer.Option(help="The canary's share of errors, such as 0.2%.")] = "0%",
    stable_p95: Annotated[str | None, typer.Option(help="The same of stable.")] = None,
    stable_errors: Annotated[str, typer.Option(help="The same of stable.")] = "0%",
    pauses: Annotated[float | None, typer.Option(help="Long collection pauses, half-life a minute.", min=0)] = None,
    growth: Annotated[float | None, typer.Option(help="Growth of the live heap in MiB a minute.")] = None,
    slo_p95: Annotated[str | None, typer.Option(help="The SLO's 95th percentile.")] = None,
    slo_errors: Annotated[str | None, typer.Option(help="The SLO's share of errors.")] = None,
    profile: Annotated[str, typer.Option(help="default or article.")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the score of imagined figures, dimension by dimension."""
    from gopub.health.config import PROFILES, ScoreWeights, SloTarget
    from gopub.health.runtime import RuntimeFacts
    from gopub.health.score import ScoreInput
    from gopub.health.score import score as compute
    from gopub.units import fraction, seconds

    if profile not in PROFILES:
        raise UsageError("GP604", f"profile {profile!r} is unknown", hint=f"one of {', '.join(PROFILES)}")
    target = seconds(slo_p95) if slo_p95 else None
    if target == 0 or not all(math.isfinite(one) for one in (pauses or 0.0, growth or 0.0)):
        raise UsageError("GP121", "a target of 0s, or a figure that is no number", hint="write what could be measured")
    facts = RuntimeFacts(
        canary_pauses=pauses,
        canary_growth=growth,
        gc_missing=pauses is None,
        heap_missing=growth is None,
        heap_note="not exposed" if growth is None else "",
    )
    stable = _track(seconds(stable_p95), fraction(stable_errors)) if stable_p95 else None
    found = compute(
        ScoreInput(_track(seconds(p95), fraction(errors)), stable, facts),
        SloTarget(target, fraction(slo_errors) if slo_errors else None),
        ScoreWeights(profile=profile),
    )
    if as_json:
        say_document(_score_json(found))
    else:
        say("\n".join(score_lines(found)))


@dataclass(frozen=True, slots=True)
class Kept:
    """A verdict record as it stands in a document, and the journal's entry around it, where there is one.

    ``number`` is that entry's own in its rollout; None where the document has no entries.
    """

    record: Json
    entry: Mapping[str, Json] | None = None
    number: Json = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """One record and what it gives now, or why it cannot be read."""

    record: VerdictRecord | None = None
    found: Replay | None = None
    damage: UsageError | None = None


def find_kept(value: Json, number: Json = None) -> Iterator[Kept]:
    """Every verdict record anywhere within a document, in order; an entry's record is one whatever it says it is."""
    if isinstance(value, dict):
        inner = value.get("record")
        if {"kind", "rule", "reason"} <= value.keys() and isinstance(inner, dict) and "record" in inner:
            yield Kept(inner["record"], value, number)
        elif str(value.get("schema", "")).startswith(_MARK):
            yield Kept(value, number=number)
        else:
            here = value.get("version", number) if "data" in value else number
            yield from (found for part in value.values() for found in find_kept(part, here))
    elif isinstance(value, list):
        yield from (found for part in value for found in find_kept(part, number))


def score_lines(score: Score) -> list[str]:
    """The table that people read."""
    lines = [f"{'dimension':15} {'weight':>6} {'measured':>10} {'target':>10} {'points':>7}"]
    for d in score.dimensions:
        shown = (f"{value:.4g}" if value is not None else "-" for value in (d.weight, d.measured, d.target, d.value))
        weight, measured, target, points = shown
        lines.append(f"{d.name:15} {weight:>6} {measured:>10} {target:>10} {points:>7}  {_why(d)}".rstrip())
    value = f"{score.value:g}" if score.value is not None else "INCONCLUSIVE"
    return [*lines, f"{'score':15} {value:>36}", *(f"  {note}" for note in score.notes)]


def _why(found: Dimension) -> str:
    """Where its target came from, and what else is to be said."""
    return "; ".join(filter(None, (found.origin and f"target: {found.origin}", found.note)))


def _replayed(kept: Kept, number: int) -> Replayed:
    from gopub.judge.replay import record_from_json
    from gopub.views.keptlooks import placed

    try:
        record = record_from_json(kept.record)
    except UsageError as error:
        return Replayed(damage=placed(error, _place(kept, number)))
    return Replayed(record, _again(kept, record))


def _place(kept: Kept, number: int) -> str:
    """Where a damaged record stands: which rollout it says it is of, and which entry, else which record of the file."""
    from gopub.views.keptlooks import place

    found = kept.record
    for part in ("observation", "config", "rollout"):
        found = found.get(part) if isinstance(found, dict) else None
    if isinstance(kept.number, int):
        return place(found if isinstance(found, str) else "?", kept.number)
    return f"record {number}"


def _again(kept: Kept, record: VerdictRecord) -> Replay:
    """The replay, and what the entry around the record says otherwise."""
    from gopub.judge.replay import replay as again
    from gopub.judge.replay import surroundings

    found = again(record)
    around = surroundings(kept.entry, record) if kept.entry else ()
    return replace(found, differences=(*found.differences, *around))


def _documents(file: Path) -> Json:
    """One JSON document, or one a line."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("GP602", f"{file} cannot be read: {error}") from error
    try:
        whole: Json = read_json(data, limit=MOST_BYTES)
    except JsonError:
        return _lines_of_json(file, text)
    return whole


def _lines_of_json(file: Path, text: str) -> Json:
    out: list[Json] = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            out += [read_json(line, limit=MOST_BYTES)] if line.strip() else []
        except JsonError as error:
            raise UsageError("GP602", f"{file}:{number} is no JSON: {error}") from error
    return out


def _lines(one: Replayed) -> list[str]:
    if one.record is None or one.found is None:
        return [f"DAMAGED  {one.damage.code} {one.damage.problem}" if one.damage else ""]
    verdict = one.record.verdict
    sign = "same" if one.found.same else "DIFFERS"
    head = f"{sign:8} step {one.record.observation.step + 1} {verdict.kind} by rule {verdict.rule}: {verdict.reason}"
    return [head, *(f"         {text}" for text in one.found.differences)]


def _as_json(told: Sequence[Replayed]) -> Json:
    from gopub.health.wire import to_json

    verdicts: list[Json] = [
        {"verdict": to_json(one.record.verdict), "same": one.found.same, "differences": list(one.found.differences)}
        if one.record and one.found
        else {"damaged": one.damage.problem if one.damage else ""}
        for one in told
    ]
    return {"schema_version": 1, "verdicts": verdicts}


def _score_json(score: Score) -> str:
    from gopub.health.wire import to_json

    return json.dumps({"schema_version": 1, "score": to_json(score)}, ensure_ascii=False, indent=2)


def _track(p95: float, errors: float) -> TrackWindow:
    """An imagined track whose 95th percentile is exactly ``p95``."""
    from gopub.health.samples import Histogram, HostCounts, TrackWindow

    latency = Histogram((max(p95, 1e-9),), (_EXACT * 95 // 100, _EXACT * 5 // 100))
    return TrackWindow("", (HostCounts("", _EXACT, round(_EXACT * errors)),), latency)
