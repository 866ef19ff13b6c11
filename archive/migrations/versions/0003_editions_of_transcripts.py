"""editions of transcripts

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "heard",
        sa.Column("recording_id", sa.String(length=64), nullable=False),
        sa.Column("recipe", sa.String(length=64), nullable=False),
        sa.Column("start_ms", sa.Integer(), nullable=False),
        sa.Column("end_ms", sa.Integer(), nullable=False),
        sa.Column("made", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["recording_id"], ["recording.id"], name=op.f("fk_heard_recording_id")),
        sa.PrimaryKeyConstraint("recording_id", "recipe", "start_ms", name=op.f("pk_heard")),
    )
    op.create_table(
        "correction",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("recording_id", sa.String(length=64), nullable=False),
        sa.Column("start_ms", sa.Integer(), nullable=False),
        sa.Column("end_ms", sa.Integer(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.Column("conflict", sa.Text(), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["recording_id"], ["recording.id"], name=op.f("fk_correction_recording_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_correction")),
    )
    with op.batch_alter_table("correction", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_correction_recording_id"), ["recording_id"], unique=False)
    with op.batch_alter_table("transcript", schema=None) as batch_op:
        batch_op.add_column(sa.Column("parent", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("recipe", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("remarks", sa.JSON(none_as_null=True), nullable=True))
    with op.batch_alter_table("cue", schema=None) as batch_op:
        batch_op.add_column(sa.Column("detail", sa.JSON(none_as_null=True), nullable=True))
    with op.batch_alter_table("recording", schema=None) as batch_op:
        batch_op.add_column(sa.Column("transcript_edition", sa.Integer(), nullable=True))
    # Until now a recording had one transcript: it is the current one.
    newest = "(SELECT MAX(edition) FROM transcript WHERE transcript.recording_id = {})"
    op.execute(f"UPDATE recording SET transcript_edition = {newest.format('recording.id')}")  # noqa: S608 — our own words


def downgrade() -> None:
    with op.batch_alter_table("recording", schema=None) as batch_op:
        batch_op.drop_column("transcript_edition")
    with op.batch_alter_table("cue", schema=None) as batch_op:
        batch_op.drop_column("detail")
    with op.batch_alter_table("transcript", schema=None) as batch_op:
        batch_op.drop_column("remarks")
        batch_op.drop_column("recipe")
        batch_op.drop_column("parent")
    op.drop_table("correction")
    op.drop_table("heard")
