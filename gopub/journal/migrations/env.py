"""What alembic runs: migrate on the connection that gopub hands in."""

from __future__ import annotations

from alembic import context

from gopub.journal.migrations import TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=TABLE,
    transactional_ddl=True,
)
context.run_migrations()
