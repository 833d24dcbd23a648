"""Whether a deployment would bring an older version in than the one that is stable: asked before any host is."""

from __future__ import annotations

from gopub.errors import RefusedError
from gopub.journal.reading import read_env_state
from gopub.source.versions import is_older
from gopub.wiring import settings


def refuse_downgrade(app: str, env: str, version: str) -> None:
    """Refuse a version that is older than the env's stable one; no host is asked.

    Versions that are no semantic versions, and an env without a stable release, are not compared.

    Raises:
        RefusedError: GP730 it is older.
        GopubError: GP701 the journal cannot be opened.
    """
    stable = read_env_state(settings.journal(), app, env).stable_version
    if is_older(version, stable):
        raise RefusedError(
            "GP730",
            f"{app} {version} is older than {stable}, which is stable in {env}",
            hint="`gopub rollback --to` goes back fastest; to deploy it nevertheless, ask for a downgrade",
        )
