"""schools, rooms and recorders; whose arrival it was, and the hash of its bytes; files that teachers upload in pieces

Revision: 0005, after 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "school",
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_school")),
    )
    op.create_table(
        "room",
        sa.Column("school", sa.String(length=40), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.ForeignKeyConstraint(["school"], ["school.code"], name=op.f("fk_room_school")),
        sa.PrimaryKeyConstraint("school", "code", name=op.f("pk_room")),
    )
    op.create_table(
        "recorder",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("school", sa.String(length=40), nullable=False),
        sa.Column("room", sa.String(length=40), nullable=False),
        sa.Column("label", sa.String(length=80), nullable=False),
        sa.Column("access_key", sa.String(length=40), nullable=False),
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("gateway_digest", sa.String(length=64), nullable=True),
        sa.Column("issued_at", sa.DateTime(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(), nullable=True),
        sa.Column("suspended_at", sa.DateTime(), nullable=True),
        sa.Column("daily_bytes", sa.BigInteger(), nullable=True),
        sa.Column("daily_recordings", sa.Integer(), nullable=True),
        sa.Column("clock_skew_ms", sa.BigInteger(), nullable=True),
        sa.Column("clock_seen_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["school", "room"], ["room.school", "room.code"], name=op.f("fk_recorder_school_room")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recorder")),
        sa.UniqueConstraint("access_key", name=op.f("uq_recorder_access_key")),
    )
    op.create_index(op.f("ix_recorder_school_room"), "recorder", ["school", "room"])
    op.create_table(
        "teacher_upload",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("key", sa.String(length=1024), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("piece_bytes", sa.Integer(), nullable=False),
        sa.Column("sidecar", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("begun_at", sa.DateTime(), nullable=False),
        sa.Column("digests", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("handed_in_at", sa.DateTime(), nullable=True),
        sa.Column("done_at", sa.DateTime(), nullable=True),
        sa.Column("reason_zh", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_teacher_upload")),
    )
    with op.batch_alter_table("arrival", schema=None) as batch_op:
        batch_op.add_column(sa.Column("recorder_id", sa.String(length=20), nullable=True))
        batch_op.add_column(sa.Column("sha256", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_arrival_recorder_id_seen_at"), ["recorder_id", "seen_at"])
    # What became a recording has its hash for a name already. A sidecar carries its recording's: not its own.
    op.execute(
        "UPDATE arrival SET sha256 = recording_id WHERE recording_id IN "
        "(SELECT id FROM recording WHERE recording.key = arrival.key)"
    )


def downgrade() -> None:
    with op.batch_alter_table("arrival", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_arrival_recorder_id_seen_at"))
        batch_op.drop_column("sha256")
        batch_op.drop_column("recorder_id")
    op.drop_table("teacher_upload")
    op.drop_index(op.f("ix_recorder_school_room"), table_name="recorder")
    op.drop_table("recorder")
    op.drop_table("room")
    op.drop_table("school")
