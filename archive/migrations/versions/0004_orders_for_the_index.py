"""orders for the index

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "index_order",
        sa.Column("lesson_id", sa.String(length=26), nullable=False),
        sa.Column("ordered_at", sa.DateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("retry_at", sa.DateTime(), nullable=False),
        sa.Column("reason_zh", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["lesson_id"], ["lesson.id"], name=op.f("fk_index_order_lesson_id")),
        sa.PrimaryKeyConstraint("lesson_id", name=op.f("pk_index_order")),
    )
    op.create_index(op.f("ix_index_order_retry_at"), "index_order", ["retry_at"])
    op.create_table(
        "index_edition",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("begun_at", sa.DateTime(), nullable=False),
        sa.Column("cursor", sa.String(length=26), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("live_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_index_edition")),
    )
    with op.batch_alter_table("lesson", schema=None) as batch_op:
        batch_op.add_column(sa.Column("indexed_at", sa.DateTime(), nullable=True))
        batch_op.create_index(batch_op.f("ix_lesson_indexed_at"), ["indexed_at"])
    op.execute("UPDATE lesson SET indexed_at = searchable_at WHERE searchable_at IS NOT NULL")


def downgrade() -> None:
    with op.batch_alter_table("lesson", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_lesson_indexed_at"))
        batch_op.drop_column("indexed_at")
    op.drop_table("index_edition")
    op.drop_index(op.f("ix_index_order_retry_at"), table_name="index_order")
    op.drop_table("index_order")
