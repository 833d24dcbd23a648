"""The box that decides whether a release may enter."""

from __future__ import annotations

from gopub.journal import events as ev
from gopub.plan.model import Outcome
from gopub.rollout.box import box
from gopub.rollout.close import close
from gopub.rollout.policy import admission_of
from gopub.rollout.run import Run


@box
async def admit(run: Run) -> None:
    """Decide whether the release may enter; a refusal ends the rollout and changes nothing."""
    if run.state.admitted:
        return
    if run.refused:
        run.record(ev.Refused((run.refused,)))
        close(run, Outcome.REFUSED, run.refused)
        return
    admission = await admission_of(run)
    if admission.accepted:
        run.record(ev.Admitted(tuple(f"{check.name}: {check.reason}" for check in admission.checks)))
        return
    run.record(ev.Refused(admission.reasons))
    close(run, Outcome.REFUSED, "; ".join(admission.reasons))
