"""The box that decides whether a release may enter, and states it."""

from __future__ import annotations

from gopub.errors import RefusedError
from gopub.journal import events as ev
from gopub.journal.transitions import Phase
from gopub.plan.model import Outcome
from gopub.rollout.box import box
from gopub.rollout.close import close
from gopub.rollout.policy import admission_of, at_hand, kinds_of
from gopub.rollout.run import Run
from gopub.rollout.stating import over, state, unstatable


@box
async def admit(run: Run) -> None:
    """Decide whether the release may enter; a refusal ends the rollout and changes nothing.

    What was admitted and is not planned yet enters by what was stated: where that has expired since, it is decided
    anew. What is planned goes on by its plan.
    """
    if run.state.admitted and not _anew(run):
        return
    if run.refused:
        _refuse(run, (run.refused,))
        return
    admission = await admission_of(run)
    if not admission.accepted:
        _refuse(run, admission.reasons)
        return
    checks = tuple(f"{check.name}: {check.reason}" for check in admission.checks)
    if wrong := unstatable(admission.warnings, run.facts):
        _refuse(run, (f"{wrong.code} {wrong.problem}",))
        return
    if admission.warnings:  # a statement says that all of it passed
        run.record(ev.Admitted(checks, unstated=f"only told, not refused: {'; '.join(admission.warnings)}"))
        return
    try:
        statements = await state(run.ports, at_hand(run), kinds_of(run.facts), epoch=run.seat.epoch, facts=run.facts)
    except RefusedError as error:
        _refuse(run, (f"{error.code} {error.problem}",))
        return
    run.record(ev.Admitted(checks, statements))


def _anew(run: Run) -> bool:
    return run.state.phase is Phase.ADMITTED and over(run.state.statements, run.ports.clock.now())


def _refuse(run: Run, reasons: tuple[str, ...]) -> None:
    run.record(ev.Refused(reasons))
    close(run, Outcome.REFUSED, "; ".join(reasons))
