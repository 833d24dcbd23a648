"""What should stand on a forge, from what is known of an order and its run, or of a rollout. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployments.starter import RunOrder, RunView
from deployments.writeback.model import CommitStatus, DeploymentRecord, Report, Stand, described
from gopub.journal.state import State
from gopub.plan.model import Outcome
from gopub.spec.projects import Projects, repository_path
from gopub.views.standing import Standing
from gopub.views.told import BroughtBack
from gopub.views.verdict import because

_WAITS = frozenset({"Scheduled", "Pending", "Late", "AwaitingConcurrencySlot"})
_CANCELED = frozenset({"Cancelled", "Cancelling"})
_GOOD = frozenset({"Completed", "Nothing to do", "Promoted", "Mended"})
_ENDS: Mapping[str, Stand] = {
    Outcome.PROMOTED.value: Stand.SUCCESS,
    Outcome.ROLLED_BACK.value: Stand.FAILED,
    Outcome.WITHDRAWN.value: Stand.FAILED,
    Outcome.REFUSED.value: Stand.FAILED,
    Outcome.FAILED.value: Stand.FAILED,
}


@dataclass(frozen=True, slots=True)
class Place:
    """How an app's env is called on its forge, and where the pages of runs are, if anywhere."""

    environment: str
    ui_url: str = ""

    @property
    def context(self) -> str:
        """The name of its commit statuses."""
        return f"gopub/{self.environment}"

    def page_of(self, run: str) -> str:
        """The page of a run."""
        return f"{self.ui_url.rstrip('/')}/runs/flow-run/{run}" if self.ui_url and run else ""


def place_of(projects: Projects, app: str, env: str) -> Place:
    """The env's own name, with the app's before it where several apps are in the repository; without env: release."""
    env = env or "release"
    mine = repository_path(projects.apps[app].repository)
    alone = sum(repository_path(one.repository) == mine for one in projects.apps.values()) == 1
    return Place(env if alone else f"{app}/{env}", projects.ui_url or "")


def of_order(
    order: RunOrder, outcome: Mapping[str, Any] | None, run: RunView | None, place: Place
) -> CommitStatus | None:
    """The status of what was pushed; None once a rollout of it is known: then the journal tells.

    ``outcome`` is what became of its delivery, None while it waits; ``run`` its run, as the engine shows it.
    """
    found = _of_outcome(order, outcome) if outcome is None or run is None else _of_run(run)
    if found is None:
        return None
    state, text = found
    return CommitStatus(order.commit, place.context, state, described(text), place.page_of(run.id if run else ""))


def _of_outcome(order: RunOrder, outcome: Mapping[str, Any] | None) -> tuple[Stand, str] | None:
    if outcome is None:
        return Stand.PENDING, "waits to be started"
    for one in outcome.get("refused", ()):
        if (one["app"], one["env"]) == (order.app, order.env):
            return Stand.CANCELED, f"not started ({one['code']}): {one['detail']}"
    return (Stand.CANCELED, "not started: given up after a day") if outcome.get("given_up") else None


def _of_run(run: RunView) -> tuple[Stand, str] | None:
    if run.rollout:
        return None
    if run.state in _WAITS:
        return Stand.PENDING, "queued: waits for a worker"
    if run.state in _CANCELED:
        return Stand.CANCELED, f"canceled: {run.message}" if run.message else "canceled"
    if not run.final:
        return Stand.RUNNING, "being built"
    if run.state in _GOOD:
        return Stand.SUCCESS, run.message if run.state == "Nothing to do" and run.message else "released"
    return Stand.FAILED, f"{run.state.lower()} before it was rolled out: {run.message}"


def run_of(order: RunOrder, outcome: Mapping[str, Any] | None) -> str:
    """The id of the run that an order became; empty where there is none."""
    runs: Sequence[Mapping[str, str]] = (outcome or {}).get("runs", ())
    return next((one["id"] for one in runs if (one["app"], one["env"]) == (order.app, order.env)), "")


def of_rollout(state: State, standing: Standing, commit: str, run: str, place: Place) -> tuple[Report, ...]:
    """The status and the record of a rollout as it stands; none of a way back that mends hosts alone.

    A way back of a release that was promoted before is told as that commit's status; its record is the one of the
    rollout that promoted it, and is no more than replaced (`record_of`).
    """
    ended = standing.outcome if standing.final else ""
    if not commit or ended == Outcome.MENDED.value or (state.back and state.back.outcome is Outcome.MENDED):
        return ()
    stand, text = _ENDS.get(ended, Stand.RUNNING), described(_says(state, standing))
    page = place.page_of(run)
    status = CommitStatus(commit, place.context, stand, text, page)
    if only_goes_back(state):
        return (status,)
    return status, DeploymentRecord(commit, place.environment, state.rollout, stand, text, page)


def only_goes_back(state: State) -> bool:
    """Whether the rollout is none that brought its release in: it was begun to take it back."""
    return state.back is not None and not state.admitted


def record_of(back: BroughtBack, place: Place) -> DeploymentRecord:
    """The record by which the release before is what the environment runs again."""
    text, page = described(f"{back.version} is back"), place.page_of(back.run)
    return DeploymentRecord(back.commit, place.environment, f"{back.rollout}:back", Stand.SUCCESS, text, page)


def _says(state: State, standing: Standing) -> str:
    version = state.release_version
    if standing.final:
        why = because(state.verdict, state.closed.reason) if state.closed else ""
        told = f"{version} was {standing.outcome}" if standing.outcome != "failed" else f"{version} failed"
        return f"{told}: {why}" if why else told
    if state.back:
        return f"{version} goes back: {state.back.reason}"
    if standing.outcome in {"held", "waiting"}:
        return f"{version} {'is held' if standing.outcome == 'held' else 'waits'}: {standing.waits_for}"
    steps = len(state.plan.steps) if state.plan else 0
    at = f", step {state.step.index + 1} of {steps}" if state.step and steps else ""
    return f"{version} is being rolled out{at}"
