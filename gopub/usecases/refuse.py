"""What a rollout would be refused for, asked before anything is built: of files and the journal, of no host."""

from __future__ import annotations

from gopub.errors import GopubError, LockedError, RefusedError, UsageError
from gopub.journal.reading import read_env_state
from gopub.rollout.seat import refuse_start
from gopub.rollout.wish import Wish
from gopub.usecases.refuse_app import refuse_other_app
from gopub.usecases.refuse_downgrade import refuse_downgrade
from gopub.usecases.refuse_order_key import refuse_order_key
from gopub.usecases.refuse_table_key import refuse_table_key
from gopub.usecases.start import released
from gopub.wiring import settings
from gopub.wiring.naming import Elsewhere
from gopub.wiring.project import open_project


def refuse_project(folder: str, app: str, env: str, *, automatic: bool = False, ours: str = "") -> str:
    """Refuse an env that the project does not have, and one in which something is under way; gives the project's app.

    ``ours`` is the rollout that this very run drove before: it may be under way.

    Raises:
        UsageError: GP942 there is no such env.
        RefusedError: GP940 the project is of another app than ``app``; GP722 too many automatic rollbacks in a row;
            GP521 the key of route tables signs something else.
        LockedError: GP707, GP708 a rollout is active there.
    """
    project = open_project(folder)
    environment = project.environment(env)
    refuse_other_app(project.spec.app, app)
    refuse_table_key(project, environment)
    if not _is_active(project.spec.app, env, ours):
        refuse_start(settings.journal(), Wish(app=project.spec.app, env=env, automatic=automatic))
    return project.spec.app


def refuse_release(
    app: str, env: str, version: str, release: str = "", *, downgrade: bool = False, ours: str = ""
) -> None:
    """Refuse a version that is older than the stable one, and a release that is quarantined; without env neither.

    ``ours`` is the rollout that this very run drove before: while it is under way nothing is refused.

    Raises:
        RefusedError: GP721 it is quarantined, GP730 it is older.
        LockedError: GP707, GP708 a rollout is active there.
    """
    if not env or _is_active(app, env, ours):
        return
    refuse_start(settings.journal(), Wish(app=app, env=env, release=release, version=version))
    if not downgrade:
        refuse_downgrade(app, env, version)


async def refuse_rollout(folder: str, app: str, env: str, version: str, elsewhere: Elsewhere | None = None) -> None:
    """Refuse what :func:`refuse_project` does, and a version that the store does not have, or that is not ours.

    A store that is away is no reason: the rollout asks it again, with more patience.

    Raises:
        UsageError: GP321 the store has no such version.
        RefusedError: GP310 to GP312, GP322, GP324 it is not signed by the project's key, malformed, or another app's.
        LockedError: GP707, GP708 a rollout is active there.
        GopubError: as :func:`refuse_order_key`.
    """
    refuse_project(folder, app, env)
    await refuse_order_key(folder, env, elsewhere)
    try:
        await released(folder, app, env, version, elsewhere)
    except (UsageError, RefusedError, LockedError):
        raise
    except (GopubError, OSError):
        return


def _is_active(app: str, env: str, rollout: str) -> bool:
    return bool(rollout) and read_env_state(settings.journal(), app, env).active == rollout
