"""recordings that are still being made, and receipts

Revision: 0008, after 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "live",
        sa.Column("recording_id", sa.String(length=64), nullable=False),
        sa.Column("prefix", sa.String(length=1024), nullable=False),
        sa.Column("opened_at", sa.DateTime(), nullable=False),
        sa.Column("grown_at", sa.DateTime(), nullable=False),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("reached_ms", sa.Integer(), nullable=False),
        sa.Column("survey", sa.JSON(), nullable=True),
        sa.Column("worker", sa.String(length=80), nullable=True),
        sa.Column("beat_at", sa.DateTime(), nullable=True),
        sa.Column("closed_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["recording_id"], ["recording.id"], name=op.f("fk_live_recording_id")),
        sa.PrimaryKeyConstraint("recording_id", name=op.f("pk_live")),
    )
    op.create_index(op.f("ix_live_closed_at"), "live", ["closed_at"])
    op.create_index(op.f("ix_live_prefix"), "live", ["prefix"])
    op.create_table(
        "receipt",
        sa.Column("ticket", sa.String(length=64), nullable=False),
        sa.Column("recording_id", sa.String(length=64), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("reason_zh", sa.Text(), nullable=True),
        sa.Column("noted_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("ticket", name=op.f("pk_receipt")),
    )


def downgrade() -> None:
    op.drop_table("receipt")
    op.drop_table("live")
