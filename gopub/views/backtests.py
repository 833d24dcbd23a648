"""What another policy would have decided of the rollouts in a journal: for people, and as JSON (backtest.v1.json).

``python -m gopub.views.backtests`` writes that schema anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from gopub.canon import Json
from gopub.errors import GopubError
from gopub.health.wire import schema_of, to_json
from gopub.journal.state import fold
from gopub.journal.store import Journal
from gopub.journal.streams import stream_of
from gopub.judge.backtest import CENSORED, Decided, backtest, shadowed
from gopub.judge.between import unfolded
from gopub.spec.models import Judge
from gopub.units import say_about
from gopub.views.history import Told
from gopub.views.keptlooks import kept_records
from gopub.views.past import told_by


@dataclass(frozen=True, slots=True)
class Tested:
    """One rollout: how it ended (empty while under way), and what the policy would have decided."""

    rollout: str
    app: str
    env: str
    version: str
    began: float
    outcome: str
    decided: Decided

    @property
    def differs(self) -> bool:
        """Whether the policy would certainly have ended it another way."""
        ends = {"PROMOTE": "promoted", "ROLLBACK": "rolled back", "WITHDRAW": "withdrawn"}
        return bool(self.outcome) and self.decided.what != CENSORED and ends[self.decided.what] != self.outcome


@dataclass(frozen=True, slots=True)
class Backtest:
    """All of them, oldest first."""

    rollouts: tuple[Tested, ...]
    schema_version: int = 1


def read_backtest(journal: Journal, judge: Judge | None, since: float, app: str = "", env: str = "") -> Backtest:
    """Every rollout that began at ``since`` or later; without ``judge``, by the policy that rode along with it.

    Raises:
        GopubError: the journal cannot be read, or an env's stream in it is damaged.
    """
    told = [one for one in _told(journal) if app in ("", one.app) and env in ("", one.env) and one.began >= since]
    told.sort(key=lambda one: one.seq)
    return Backtest(tuple(_tested(journal, one, judge) for one in told))


def backtest_json(found: Backtest) -> Json:
    """The document."""
    return to_json(found)


def backtest_lines(found: Backtest) -> Iterator[str]:
    """One line a rollout, and how many would have ended another way."""
    for one in found.rollouts:
        decided, outcome = one.decided, one.outcome or "under way"
        mark = "DIFFERS" if one.differs else "censored" if decided.what == CENSORED else "same"
        yield f"{mark:8} {one.rollout}  {one.app} {one.version} into {one.env}: {outcome}"
        when = f"step {decided.step + 1}, {say_about(decided.after)} after the first look: "
        yield f"         {when if decided.looks else ''}{decided.reason}"
    differs = sum(one.differs for one in found.rollouts)
    censored = sum(one.decided.what == CENSORED for one in found.rollouts)
    yield f"{len(found.rollouts)} rollouts: {differs} would have ended another way, of {censored} nobody knows"


def _told(journal: Journal) -> list[Told]:
    found: list[Told] = []
    for stream in journal.streams("env/"):
        its_app, its_env = stream.split("/", 2)[1:]
        found += told_by(its_app, its_env, journal.read(stream))
    return found


def _tested(journal: Journal, told: Told, judge: Judge | None) -> Tested:
    """One of them; where its own stream or a record of it is damaged, nobody knows, and it hides no other."""
    version = ""
    try:
        entries = journal.read(stream_of(told.rollout))
        state = fold(entry.event for entry in entries)
        version = state.release_version
        records, steps = (
            tuple(unfolded(kept_records(told.rollout, entries))),
            len(state.plan.steps) if state.plan else 0,
        )
        decided = backtest(records, judge, steps, told.outcome) if judge else shadowed(records, steps, told.outcome)
    except GopubError as error:
        decided = Decided(CENSORED, reason=f"its looks cannot be read: {error.code} {error.problem}")
    return Tested(told.rollout, told.app, told.env, version, told.began, told.outcome, decided)


def main() -> None:
    """Write the schema file into gopub/schemas of this checkout."""
    made = schema_of(Backtest, "backtest")
    place = Path(str(files("gopub.schemas"))) / "backtest.v1.json"
    place.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
