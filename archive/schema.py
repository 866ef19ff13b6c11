"""The catalog's tables, the same on SQLite and PostgreSQL. Migrations under migrations/ lead here; a test compares."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
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
    Column("superseded_by", String(26)),  # another lesson that is shown instead of this one
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

# One row for each import of a school's timetable. The newest that covers a room and a day counts; taking one back is a mark.
timetable = Table(
    "timetable",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("school", String(40), nullable=False),
    Column("file", String(200), nullable=False),
    Column("rooms", JSON, nullable=False),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("is_addition", Boolean, nullable=False),
    Column("made_at", DateTime, nullable=False),
    Column("undone_at", DateTime),
    Index(None, "school"),
)

slot = Table(
    "slot",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("timetable_id", Integer, ForeignKey("timetable.id"), nullable=False),
    Column("room", String(40), nullable=False),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("weekday", Integer, nullable=False),
    Column("every_weeks", Integer, nullable=False),
    Column("starts_min", Integer, nullable=False),
    Column("ends_min", Integer, nullable=False),
    Column("title", String(200), nullable=False),
    Column("subject", String(40), nullable=False),
    Column("grade", String(40), nullable=False),
    Column("teacher", String(80), nullable=False),
    Column("programme", String(20), nullable=False),
    Index(None, "timetable_id", "room", "weekday"),
)

# How far a room's recorder is ahead of the true time.
room_clock = Table(
    "room_clock",
    metadata,
    Column("school", String(40), primary_key=True),
    Column("room", String(40), primary_key=True),
    Column("offset_ms", Integer, nullable=False),
    Column("source", String(20), nullable=False),
    Column("noted_at", DateTime, nullable=False),
)

# Which lesson of the timetable a recording is, or why nobody knows. Wall clocks of the room but for placed_at.
placement = Table(
    "placement",
    metadata,
    Column("recording_id", String(64), ForeignKey("recording.id"), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("room", String(40), nullable=False),
    Column("view", String(20), nullable=False),
    Column("parts", Integer),
    Column("told_starts_at", DateTime),
    Column("starts_at", DateTime),
    Column("ends_at", DateTime),
    Column("slot_at", DateTime),
    Column("reason_zh", Text),
    Column("joined_into", String(64)),
    Column("placed_at", DateTime),
    Index(None, "state"),
)

# A recording that is still being made: its pieces lie below `prefix` of the incoming bucket until it is closed. `survey` is
# what was found out of its first minutes; `worker` makes it playable meanwhile, as long as its `beat_at` is fresh.
live = Table(
    "live",
    metadata,
    Column("recording_id", String(64), ForeignKey("recording.id"), primary_key=True),
    Column("prefix", String(1024), nullable=False),
    Column("opened_at", DateTime, nullable=False),
    Column("grown_at", DateTime, nullable=False),
    Column("pieces", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("reached_ms", Integer, nullable=False),
    Column("survey", JSON(none_as_null=True)),
    Column("worker", String(80)),
    Column("beat_at", DateTime),
    Column("closed_at", DateTime),
    Index(None, "closed_at"),
    Index(None, "prefix"),
)

# What a sender may ask for with its ticket, of which only the hash is kept.
receipt = Table(
    "receipt",
    metadata,
    Column("ticket", String(64), primary_key=True),
    Column("recording_id", String(64)),
    Column("sha256", String(64)),
    Column("reason_zh", Text),
    Column("noted_at", DateTime, nullable=False),
)
