"""What alembic runs: migrate on the connection that gopub hands in."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="gopub_schema",
    transactional_ddl=True,
)
context.run_migrations()
