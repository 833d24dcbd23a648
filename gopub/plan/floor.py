"""Whether a version may serve beside or after another one, by the floor that a release names. Pure.

A release that changed what it writes says with ``compat.floor`` which versions read that. Versions are compared as
semver.org says; what is no such version is not compared.
"""

from __future__ import annotations

from gopub.errors import RefusedError
from gopub.source.versions import is_older
from gopub.spec.compat import Compat


def refusal_of_start(
    version: str, compat: Compat, stable: str, stable_floor: str, *, app: str, env: str
) -> RefusedError | None:
    """Why ``version`` must not come in where ``stable`` runs; None where both can read what the other writes.

    GP585: the stable version is below the floor of the new one, so it could neither serve beside it nor come back.
    GP586: the new version is below the floor of the stable one.
    """
    if compat.below_floor == "allow":
        return None
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


def refusal_of_way_back(wanted: str, floor: str, stable: str, *, app: str, env: str) -> RefusedError | None:
    """GP586 where a way back leads to a version below the floor of what was promoted last; None where it does not."""
    if not floor or not is_older(wanted, floor):
        return None
    return _below(wanted, floor, stable, app=app, env=env,
                  hint=f"go back to {floor} or a later one with --to; whoever knows that {wanted} reads the data "
                  "approves it with --below-floor and says why with --reason")  # fmt: skip


def _below(version: str, floor: str, stable: str, *, app: str, env: str, hint: str) -> RefusedError:
    return RefusedError(
        "GP586", f"{app} {version} is older than {floor}, the floor of {stable or 'what runs'} in {env}: it does not "
        "read what that wrote", hint=hint
    )  # fmt: skip
