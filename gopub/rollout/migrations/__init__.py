"""The journal's schema, brought up to date by alembic; versions are only ever added."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from gopub.errors import GopubError


def upgrade(engine: sa.Engine) -> None:
    """Run the migrations that this database has not seen yet, in one transaction.

    Raises:
        GopubError: GP701 it has seen one that we do not know.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise GopubError("GP701", f"the journal's schema is not one that this gopub knows: {error}",
                             hint="a later gopub wrote it: install that one") from error  # fmt: skip
