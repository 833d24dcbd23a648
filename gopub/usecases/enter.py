"""With what a rollout begins, or goes on: its release, and the environment that ports may be opened for.

One that begins needs an admitted release. One that goes on uses what its plan froze: the kit beside the journal. Its
release must still be the one that the journal names, signed by the project's key; without it the rollout can only go
back, which the first box that needs it finds out. Without a kit of this rollout on this machine the release is admitted
again, by its id.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gopub.errors import GopubError, RefusedError
from gopub.journal.kit import Kit, read_kit
from gopub.journal.reading import read_env_state
from gopub.journal.state import State
from gopub.journal.store import Journal
from gopub.release.admitting import Considered
from gopub.release.model import SignedRelease
from gopub.rollout.policy import considered_by, signed_for
from gopub.spec.admit import AdmitSpec
from gopub.wiring import settings
from gopub.wiring.allowed import Allowed, frozen, let_in
from gopub.wiring.backends import BACKENDS
from gopub.wiring.project import Project


@dataclass(frozen=True, slots=True)
class Entry:
    """What was found; ``allowed`` is None where the release may not enter: then nothing is opened."""

    allowed: Allowed | None
    signed: SignedRelease | None = None
    considered: Considered | None = None
    refused: str = ""
    alarm: str = ""


async def beginning(project: Project, journal: Journal, app: str, env: str, name: str) -> Entry:
    """For a rollout that begins. A refusal for want of evidence is the journal's to keep, so it is no error here.

    Raises:
        GopubError: as :func:`considered_by`: nobody can say what would be refused.
    """
    quarantined = read_env_state(journal, app, env).quarantine
    considered = await considered_by(project, app, env, name, quarantined=quarantined)
    return _entry(considered, project)


async def going_on(project: Project, state: State, journal: Journal) -> Entry:
    """For a rollout that is there already.

    Raises:
        GopubError: the release is not at hand, and no kit remembers its environment.
    """
    if state.plan is None:
        return await _unplanned(project, state, journal)
    kit, trouble = _kit_of(state)
    if kit is not None and kit.plan.rollout == state.rollout:
        return await _by_kit(project, state, kit)
    try:
        admitted = let_in(await considered_by(project, state.app, state.env, state.release), project)
    except GopubError as error:
        if kit is None:
            raise trouble or error from None
        return replace(
            await _by_kit(project, state, kit), alarm=f"its own kit is not here: {error.code} {error.problem}"
        )
    return Entry(admitted, admitted.signed)


async def _unplanned(project: Project, state: State, journal: Journal) -> Entry:
    """One that froze nothing yet is admitted as if it began; what can no longer be let in is refused, and ends."""
    try:
        return await beginning(project, journal, state.app, state.env, state.release)
    except RefusedError as error:
        return Entry(None, refused=f"{error.code} {error.problem}")


def _entry(considered: Considered, project: Project) -> Entry:
    if not considered.admission.accepted:
        return Entry(None, considered.signed, considered)
    return Entry(let_in(considered, project), considered.signed, considered)


async def _by_kit(project: Project, state: State, kit: Kit) -> Entry:
    """What the plan froze; whose key counts is the project's word as long as it has one."""
    try:
        signed = await signed_for(project, state.app, _admit(project, kit), state.release)
    except GopubError as error:
        return Entry(frozen(kit), alarm=f"its release is not at hand: {error.code} {error.problem}")
    return Entry(frozen(kit), signed)


def _admit(project: Project, kit: Kit) -> AdmitSpec:
    own = project.spec.environments.get(kit.plan.env)
    return (own or kit.environment).admit


def _kit_of(state: State) -> tuple[Kit | None, GopubError | None]:
    """The kit of the last plan in this env that was made on this machine, and what is wrong where there is none."""
    try:
        return read_kit(settings.kits_folder(), state.app, state.env, BACKENDS), None
    except GopubError as error:
        return None, error
