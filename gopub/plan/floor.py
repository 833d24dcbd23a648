"""Whether a version may serve beside or after another one, by the floor that a release names. Pure.

A release that changed what it writes says with ``compat.floor`` which versions read that. Versions are compared as
semver.org says; what is no such version is not compared. The floor of a release that was promoted stays until one is
promoted that names another: what it wrote is still there.
"""

from __future__ import annotations

from dataclasses import dataclass

from gopub.errors import RefusedError
from gopub.plan.model import ReleaseRef
from gopub.source.versions import is_older
from gopub.spec.compat import Compat


@dataclass(frozen=True, slots=True)
class Before:
    """What serves before a rollout, and which floor counts then.

    ``release`` is None where nothing serves; ``floor`` is a version, empty: there is none, None: nobody knows.
    """

    release: ReleaseRef | None = None
    floor: str | None = ""
    asks: tuple[tuple[str, str], ...] = ()
    """How a host is asked about it, as arguments of an order; none where only its release would tell."""

    @property
    def version(self) -> str:
        """Its version, empty where nothing serves."""
        return self.release.version if self.release else ""


def is_unnamed(ref: ReleaseRef) -> bool:
    """Whether nobody knows its version: it goes by digits of its id instead."""
    return ref.release.startswith(ref.version)


def refusal_of_start(version: str, compat: Compat, before: Before, *, app: str, env: str) -> RefusedError | None:
    """Why ``version`` must not come in after what serves ``before``; None where both read what the other writes.

    GP585: the stable version is below the floor of the new one, so it could neither serve beside it nor come back.
    GP586: the new version is below the floor of the stable one. GP593: the new one has a floor, and nobody knows the
    version of what serves.
    """
    if compat.below_floor == "allow":
        return None
    stable, stable_floor = before.version, before.floor
    if compat.floor and before.release and is_unnamed(before.release):
        known = f"{env} runs a release of which only the id is known, {stable}"
        return _unchecked(f"{app} {version} has the floor {compat.floor}, and {known}",
                          hint="the store must have the release that runs; or the project says "
                          "`compat: {below_floor: allow}`")  # fmt: skip
    if compat.floor and is_older(stable, compat.floor):
        return RefusedError("GP585", f"{app} {version} has the floor {compat.floor}, and {stable} is stable in {env}: "
                            "it would serve beside it, and a rollback would go there",
                            hint=f"roll out {compat.floor} or a later one first, which reads what both write; or the "
                            "project says `compat: {below_floor: allow}`")  # fmt: skip
    if stable_floor and is_older(version, stable_floor):
        return _below(version, stable_floor, stable, app=app, env=env,
                      hint=f"roll out {stable_floor} or a later one; or the project says "
                      "`compat: {below_floor: allow}`")  # fmt: skip
    return None


def told_unknown(before: Before) -> tuple[str, ...]:
    """What a plan says where nobody knows which floor counts."""
    if before.floor is not None:
        return ()
    runs = f"neither the journal nor the store knows what runs on the hosts ({before.version})"
    return (f"{runs}: which floor counts could not be checked",)


def refusal_of_way_back(
    wanted: ReleaseRef, floor: str | None, stable: str, *, app: str, env: str
) -> RefusedError | None:
    """Why a way back does not lead there; None where it does.

    GP586: it is below the floor of what was promoted last. GP593: its version, or the floor, is not known.
    """
    approves = f"whoever knows that {wanted.version} reads the data approves it with --below-floor and says why with "
    if floor is None:
        return _unchecked(f"neither the journal nor the rollback kit knows which floor counts for {app} in {env}",
                          hint=f"{approves}--reason")  # fmt: skip
    if floor and is_unnamed(wanted):
        known = f"of the release that is wanted back only the id is known, {wanted.version}"
        return _unchecked(f"the floor of {app} in {env} is {floor}, and {known}",
                          hint=f"name a version with --to; {approves}--reason")  # fmt: skip
    if not floor or not is_older(wanted.version, floor):
        return None
    return _below(wanted.version, floor, stable, app=app, env=env,
                  hint=f"go back to {floor} or a later one with --to; {approves}--reason")  # fmt: skip


def _below(version: str, floor: str, stable: str, *, app: str, env: str, hint: str) -> RefusedError:
    return RefusedError(
        "GP586", f"{app} {version} is older than {floor}, the floor of {stable or 'what runs'} in {env}: it does not "
        "read what that wrote", hint=hint
    )  # fmt: skip


def _unchecked(what: str, *, hint: str) -> RefusedError:
    return RefusedError("GP593", f"{what}: whether it reads the data could not be checked", hint=hint)
