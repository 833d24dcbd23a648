"""What serves before a rollout and which floor counts then, also where the journal does not know it.

A journal may be lost or an older copy; the hosts are not. What they run is looked up in the store: a release says
itself, under its signature, which version it is and which floor it set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gopub.errors import GopubError
from gopub.fleet.facts import HostFacts
from gopub.journal.state import EnvState
from gopub.plan.floor import Before
from gopub.plan.model import ReleaseRef
from gopub.plan.steps import stands
from gopub.rollout.payload import asks_of
from gopub.rollout.policy import signed_for
from gopub.rollout.seat import before_of
from gopub.wiring.allowed import as_it_was
from gopub.wiring.project import Project


async def serves_before(project: Project, env: str, known: EnvState, facts: Mapping[str, HostFacts]) -> Before:
    """What the journal says where the hosts run that; else what the store has of the release that most hosts run.

    How hosts are asked about it only the release says. One that the store does not have, or that nobody whom the
    project accepts has signed, keeps what the journal knows of it; where that is nothing, the digits of its id for a
    version and an unknown floor.
    """
    journal = before_of(known)
    runs = stands(journal.release, facts)
    if runs is None:
        return journal
    try:
        own = project.environment(env)
        signed = await signed_for(project, project.spec.app, own.admit, runs.release)
        environment = as_it_was(signed.release, env, own)
    except (GopubError, KeyError):
        return journal if runs == journal.release else Before(runs, journal.floor or None)
    asks = tuple(asks_of(environment).items())
    if runs == journal.release:
        return replace(journal, asks=asks)
    return Before(
        ReleaseRef(signed.release_id, signed.release.version), environment.compat.floor or journal.floor, asks
    )
