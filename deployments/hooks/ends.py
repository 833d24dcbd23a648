"""Which runs the end of a rollout starts: pure, from what the journal tells of it and the projects file alone."""

from __future__ import annotations

from deployments.hooks.matching import first_match
from deployments.starter import ROLLOUT, RunOrder
from gopub.spec.projects import Project
from gopub.spec.when import Event, filled
from gopub.views.notices import Ended, Notice

_OURS = "gopub."


def event_of(notice: Notice) -> Event:
    """What a rule can ask of it."""
    release = dict(notice.related)["release"].removeprefix(f"{_OURS}release.")
    of_all = {"app": notice.app, "env": notice.env, "rollout": notice.rollout, "release": release}
    return Event("gopub", notice.name.removeprefix(_OURS), {**of_all, "payload": notice.data()})


def order_for(notice: Notice, app: Project, folder: str) -> RunOrder | None:
    """The rollout of the same version that the end of this one starts; None where no rule names it.

    ``folder`` is the project that it was started from, on the worker. The key follows from the rollout and how it
    ended, which it does once: however often the journal is read, and by however many, it is one run.
    """
    event = event_of(notice)
    rule = first_match(event, app.rules)
    if rule is None or rule.env is None or not isinstance(notice.payload, Ended):
        return None
    said = f"{notice.rollout} in {notice.env} was {event.type.removeprefix('rollout.').replace('-', ' ')}"
    return RunOrder(
        app=notice.app,
        env=rule.env,
        key=f"{key_of(notice)}:{notice.app}:{rule.env}",
        parameters={
            "app": notice.app, "env": rule.env, "version": notice.payload.version, "project": app.project or folder,
            "reason": (filled(rule.reason, event) if rule.reason else "") or said,
            "actor": f"gopub:{notice.rollout}",
            "automatic": True,  # nobody asked for it: repeated rollbacks stop such starts
        },
        deployment=ROLLOUT,
        after=notice.rollout,
    )  # fmt: skip


def key_of(notice: Notice) -> str:
    """Names the row of a rollout's end, as a delivery's id names a delivery's."""
    return f"gopub:{notice.rollout}:{notice.name.removeprefix(_OURS)}"
