"""The table at the end of the demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from gopub.canon import Json
from gopub.cli.demo.story import Act
from gopub.cli.demo.talk import Talk
from gopub.cli.saying import say_framed
from gopub.journal import events as ev

COLUMNS = ("release", "steps", "observed on the canary", "score", "verdict (rule)", "bad → off", "sent / lost", "took")


def print_table(acts: Sequence[Act], talk: Talk) -> None:
    """Print it on stdout, one row for each act, and where to look further."""
    say_framed(COLUMNS, map(row, acts), title="What was released, and how it was judged", width=160)
    last = acts[-1].result.get("rollout")
    talk.line(f"look further: gopub explain {last}; gopub status; the journal's path is in GOPUB_JOURNAL")


def row(act: Act) -> tuple[str, ...]:
    """One act as the cells of its row."""
    planned = cast("ev.Planned | None", act.event(ev.Planned))
    judged = cast("ev.Judged | None", act.event(ev.Judged))
    steps = " → ".join(step.says for step in planned.plan.steps) if planned else "-"
    seen = _observation(judged)
    totals = cast("Mapping[str, Json]", seen.get("rollout_totals") or {})
    observed = f"{totals.get('canary_errors', 0)} errors in {totals.get('canary_requests', 0)}"
    score = cast("Mapping[str, Json]", seen.get("score") or {}).get("value")
    verdict = f"{judged.kind} ({judged.rule})" if judged else "-"
    return (
        f"{act.wanted.service} {act.wanted.version}",
        steps,
        observed,
        f"{score:.0f}" if isinstance(score, (int, float)) else "-",
        f"{verdict}: {act.result.get('outcome')}{'' if act.as_told else ' (not as expected)'}",
        _off(act),
        f"{_since(act, 'sent')} / {_since(act, 'lost')}",
        f"{act.seconds:.0f}s",
    )


def _observation(judged: ev.Judged | None) -> Mapping[str, Json]:
    record = cast("Mapping[str, Json]", (judged.record.get("record") if judged else None) or {})
    return cast("Mapping[str, Json]", record.get("observation") or {})


def _off(act: Act) -> str:
    """Seconds from the first bad answer to the last answer of the canary, as a client saw them."""
    first, last = act.canary.get("first_bad"), act.canary.get("last_answer")
    off = act.event(ev.TrafficOff)
    if not isinstance(first, (int, float)) or not isinstance(last, (int, float)) or off is None:
        return "-"
    return f"{max(0.0, last - first):.1f}s"


def _since(act: Act, name: str) -> int:
    after, before = act.after.get(name), act.before.get(name)
    return (after if isinstance(after, int) else 0) - (before if isinstance(before, int) else 0)
