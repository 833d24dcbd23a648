"""`gopub rollout --dry-run`: admitted and planned like a real rollout; hosts are read, nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gopub.canon import Json
from gopub.errors import GopubError, RefusedError
from gopub.evidence.admission import Admission
from gopub.fleet.facts import HostFacts
from gopub.journal.reading import read_env_state
from gopub.plan.floor import refusal_of_start
from gopub.plan.model import Plan
from gopub.plan.preflight import trouble
from gopub.release.admitting import Considered, decide
from gopub.release.config import admission_public
from gopub.rollout.plan import make_plan
from gopub.rollout.policy import considered_by, kinds_of
from gopub.rollout.stating import lists_here, misfit, unbelieved, unstatable
from gopub.rollout.survey import loose_edges, read_facts
from gopub.usecases.before import serves_before
from gopub.views.plan import plan_json, plan_lines
from gopub.wiring import settings
from gopub.wiring.allowed import let_in, refusal
from gopub.wiring.naming import Elsewhere
from gopub.wiring.outside import open_ports
from gopub.wiring.project import Project, fleet_of, open_project


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a rollout would find and do; without a plan it would be refused."""

    considered: Considered
    admission: Admission
    plan: Plan | None = None
    trouble: GopubError | None = None

    @property
    def refusal(self) -> GopubError | None:
        """GP315 with the reasons, or what is in the way on the hosts; None where a rollout would begin."""
        return self.trouble if self.admission.accepted else refusal(self.considered, self.admission)

    def to_json(self) -> dict[str, Json]:
        """For ``--json``."""
        return {"admission": self.admission.to_json(), "plan": plan_json(self.plan) if self.plan else None}

    def lines(self) -> list[str]:
        """For people: the checks, then the plan."""
        checks = self.admission.checks
        width = max(len(check.name) for check in checks)
        told = [f"  {check.word}  {check.name:<{width}}  {check.reason}" for check in checks]
        release = self.considered.release
        return [
            f"{release.app} {release.version}  {release.release_id}",
            *told,
            *(plan_lines(self.plan) if self.plan else []),
        ]


async def rehearse(app: str, env: str, version: str, folder: str, elsewhere: Elsewhere | None = None) -> Rehearsal:
    """Everything that a rollout does before it changes something; see :mod:`gopub.release.admitting` for the order.

    Raises:
        GopubError: as :func:`considered_by`; GP720 a host does not answer; what the plan refuses.
    """
    project = await open_project(folder).naming_store(elsewhere)
    known = read_env_state(settings.journal(), app, env)
    considered = await considered_by(project, app, env, version, quarantined=known.quarantine)
    if not considered.admission.accepted:
        return Rehearsal(considered, considered.admission)
    admitted = let_in(considered, project)
    project = await project.naming(admitted.environment, elsewhere)
    async with open_ports(project, admitted) as ports:
        facts = await read_facts(ports.fleet, ports.hosts, ports.environment.instance)
        admission = await decide(ports.store, considered, kinds_of(facts))
        if not admission.accepted:
            return Rehearsal(considered, admission)
        before = await serves_before(project, env, known, facts)
        plan = await make_plan("dry-run", admitted.release, env, ports, facts, admitted.notes, before=before)
        found = unstatable(admission.warnings, facts) if admission.warnings else unfit_here(project, considered, facts)
        below = refusal_of_start(admitted.release.version, ports.environment.compat, before, app=app, env=env)
        stands = trouble(env, ports.environment, facts, await loose_edges(ports))
        return Rehearsal(considered, admission, plan, found or below or stands)


def unfit_here(
    project: Project, considered: Considered, facts: Mapping[str, HostFacts] | None = None
) -> RefusedError | None:
    """What is in the way of the key that signs admissions, as far as this machine can tell without one being made.

    A machine that tries a rollout need not be able to sign: a key that does not open here is nothing to say.
    """
    admit = project.environment(considered.facts.env).admit
    try:
        known = admission_public(admit.statement.key, project.connections)
    except GopubError:
        return None
    if known is None:
        return None
    return misfit(known, considered) or unbelieved(known, facts or {}, lists_here(fleet_of(project)))
