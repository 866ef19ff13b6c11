"""the inbox of the store's events

Revision: 0006, after 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "hint",
        sa.Column("key", sa.String(length=1024), nullable=False),
        sa.Column("noted_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_hint")),
    )
    op.create_index(op.f("ix_hint_noted_at"), "hint", ["noted_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_hint_noted_at"), table_name="hint")
    op.drop_table("hint")
