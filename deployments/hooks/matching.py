"""Which runs a push starts: pure, from the push and the projects file alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from deployments.hooks.forges.protocol import Ignored, Push
from deployments.starter import DEPLOY, LATEST, RELEASE, RunOrder
from gopub.canon import Json
from gopub.spec.projects import Project, Projects, Rule, repository_path
from gopub.spec.refglob import EVERY
from gopub.spec.sources import BEGINS
from gopub.spec.when import Event, filled
from gopub.usecases.approvers import claimed


def orders_for(push: Push, projects: Projects, allowed: Collection[str], key: str) -> tuple[RunOrder, ...] | Ignored:
    """The runs to start for a push: one for each app of this repository whose rules name it.

    ``allowed`` are the apps whose secret the sender knows; ``key`` names the delivery.
    """
    forge = push.event.source
    mine = {
        name: app
        for name, app in projects.apps.items()
        if name in allowed and projects.forge_of(name) == forge and _is_of(push, app)
    }
    if not mine:
        return Ignored(f"no app of this sender has the repository {push.project!r}")
    orders = [
        _order(push, name, app, rule, key)
        for name, app in mine.items()
        if (rule := first_match(push.event, app.rules)) is not None
    ]
    return tuple(orders) or Ignored(f"no rule of {', '.join(mine)} names the {push.kind} {push.name!r}")


def deploy_parameters(
    name: str, app: Project, *, env: str, ref: str, actor: str, reason: str, refs: Sequence[str] = EVERY
) -> dict[str, Json]:
    """Parameters of the flow ``deploy``. They name the app: whose gopub.yaml the repository holds its owners decide."""
    return {
        "app": name, "repository": app.repository, "project": app.project or "", "project_ref": app.project_ref or "",
        "spec_file": app.spec, "env": env, "ref": ref, "refs": list(refs), "actor": actor, "reason": reason,
    }  # fmt: skip


def release_parameters(name: str, app: Project, *, ref: str, refs: Sequence[str] = EVERY) -> dict[str, Json]:
    """Parameters of the flow ``release``, for the same commit as `deploy_parameters` would name."""
    return {
        "app": name, "repository": app.repository, "project": app.project or "", "project_ref": app.project_ref or "",
        "spec_file": app.spec, "ref": ref, "refs": list(refs),
    }  # fmt: skip


def _order(push: Push, name: str, app: Project, rule: Rule, key: str) -> RunOrder:
    # A tag goes by its name, from which the version follows; a branch may move on before the run begins, so its
    # commit is named: what was pushed is what is released.
    ref, refs = push.ref if push.kind == "tag" else push.commit, rule.patterns() or (push.ref,)
    queue = LATEST if rule.queue == LATEST else ""
    order = RunOrder(
        app=name, env=rule.env or "", key=f"{push.event.source}:{key}:{name}:{rule.env or ''}",
        parameters=release_parameters(name, app, ref=ref, refs=refs), deployment=RELEASE, commit=push.commit,
        pushed=push.ref if queue else "", queue=queue,
    )  # fmt: skip
    if rule.env is None:
        return order
    reason = filled(rule.reason, push.event) if rule.reason else ""
    parameters = deploy_parameters(name, app, env=rule.env, ref=ref, actor=f"{push.event.source}:{claimed(push.user)}",
                                   reason=reason or _told(push), refs=refs)  # fmt: skip
    parameters["automatic"] = True  # nobody asked for it: repeated rollbacks stop such starts
    return replace(order, deployment=DEPLOY, parameters=parameters)


def _told(push: Push) -> str:
    what = push.event.type if push.event.type not in BEGINS else "push"
    return f"{what} of {push.kind} {push.name}" + (f" ({push.commit[:12]})" if push.commit else "")


def _is_of(push: Push, app: Project) -> bool:
    if named := app.forge_project or app.gitlab_project:
        return named == push.project
    return repository_path(app.repository) in {repository_path(one) for one in push.addresses if one}


def first_match(event: Event, rules: tuple[Rule, ...]) -> Rule | None:
    """The first of an app's rules that names this event: it alone counts."""
    return next((rule for rule in rules if rule.fits(event)), None)
