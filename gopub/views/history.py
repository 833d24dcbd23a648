"""A rollout that is over, or under way, in a list of many: who asked, how it ended, by which rule, how long. Pure.

The env's own stream tells that there was one and how it ended; the rollout's own tells the rest. Where that cannot be
read, what the env tells still stands in the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gopub.canon import Json
from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.plan.model import Outcome
from gopub.telemetry import one_line
from gopub.units import say_about
from gopub.views.events import last_of
from gopub.views.standing import moment
from gopub.views.verdict import because

MOST_TEXT = 300
"""Characters of what others wrote; all of it is in `gopub explain`."""
UNDER_WAY = frozenset({"active", "held", "waiting"})
UNKNOWN = "cannot be told"


@dataclass(frozen=True, slots=True)
class Told:
    """A rollout as far as its env's stream tells; ``seq`` is where in the journal, ``ended`` None while under way."""

    rollout: str
    app: str
    env: str
    seq: int
    began: float
    actor: str = ""
    release: str = ""
    outcome: str = ""
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class PastView:
    """A rollout in the list; times are RFC 3339, ``ended`` empty while it is under way, ``seconds`` until then or now.

    ``because`` is why somebody asked for it, ``reason`` why it ended so, ``rule`` the judge's, None where none fired.
    """

    rollout: str
    app: str
    env: str
    version: str
    release: str
    outcome: str
    asked_by: str
    because: str
    reason: str
    rule: int | None
    began: str
    ended: str
    seconds: float
    owed: tuple[str, ...] = ()
    owed_edges: tuple[str, ...] = ()
    damage: GopubError | None = None
    unpinned: tuple[str, ...] = ()
    """Hosts that did not check who orders."""

    def to_json(self) -> dict[str, Json]:
        """As `gopub history --json` has it; ``damaged`` is there only where something is."""
        row: dict[str, Json] = {
            "rollout": self.rollout,
            "app": self.app or None,
            "env": self.env or None,
            "version": self.version or None,
            "release": self.release or None,
            "outcome": self.outcome,
            "asked_by": self.asked_by or None,
            "because": self.because or None,
            "reason": self.reason or None,
            "rule": self.rule,
            "began": self.began or None,
            "ended": self.ended or None,
            "seconds": self.seconds,
            "owed": list(self.owed),
            "owed_edges": list(self.owed_edges),
            "unpinned": list(self.unpinned),
        }
        return {**row, "damaged": f"{self.damage.code} {self.damage.problem}"} if self.damage else row


def past_view(
    told: Told, entries: Sequence[Entry], outcome: str, now: float, damage: GopubError | None = None
) -> PastView:
    """What both streams tell of it; ``outcome`` is how it stands by its own, empty where nobody can tell."""
    history = [entry.event for entry in entries]
    opened, closed, judged, planned = (last_of(history, kind) for kind in (ev.Opened, ev.Closed, ev.Judged, ev.Planned))
    opened = opened if isinstance(opened, ev.Opened) else ev.Opened("", told.app, told.env, told.release, "")
    over = closed if isinstance(closed, ev.Closed) else None
    ended = next((entry.at for entry in entries if isinstance(entry.event, ev.Closed)), told.ended)
    return PastView(
        told.rollout,
        told.app,
        told.env,
        version=opened.version,
        release=opened.release[:12],
        outcome=outcome or told.outcome or UNKNOWN,
        asked_by=_short(entries[0].actor if entries else told.actor),
        because=_short(opened.reason),
        reason=_short(because(judged if isinstance(judged, ev.Judged) else None, over.reason) if over else ""),
        rule=_rule(history),
        began=moment(told.began) if told.began else "",
        ended=moment(ended) if ended is not None else "",
        seconds=round(max((now if ended is None else ended) - told.began, 0.0), 3) if told.began else 0.0,
        owed=over.owed if over else (),
        owed_edges=over.owed_edges if over else (),
        damage=damage,
        unpinned=planned.plan.unpinned if isinstance(planned, ev.Planned) else (),
    )


def past_lines(past: PastView) -> list[str]:
    """The lines that `gopub history` prints of it; the first says most, the others are indented."""
    began = past.began[:19].replace("T", " ") + "Z" if past.began else "-"
    what = "" if past.outcome == Outcome.MENDED else f" {past.version or 'nothing yet'}"  # it rolled out none
    where = f"{what} into {past.env}" if past.app else ""
    lines = [f"{began}  {past.app or past.rollout}{where}: {past_says(past)}", f"    {_asked(past)}"]
    lines += [f"    {past.reason}"] if past.reason and past.reason != past.because else []
    names = (*past.owed, *(f"edge {edge}" for edge in past.owed_edges))
    lines += [f"    owed: {', '.join(names)}"] if names else []
    lines += [f"    damaged: {past.damage.code} {past.damage.problem}"] if past.damage else []
    return [one_line(line) for line in lines]


def past_says(past: PastView) -> str:
    """How it ended, or stands, in few words: ``rolled back by rule 3 after 1m12s``."""
    took = say_about(past.seconds)
    if past.outcome in UNDER_WAY:
        return f"{past.outcome} for {took}"
    if past.outcome == Outcome.MENDED:
        return f"mended after {past.version or 'the rollout before'}{f', in {took}' if past.ended else ''}"
    return f"{past.outcome}{f' by rule {past.rule}' if past.rule else ''}{f' after {took}' if past.ended else ''}"


def _asked(past: PastView) -> str:
    asked = f", asked by {past.asked_by}" if past.asked_by else ""
    return f"{past.rollout}{asked}{f': {past.because}' if past.because else ''}"


def _rule(history: Sequence[ev.Event]) -> int | None:
    """The rule that decided: that of the way back, else of the last verdict; 0 is no rule, but a person."""
    back, judged = last_of(history, ev.GoingBack), last_of(history, ev.Judged)
    if isinstance(back, ev.GoingBack):
        return back.rule or None
    return (judged.rule or None) if isinstance(judged, ev.Judged) else None


def _short(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"
