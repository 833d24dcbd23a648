"""For which environments hosts, edges, metrics and logs may be opened: the only place that says so.

Ports are opened for an ``Allowed`` environment alone, and only the functions here make one:

* :func:`let_in`: of a release that was admitted. Where it goes and whose word counts is the project's
  (:mod:`gopub.spec.decides`); what the release says otherwise is not used, and the plan says so.
* :func:`frozen`: of the kit that a plan wrote: a rollout that goes on uses what its plan froze.
* :func:`of_project`: of the project itself, with no release at all: to ask edges how they stand.

An environment out of a release that nobody admitted reaches no inventory, no connection and no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gopub.errors import RefusedError
from gopub.evidence.admission import Admission
from gopub.journal.kit import Kit
from gopub.release.admitting import Considered
from gopub.release.environments import read_environment
from gopub.release.model import Release, SignedRelease
from gopub.spec.decides import joined
from gopub.spec.models import Environment

if TYPE_CHECKING:
    from gopub.wiring.project import Project

_SEAL = object()


class Allowed:
    """An environment that ports may be opened for; ``notes`` say in what a release was overruled."""

    __slots__ = ("environment", "notes")

    def __init__(self, environment: Environment, notes: tuple[str, ...] = (), *, seal: object = None) -> None:
        """Keep the environment; only this module has the seal."""
        if seal is not _SEAL:
            raise TypeError("only gopub.wiring.allowed says which environment ports may be opened for")
        self.environment = environment
        self.notes = notes


class Admitted(Allowed):
    """A release that may enter an environment, and that environment: of both their words."""

    __slots__ = ("admission", "signed")

    def __init__(
        self,
        signed: SignedRelease,
        admission: Admission,
        environment: Environment,
        notes: tuple[str, ...],
        *,
        seal: object = None,
    ) -> None:
        """Keep the four; only this module has the seal."""
        super().__init__(environment, notes, seal=seal)
        self.signed = signed
        self.admission = admission

    @property
    def release(self) -> Release:
        """The release."""
        return self.signed.release


def let_in(considered: Considered, project: Project) -> Admitted:
    """The admitted release, with the environment that it and the project make together.

    Raises:
        RefusedError: GP315 with the reasons; GP351 its environment is not one that this gopub reads.
        UsageError: GP942 the project has no such environment.
    """
    admission = considered.admission
    if not admission.accepted:
        raise refusal(considered, admission)
    env = considered.facts.env
    said = read_environment(env, considered.release.environments[env])
    environment, overruled = joined(said, project.environment(env))
    return Admitted(considered.signed, admission, environment, tuple(map(str, overruled)), seal=_SEAL)


def as_it_was(release: Release, env: str, own: Environment) -> Environment:
    """What a release that runs already made of the project's environment: to compare with, no ports open for it.

    Raises:
        RefusedError: GP351 its environment is not one that this gopub reads.
        KeyError: it has no such environment.
    """
    return joined(read_environment(env, release.environments[env]), own)[0]


def refusal(considered: Considered, admission: Admission) -> RefusedError:
    """The error for a release that may not enter, with every reason."""
    release = considered.release
    where = f" {admission.env}" if admission.env else ""
    return RefusedError(
        "GP315",
        f"{release.app} {release.version} may not enter{where}: {'; '.join(admission.reasons)}",
        hint="see docs/concepts/admission.md; nothing was changed",
    )


def frozen(kit: Kit) -> Allowed:
    """The environment that a plan froze: it was admitted then."""
    return Allowed(kit.environment, seal=_SEAL)


def of_project(project: Project, env: str) -> Allowed:
    """The environment as the project alone says.

    Raises:
        UsageError: GP942 there is none of that name.
    """
    return Allowed(project.environment(env), seal=_SEAL)
