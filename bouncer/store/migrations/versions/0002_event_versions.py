"""What events said before a replay amended them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "event_versions",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("replaced_at", sa.BigInteger(), nullable=False),
        sa.Column("ruleset", sa.Text(), nullable=False),
        sa.Column("replaced_by", sa.Text(), nullable=False),
        sa.Column("sending_domain", sa.Text(), nullable=True),
        sa.Column("suppressed_address", sa.Text(), nullable=True),
        sa.Column("suppression_reason", sa.Text(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "version", name=op.f("pk_event_versions")),
    )
    op.create_index(
        "ix_event_versions_received_at", "event_versions", ["received_at"], unique=False
    )
    op.create_index(
        "ix_event_versions_suppressed_address",
        "event_versions",
        ["suppressed_address"],
        unique=False,
        sqlite_where=sa.text("suppressed_address IS NOT NULL"),
        postgresql_where=sa.text("suppressed_address IS NOT NULL"),
    )
