"""What stands on the pages of a release and of a rollout in an engine's UI: texts in Markdown, and tables. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from gopub.canon import Json
from gopub.journal.state import State
from gopub.telemetry import REDACTOR, one_line
from gopub.views.amounts import names
from gopub.views.plan import plan_lines
from gopub.views.runs import SeatView
from gopub.views.verdict import Figures, number

MOST_TEXT, MOST_CELL = 2000, 300
"""Characters of one text that others wrote, and of one in a table."""
MOST_ALARMS = 20
_MARKUP = re.compile(r"[\\`*_\[\]|#>!~]")


@dataclass(frozen=True, slots=True)
class TextPage:
    """A page of text; pages of one ``key`` are one history in the UI."""

    key: str
    description: str
    text: str


def shown(text: str, most: int = MOST_TEXT) -> str:
    """What somebody else wrote (a reason, a host's words), as text of a page: no secret, no markup, no line of its own.

    Secrets first: one with a character of Markdown in it looks like another once that is escaped, and one that is cut
    in two looks like none. Whoever writes a book of it gets its beginning shown: ``gopub explain`` has all of it.
    """
    return _MARKUP.sub(r"\\\g<0>", plain(text, most).replace("&", "&amp;").replace("<", "&lt;"))


def plain(text: str, most: int = MOST_TEXT) -> str:
    """The same where nothing obeys Markdown, such as the message of a state."""
    return one_line(cut(REDACTOR.clean(text), most))


def cut(text: str, most: int = MOST_TEXT) -> str:
    """As much of a text as there is room for."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def plan_page(state: State) -> TextPage | None:
    """The plan as a list; None while there is none."""
    if state.plan is None:
        return None
    head, *rest = plan_lines(state.plan)
    text = f"## {shown(head)}\n\n" + "\n".join(f"- {shown(line.strip())}" for line in rest)
    return TextPage(_key(state, "plan"), f"The plan of rollout {state.rollout}", text)


def keys_of(state: State, drivers: int) -> dict[str, str]:
    """The keys of a rollout's further pages, by what they are called; that of its runs where it had several drivers.

    How many is counted: the epoch counts the drivers of all rollouts that an env ever had.
    """
    found = {"the plan": _key(state, "plan")} if state.plan else {}
    return found | ({"its runs": _key(state, "runs")} if drivers > 1 else {})


def runs_page(state: State, seats: Sequence[SeatView], linked: Callable[[str], str]) -> TextPage | None:
    """All runs that drove a rollout, as ``linked`` shows each; None where it was one alone."""
    if len(seats) < 2:
        return None
    rows = [f"| {linked(seat.run)} | {shown(seat.why)} | {seat.epoch} | {shown(seat.driver)} |" for seat in seats]
    text = "\n".join([f"## {state.rollout}", "", "| run | why | epoch | driver |", "|---|---|---|---|", *rows, ""])
    return TextPage(_key(state, "runs"), f"The {len(seats)} runs that drove rollout {state.rollout}", text)


def back_page(result: Mapping[str, Json]) -> TextPage:
    """What a rollback that somebody asked for came to, from its summary."""
    told = cast("list[str]", result["alarms"])
    alarms = "".join(f"- {shown(alarm)}\n" for alarm in told[:MOST_ALARMS])
    alarms += f"- and {len(told) - MOST_ALARMS} more\n" if len(told) > MOST_ALARMS else ""
    owed = names([*cast("list[str]", result["owed"]), *cast("list[str]", result["owed_edges"])])
    head = f"## {result['outcome']}: {result['app']} {result['version']} in {result['env']}\n\n"
    head += f"{shown(str(result['reason']))}\n"
    text = f"{head}\nHosts run {result['runs'] or 'nothing'}; owed: {owed or 'none'}\n\n{alarms}"
    return TextPage(named_key(f"{result['app']}-{result['env']}-rollback"), f"Rollback {result['rollout']}", text)


def figures_table(seen: Figures | None) -> str:
    """What was counted, as a table; empty where the verdict was drawn without counting."""
    if seen is None or not seen.counted:
        return ""
    no_data = f", no data: {shown(seen.no_data)}" if seen.no_data else ""
    if not (seen.canary_requests or seen.stable_requests or seen.parts) and seen.score is None:
        return f"No answer was counted{no_data}\n"  # four zeros look like a service that answers without an error
    rows = (("canary", seen.canary_requests, seen.canary_errors), ("stable", seen.stable_requests, seen.stable_errors))
    table = ["| | requests | errors |", "|---|---|---|", *(f"| {name} | {of} | {bad} |" for name, of, bad in rows)]
    score, e_value = number(seen.score, "none"), number(seen.e_value, "none")
    parts = [*(f"- {shown(part)}" for part in seen.parts), ""] if seen.parts else []
    return "\n".join([*table, "", f"Score {score}, evidence E {e_value}{no_data}", "", *parts])


def _key(state: State, what: str) -> str:
    return named_key(f"{state.app}-{state.env}-{what}")


def named_key(text: str) -> str:
    """Artifact keys have lower-case letters, digits and dashes only; the same key is one history in the UI."""
    return "".join(char if char.isascii() and char.isalnum() else "-" for char in text.lower())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown, its cells as text."""
    lines = [head, ["---"] * len(head), *([shown(cell, MOST_CELL) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
