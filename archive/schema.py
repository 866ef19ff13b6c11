"""The catalog's tables, the same on SQLite and PostgreSQL. Migrations under migrations/ lead here; a test compares."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Instants are stored as naive UTC: SQLite has no zone, and one rule for both stores is worth more than a type.
# started_at alone is a room's wall clock.

arrival = Table(
    "arrival",
    metadata,
    Column("key", String(1024), primary_key=True),
    Column("etag", String(80), primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("seen_at", DateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", DateTime),
    Column("recording_id", String(64)),
    Column("refused_at", DateTime),
    Column("refused_code", String(40)),
    Column("refused_reason", Text),
    Column("refused_reason_zh", Text),
    Column("recorder_id", String(20)),  # whose it is, where that is known
    Column("sha256", String(64)),  # of its bytes, once they have been read
    Index(None, "recording_id"),
    Index(None, "recorder_id", "seen_at"),
)

lesson = Table(
    "lesson",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("title", String(200), nullable=False),
    Column("subject", String(40), nullable=False),
    Column("grade", String(40), nullable=False),
    Column("teacher", String(80), nullable=False),
    Column("programme", String(20), nullable=False),
    Column("language", String(20), nullable=False),
    Column("school", String(40), nullable=False),
    Column("room", String(40), nullable=False),
    Column("started_at", DateTime, nullable=False),
    Column("consent", Boolean),
    Column("recording_id", String(64), nullable=False),
    Column("part", Integer, nullable=False),
    Column("take", Integer, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("published_at", DateTime),
    Column("searchable_at", DateTime),
    Column("index_edition", Integer),
    Column("indexed_at", DateTime),
    UniqueConstraint("school", "room", "started_at", "part", "take"),
    Index(None, "published_at", "started_at"),
    Index(None, "indexed_at"),
)

recording = Table(
    "recording",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("lesson_id", String(26), ForeignKey("lesson.id"), nullable=False),
    Column("key", String(1024), nullable=False),
    Column("source_key", String(200), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("received_at", DateTime, nullable=False),
    Column("part", Integer, nullable=False),
    Column("take", Integer, nullable=False),
    Column("probe", JSON(none_as_null=True)),
    Column("refused_at", DateTime),
    Column("refused_code", String(40)),
    Column("refused_reason", Text),
    Column("refused_reason_zh", Text),
    Column("damage", JSON(none_as_null=True)),
    Column("transcript_edition", Integer),
    Index(None, "lesson_id"),
    Index(None, "received_at"),
)

rendition = Table(
    "rendition",
    metadata,
    Column("recording_id", String(64), ForeignKey("recording.id"), primary_key=True),
    Column("edition", Integer, primary_key=True),
    Column("rung", String(20), primary_key=True),
    Column("codecs", String(80), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("frame_rate", String(20), nullable=False),
    Column("bandwidth_bps", Integer, nullable=False),
    Column("average_bandwidth_bps", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("playlist_key", String(300), nullable=False),
    Column("view", String(20), nullable=False, server_default="main"),
    Column("keyframe_bandwidth_bps", Integer, nullable=False, server_default="0"),
)

# One row for each ladder in the making or made: what was found out before it was cut, and when it was whole.
encoding = Table(
    "encoding",
    metadata,
    Column("recording_id", String(64), ForeignKey("recording.id"), primary_key=True),
    Column("edition", Integer, primary_key=True),
    Column("survey", JSON(none_as_null=True)),
    Column("whole_at", DateTime),
)

# One row for each task of it that is done, with the hls_segments it made.
encoded = Table(
    "encoded",
    metadata,
    Column("recording_id", String(64), ForeignKey("recording.id"), primary_key=True),
    Column("edition", Integer, primary_key=True),
    Column("task", String(60), primary_key=True),
    Column("made", JSON, nullable=False),
)

board = Table(
    "board",
    metadata,
    Column("recording_id", String(64), ForeignKey("recording.id"), primary_key=True),
    Column("edition", Integer, primary_key=True),
    Column("stills", JSON, nullable=False),
    Column("storyboard", JSON, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
)

transcript = Table(
    "transcript",
    metadata,
    Column("recording_id", String(64), ForeignKey("recording.id"), primary_key=True),
    Column("edition", Integer, primary_key=True),
    Column("language", String(20), nullable=False),
    Column("source", String(20), nullable=False),
    Column("model", String(200), nullable=False),
    Column("made_at", DateTime, nullable=False),
    Column("parent", Integer),
    Column("recipe", JSON(none_as_null=True)),
    Column("remarks", JSON(none_as_null=True)),
)

cue = Table(
    "cue",
    metadata,
    Column("recording_id", String(64), ForeignKey("recording.id"), primary_key=True),
    Column("edition", Integer, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("detail", JSON(none_as_null=True)),
)

# A lesson's sound, stretch by stretch, while it is being heard: what a crash cannot take and workers can share.
heard = Table(
    "heard",
    metadata,
    Column("recording_id", String(64), ForeignKey("recording.id"), primary_key=True),
    Column("recipe", String(64), primary_key=True),
    Column("start_ms", Integer, primary_key=True),
    Column("end_ms", Integer, nullable=False),
    Column("made", JSON(none_as_null=True)),
)

correction = Table(
    "correction",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("recording_id", String(64), ForeignKey("recording.id"), nullable=False),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("edition", Integer, nullable=False),
    Column("made_at", DateTime, nullable=False),
    Column("conflict", Text),
    Column("withdrawn_at", DateTime),
    Index(None, "recording_id"),
)

publication = Table(
    "publication",
    metadata,
    Column("lesson_id", String(26), ForeignKey("lesson.id"), primary_key=True),
    Column("recording_id", String(64), ForeignKey("recording.id"), nullable=False),
    Column("ladder_edition", Integer, nullable=False),
    Column("speech_edition", Integer),
    Column("published_at", DateTime, nullable=False),
)

obstacle = Table(
    "obstacle",
    metadata,
    Column("recording_id", String(64), ForeignKey("recording.id"), primary_key=True),
    Column("step", String(20), primary_key=True),
    Column("code", String(40), nullable=False),
    Column("reason_zh", Text, nullable=False),
    Column("since", DateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", DateTime, nullable=False),
    Index(None, "retry_at"),
)

progress = Table(
    "progress",
    metadata,
    Column("recording_id", String(64), primary_key=True),
    Column("step", String(20), primary_key=True),
    Column("fraction", Float, nullable=False),
    Column("updated_at", DateTime, nullable=False),
)

# A worker's lease: ingest/engine.py re-queues what an executor held once its row is stale.
executor = Table(
    "executor",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("started_at", DateTime, nullable=False),
    Column("beat_at", DateTime, nullable=False),
)

# One row for each lesson whose passages are to be made anew: written with the change, deleted when it can be found.
index_order = Table(
    "index_order",
    metadata,
    Column("lesson_id", String(26), ForeignKey("lesson.id"), primary_key=True),
    Column("ordered_at", DateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", DateTime, nullable=False),
    Column("reason_zh", Text),
    Index(None, "retry_at"),
)

# One row for each index that was built beside another; the one that went live last is searched.
index_edition = Table(
    "index_edition",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("edition", Integer, nullable=False),
    Column("begun_at", DateTime, nullable=False),
    Column("cursor", String(26), nullable=False),
    Column("done", Integer, nullable=False),
    Column("live_at", DateTime),
)

school = Table(
    "school",
    metadata,
    Column("code", String(40), primary_key=True),
    Column("name", String(80), nullable=False),
)

room = Table(
    "room",
    metadata,
    Column("school", String(40), ForeignKey("school.code"), primary_key=True),
    Column("code", String(40), primary_key=True),
    Column("name", String(80), nullable=False),
)

# A machine that uploads. Its secret key is the store's alone; here are digests that what it shows us is compared with.
recorder = Table(
    "recorder",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("school", String(40), nullable=False),
    Column("room", String(40), nullable=False),
    Column("label", String(80), nullable=False),
    Column("access_key", String(40), nullable=False),
    Column("token_digest", String(64), nullable=False),
    Column("gateway_digest", String(64)),
    Column("issued_at", DateTime, nullable=False),
    Column("revoked_at", DateTime),
    Column("suspended_at", DateTime),
    Column("daily_bytes", BigInteger),
    Column("daily_recordings", Integer),
    Column("clock_skew_ms", BigInteger),
    Column("clock_seen_at", DateTime),
    ForeignKeyConstraint(["school", "room"], ["room.school", "room.code"]),
    UniqueConstraint("access_key"),
    Index(None, "school", "room"),
)

# A teacher's own file on its way from a browser, piece by piece, until it is an object in the incoming bucket.
teacher_upload = Table(
    "teacher_upload",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("key", String(1024), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("piece_bytes", Integer, nullable=False),
    Column("sidecar", JSON(none_as_null=True)),
    Column("begun_at", DateTime, nullable=False),
    Column("digests", JSON(none_as_null=True)),
    Column("handed_in_at", DateTime),
    Column("done_at", DateTime),
    Column("reason_zh", Text),
)

# One row for each key that an event has named and no intake was begun for yet.
hint = Table(
    "hint",
    metadata,
    Column("key", String(1024), primary_key=True),
    Column("noted_at", DateTime, nullable=False),
    Index(None, "noted_at"),
)
