"""The journal's schema, brought up to date by alembic; versions are only ever added."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from gopub.errors import GopubError

TABLE = "gopub_schema"
"""Where the database keeps which migrations it has seen."""


def upgrade(engine: sa.Engine) -> None:
    """Run the migrations that this database has not seen yet, in one transaction; one that is up to date is only read.

    Raises:
        GopubError: GP701 it has seen one that we do not know.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    if _is_current(engine, config):
        return
    with engine.execution_options(gopub_writes=True).begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise GopubError("GP701", f"the journal's schema is not one that this gopub knows: {error}",
                             hint="a later gopub wrote it: install that one") from error  # fmt: skip


def _is_current(engine: sa.Engine, config: Config) -> bool:
    with engine.connect() as connection:
        seen = MigrationContext.configure(connection, opts={"version_table": TABLE}).get_current_revision()
    return seen == ScriptDirectory.from_config(config).get_current_head()
