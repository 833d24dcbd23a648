"""The key that signs route tables signs nothing else, and holds its role: asked before a rollout begins."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from gopub.errors import GopubError
from gopub.evidence.roles import Role
from gopub.release.config import admission_public
from gopub.rollout.policy import believed_by, roles_of
from gopub.traffic.door import RouterConnection
from gopub.wiring.table_keys import insist_on_role, open_table_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gopub.spec.admit import AdmitSpec
    from gopub.spec.models import Environment
    from gopub.wiring.project import Project


def refuse_table_key(project: Project, environment: Environment) -> None:
    """Refuse a key of tables that cannot be used, or that is a release's or admission's; edges without one need none.

    A router that no file names is not asked: whoever completes the names asks again.

    Raises:
        GopubError: GP300, GP301, GP142 it cannot be used.
        RefusedError: GP521 it signs something else, or does not hold the role ``controller``.
    """
    router = environment.traffic.router if environment.traffic else ""
    connection = project.connections.find(router) if router else None
    signing = connection.signing() if isinstance(connection, RouterConnection) else None
    if signing is None:
        return
    key = open_table_key(signing).fingerprint
    admit = environment.admit
    insist_on_role(
        key, {"signs releases": _of_releases(project, admit), "signs admissions": _of_admissions(project, admit)}
    )
    if admit.roles is None:
        return
    roles = roles_of(admit.roles, project.folder)
    if key not in {one.fingerprint for one in roles.of(Role.CONTROLLER)}:
        insist_on_role(key, {f"does not hold the role controller in the list of roles {roles.serial}": (key,)})


def _of_releases(project: Project, admit: AdmitSpec) -> Iterator[str]:
    with suppress(GopubError):  # nothing was released here yet; what is wrong with a key is told where it is used
        yield from (one.key.fingerprint for one in believed_by(project, admit).keys)


def _of_admissions(project: Project, admit: AdmitSpec) -> Iterator[str]:
    with suppress(GopubError):
        known = admission_public(admit.statement.key, project.connections)
        if known:
            yield known.fingerprint
