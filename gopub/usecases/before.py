"""What serves before a rollout and which floor counts then, also where the journal does not know it.

A journal may be lost or an older copy; the hosts are not. What they run is looked up in the store: a release says
itself, under its signature, which version it is and which floor it set.
"""

from __future__ import annotations

from collections.abc import Mapping

from gopub.errors import GopubError
from gopub.fleet.facts import HostFacts
from gopub.journal.state import EnvState
from gopub.plan.floor import Before
from gopub.plan.model import ReleaseRef
from gopub.plan.steps import stands
from gopub.rollout.policy import signed_for
from gopub.rollout.seat import before_of
from gopub.wiring.allowed import as_it_was
from gopub.wiring.project import Project


async def serves_before(project: Project, env: str, known: EnvState, facts: Mapping[str, HostFacts]) -> Before:
    """What the journal says where the hosts run that; else what the store has of the release that most hosts run.

    A release that the store does not have, or that nobody whom the project accepts has signed, keeps the digits of its
    id for a version; the floor is then the journal's, or unknown.
    """
    journal = before_of(known)
    runs = stands(journal.release, facts)
    if runs is None or runs == journal.release:
        return journal
    try:
        own = project.environment(env)
        signed = await signed_for(project, project.spec.app, own.admit, runs.release)
        floor = as_it_was(signed.release, env, own).compat.floor
    except (GopubError, KeyError):
        return Before(runs, journal.floor or None)
    return Before(ReleaseRef(signed.release_id, signed.release.version), floor or journal.floor)
