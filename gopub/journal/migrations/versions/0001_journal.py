"""The journal and the seats."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "journal",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("stream", sa.String(200), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("type", sa.String(60), nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("trace", sa.String(32), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.UniqueConstraint("stream", "version", name="one_event_per_version"),
    )
    op.create_table(
        "seats",
        sa.Column("app", sa.String(80), primary_key=True),
        sa.Column("env", sa.String(80), primary_key=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("holder", sa.String(200), nullable=False),
        sa.Column("rollout", sa.String(80), nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),
    )
