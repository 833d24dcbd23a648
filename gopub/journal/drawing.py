"""The table of a rollout's states, drawn for people: a Mermaid diagram and a table in ``docs/reference/journal.md``.

``python -m gopub.journal.drawing`` draws it anew; a test compares.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gopub.journal.transitions import TABLE, Key, Phase, say_key
from gopub.plan.model import Outcome

BEGIN, END = "<!-- drawn from gopub/journal/transitions.py -->\n", "<!-- end of what is drawn -->\n"
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "journal.md"


def drawn() -> str:
    """The diagram, and under it what a rollout may be told without leaving its state."""
    return f"```mermaid\n{diagram()}```\n\n{table()}"


def diagram() -> str:
    """Every move from one state to another, but for the adoption of a rollback, which may come anywhere."""
    lines = ["stateDiagram-v2", *(f'    state "{phase.value}" as {phase.name}' for phase in Phase)]
    for here in Phase:
        moves: dict[Phase, list[str]] = {}
        for key, there in TABLE[here].items():
            if there is not here and not _is_adoption(here, key):
                moves.setdefault(there, []).append(say_key(key))
        lines += [f"    {_name(here)} --> {there.name}: {', '.join(keys)}" for there, keys in moves.items()]
    lines.append("    CLOSED --> [*]")
    return "".join(f"{line}\n" for line in lines if not line.endswith(" as NEW"))


def table() -> str:
    """Every state with all that may follow."""
    rows = ["| state | what it may be told and stay | what moves it |", "|---|---|---|"]
    for here in Phase:
        stays = _say(key for key, there in TABLE[here].items() if there is here)
        moves = _say(key for key, there in TABLE[here].items() if there is not here)
        rows.append(f"| {here.value} | {stays} | {moves} |")
    return "".join(f"{row}\n" for row in rows)


def _name(phase: Phase) -> str:
    return "[*]" if phase is Phase.NEW else phase.name


def _is_adoption(here: Phase, key: Key) -> bool:
    return key is Outcome.ROLLED_BACK and here not in (Phase.GOING_BACK, Phase.LEAVING)


def _say(keys: Iterable[Key]) -> str:
    return ", ".join(f"`{say_key(key)}`" for key in keys) or "nothing"


def on_page(page: str) -> str:
    """The page with what is drawn between its two marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{drawn()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(on_page(PAGE.read_text("utf-8")), "utf-8")
