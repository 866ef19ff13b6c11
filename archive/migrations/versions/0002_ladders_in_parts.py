"""ladders in parts

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "encoding",
        sa.Column("recording_id", sa.String(length=64), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("survey", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("whole_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["recording_id"], ["recording.id"], name=op.f("fk_encoding_recording_id")),
        sa.PrimaryKeyConstraint("recording_id", "edition", name=op.f("pk_encoding")),
    )
    op.create_table(
        "encoded",
        sa.Column("recording_id", sa.String(length=64), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("task", sa.String(length=60), nullable=False),
        sa.Column("made", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["recording_id"], ["recording.id"], name=op.f("fk_encoded_recording_id")),
        sa.PrimaryKeyConstraint("recording_id", "edition", "task", name=op.f("pk_encoded")),
    )
    op.create_table(
        "board",
        sa.Column("recording_id", sa.String(length=64), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("stills", sa.JSON(), nullable=False),
        sa.Column("storyboard", sa.JSON(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["recording_id"], ["recording.id"], name=op.f("fk_board_recording_id")),
        sa.PrimaryKeyConstraint("recording_id", "edition", name=op.f("pk_board")),
    )
    with op.batch_alter_table("recording", schema=None) as batch_op:
        batch_op.add_column(sa.Column("damage", sa.JSON(none_as_null=True), nullable=True))
    with op.batch_alter_table("rendition", schema=None) as batch_op:
        batch_op.add_column(sa.Column("view", sa.String(length=20), nullable=False, server_default="main"))
        batch_op.add_column(sa.Column("keyframe_bandwidth_bps", sa.Integer(), nullable=False, server_default="0"))
    # Until now a ladder was written down only when it was whole.
    op.execute(
        "INSERT INTO encoding (recording_id, edition, whole_at) "
        "SELECT DISTINCT recording_id, edition, CURRENT_TIMESTAMP FROM rendition"
    )


def downgrade() -> None:
    with op.batch_alter_table("rendition", schema=None) as batch_op:
        batch_op.drop_column("keyframe_bandwidth_bps")
        batch_op.drop_column("view")
    with op.batch_alter_table("recording", schema=None) as batch_op:
        batch_op.drop_column("damage")
    op.drop_table("board")
    op.drop_table("encoded")
    op.drop_table("encoding")
