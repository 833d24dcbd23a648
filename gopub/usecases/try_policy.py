"""A release held against a policy, without a rollout: nothing but the store is asked, nothing is changed or kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gopub.canon import Json
from gopub.errors import RefusedError
from gopub.evidence.admission import Admission
from gopub.release.admitting import Considered, decide
from gopub.rollout.policy import held_against
from gopub.spec.admit import AdmitSpec
from gopub.usecases.read_statements import Statement, statements_of
from gopub.wiring.allowed import refusal
from gopub.wiring.project import Project

_OF_A_ROLLOUT = frozenset({"target", "quarantine"})
"""What hosts and the journal say; neither is asked here."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What was found, and the decision as far as no host and no journal has a say in it."""

    considered: Considered
    admission: Admission
    stated: tuple[Statement, ...] | None = None
    """What was stated of it; None where nobody asked."""

    @property
    def refusal(self) -> RefusedError | None:
        """GP315 with the reasons, or what is wrong with a statement; None where it may enter and none is forged."""
        if not self.admission.accepted:
            return refusal(self.considered, self.admission)
        return next((one.error for one in self.stated or () if one.error), None)

    def to_json(self) -> dict[str, Json]:
        """For ``--json``."""
        release = self.considered.release
        told = {"app": release.app, "version": release.version, **self.admission.to_json()}
        return told if self.stated is None else {**told, "statements": [one.to_json() for one in self.stated]}

    def lines(self) -> list[str]:
        """For people: a table of the checks, and what comes of them."""
        release, checks = self.considered.release, self.admission.checks
        width = max(len(check.name) for check in checks)
        told = [f"  {check.word}  {check.name:<{width}}  {check.reason}" for check in checks]
        told += [f"  {one.word:<4}  {'statement':<{width}}  {one.reason}" for one in self.stated or ()]
        if self.stated == ():
            told.append(f"  none  {'statement':<{width}}  nothing was stated of it in {self.admission.env} yet")
        warned = len(self.admission.warnings)
        end = "accepted" if self.refusal is None else "refused"
        end += f", {warned} told and not refused (mode: warn)" if warned else ""
        return [f"{release.app} {release.version}  {release.release_id}", *told, end]


async def try_policy(admit: AdmitSpec, project: Project, app: str, env: str, name: str) -> Tried:
    """Hold a release against a policy; the archives of all its targets are read. Without ``env`` none is asked of.

    Raises:
        RefusedError: GP310 to GP312, GP316, GP317 whoever signed it is not accepted: then nothing of it was read.
        GopubError: as :func:`held_against`.
    """
    considered = await held_against(admit, project, app, env, name)
    whole = await decide(project.store(), considered, tuple(considered.release.targets))
    left_out = _OF_A_ROLLOUT if env else _OF_A_ROLLOUT | {"environment"}
    return Tried(considered, replace(whole, checks=tuple(one for one in whole.checks if one.name not in left_out)))


async def hold_against(project: Project, env: str, name: str) -> Tried:
    """Hold a release against the policy of an environment, and read what was stated of it there.

    Raises:
        UsageError: GP942 the project has no such environment.
        GopubError: as :func:`try_policy` and :func:`statements_of`.
    """
    admit = project.environment(env).admit
    tried = await try_policy(admit, project, project.spec.app, env, name)
    return replace(tried, stated=await statements_of(project, admit, tried.considered))
