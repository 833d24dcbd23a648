"""The journal's schema, brought up to date by alembic; versions are only ever added."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from gopub.errors import GopubError

TABLE = "gopub_schema"
"""Where the database keeps which migrations it has seen."""
NEWEST = "0001"
"""The last migration: a database that has seen it is opened without alembic, which is long to import."""


def upgrade(engine: sa.Engine) -> None:
    """Run the migrations that this database has not seen yet, in one transaction; one that is up to date is only read.

    Raises:
        GopubError: GP701 it has seen one that we do not know.
    """
    if _is_current(engine):
        return
    from alembic import command  # noqa: PLC0415 - see NEWEST
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with engine.execution_options(gopub_writes=True).begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise GopubError("GP701", f"the journal's schema is not one that this gopub knows: {error}",
                             hint="a later gopub wrote it: install that one") from error  # fmt: skip


def _is_current(engine: sa.Engine) -> bool:
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(TABLE):
            return False
        seen = connection.scalars(sa.select(sa.column("version_num", sa.String)).select_from(sa.table(TABLE)))
        return list(seen) == [NEWEST]
