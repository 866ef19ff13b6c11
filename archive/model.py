"""What Huikan talks about: lessons, recordings, tracks, cues. Plain frozen values; docs/glossary.md defines each word."""

import hashlib
from base64 import b32encode
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, NamedTuple


class Programme(StrEnum):
    """The kind of teaching occasion."""

    LIVE = "live"  # 直播课
    SYNC = "sync"  # 同步课堂
    DELIVERED = "delivered"  # 专递课堂
    MASTER = "master"  # 名师课堂
    RESEARCH = "research"  # 网络教研
    MICRO = "micro"  # 微课
    PARENTS = "parents"  # 家长课
    LECTURE = "lecture"  # 讲座

    @property
    def zh(self) -> str:
        return _PROGRAMME_ZH[self]


_PROGRAMME_ZH = {
    Programme.LIVE: "直播课",
    Programme.SYNC: "同步课堂",
    Programme.DELIVERED: "专递课堂",
    Programme.MASTER: "名师课堂",
    Programme.RESEARCH: "网络教研",
    Programme.MICRO: "微课",
    Programme.PARENTS: "家长课",
    Programme.LECTURE: "讲座",
}


class Stage(StrEnum):
    """What people see of a recording's way, in order. Derived from the outputs that exist, never stored."""

    RECEIVED = "received"
    PROBED = "probed"
    ENCODED = "encoded"
    TRANSCRIBED = "transcribed"
    INDEXED = "indexed"
    PUBLISHED = "published"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open stretch of a lesson: `start_ms` is inside, `end_ms` is not, so that neighbours tile without gaps."""

    start_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_ms < self.end_ms:
            raise ValueError(f"not a span: {self.start_ms}..{self.end_ms}")

    @property
    def duration_ms(self) -> int:
        return self.end_ms - self.start_ms


@dataclass(frozen=True, slots=True)
class CueWord:
    """One word of a cue with its time, as the engine heard it; a probability of 1 where the engine gave none."""

    span: Span
    text: str
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Change:
    """What a rule made of a piece of a cue: at `offset` of the text it now says `after`, and `before` stood there.

    `rule` says which: a number written in digits, a homophone of the glossary, a mark that was missing.
    """

    offset: int
    before: str
    after: str
    rule: str


@dataclass(frozen=True, slots=True)
class CueDetail:
    """Where a cue comes from and how far to trust it.

    `origin` is "speech", "captions" or "teacher". `confidence` is the engine's mean word probability, None where there is
    none. `flags` name doubts ("low", "loop", "phrase", …) for a person to look at. `changes` are in the order of their
    offsets; undone, they give what the engine said.
    """

    origin: str = "speech"
    confidence: float | None = None
    flags: tuple[str, ...] = ()
    words: tuple[CueWord, ...] = ()
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Cue:
    """One timed line of a transcript. `text` is one line, plain, never markup. `detail` is None where nothing is known."""

    span: Span
    text: str
    detail: CueDetail | None = None

    @property
    def plain(self) -> "Cue":
        """What a reader sees of it."""
        return Cue(self.span, self.text)


@dataclass(frozen=True, slots=True)
class Remark:
    """What a teacher should know about a stretch of a transcript: what was left out, put in or could not be heard.

    `kind` is what it was (loop, phrase, echo, unheard, unsupported, …), `outcome` what became of it (replaced, shortened,
    removed, recovered, kept, left), `text` what had been heard before.
    """

    kind: str
    span: Span
    outcome: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """All cues of a recording in one language. `edition` counts a recording's transcripts: none is ever overwritten.

    `source` is "captions" (came with the recording), "speech" (heard by `model`), "teacher" (edited by hand, on top of
    edition `parent`), or "unsupported" (spoken in a language that no model knows). No cues is a valid transcript: nobody
    spoke. `recipe` says what it was made with: engine, model, weights, options, glossary.
    """

    recording_id: str
    edition: int
    language: str  # BCP 47: zh-Hans, en
    source: str
    model: str
    cues: tuple[Cue, ...]
    parent: int | None = None
    recipe: dict[str, Any] | None = None
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class TranscriptHead:
    """An edition without its cues, for a list of them."""

    edition: int
    language: str
    source: str
    model: str
    made_at: datetime
    parent: int | None
    recipe: dict[str, Any] | None
    cue_count: int
    is_current: bool


@dataclass(frozen=True, slots=True)
class Correction:
    """What a teacher wrote instead of what an engine had heard: pinned by its time and by both texts, it outlives editions.

    `id` is 0 until the catalog has it.

    `after` "" takes the words out. `conflict` is what a newer edition says there instead of `before`, while nobody has
    decided; the teacher's words are shown meanwhile. `withdrawn_at` is set when somebody took the correction back.
    """

    id: int
    recording_id: str
    span: Span
    before: str
    after: str
    edition: int  # the one it was made on
    made_at: datetime | None = None  # None until the catalog has it
    conflict: str | None = None
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """`rotation` is the clockwise turn in degrees that a player applies; width and height are before it."""

    index: int
    codec: str
    width: int
    height: int
    frame_rate: str  # a fraction as ffprobe prints it: "25/1", "30000/1001"
    rotation: int = 0
    interlaced: bool = False
    pixel_format: str = "yuv420p"
    view: str = ""  # teacher, students, screen, mixed; empty where the recorder does not say


@dataclass(frozen=True, slots=True)
class AudioTrack:
    index: int
    codec: str
    channels: int
    sample_rate_hz: int
    language: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a recording holds. At least one track; the duration is the longest track's."""

    container: str
    duration_ms: int
    size_bytes: int
    video: tuple[VideoTrack, ...]
    audio: tuple[AudioTrack, ...]


@dataclass(frozen=True, slots=True)
class Rendition:
    """The result of one rung. Keys are in the media bucket.

    For the audio rung width, height and frame_rate are 0, 0 and "". Bandwidths as RFC 8216 §4.3.4.2 defines them, in
    bits per second: the peak hls_segment's, and the whole rendition's average.
    """

    rung: str  # "720p", "240p", "audio"
    codecs: str  # RFC 6381, e.g. "avc1.64001f" or "mp4a.40.2"
    width: int
    height: int
    frame_rate: str  # decimal with at most three places, as FRAME-RATE wants it
    bandwidth_bps: int
    average_bandwidth_bps: int
    size_bytes: int
    duration_ms: int
    playlist_key: str
    view: str = "main"  # which video track; "" for sound
    keyframe_bandwidth_bps: int = 0  # the peak of its keyframes alone, for fast seeking; 0 for sound


@dataclass(frozen=True, slots=True)
class Still:
    """One picture of the board, shown during `span`. `name` is its file's, beside the others of its board: a JPEG.

    `webp_bytes` is the size of the same picture as WebP, under `webp_name`; 0 on boards that have none.
    """

    span: Span
    name: str
    width: int
    height: int
    size_bytes: int
    webp_bytes: int = 0

    @property
    def webp_name(self) -> str:
        return self.name.replace(".jpg", ".webp")


@dataclass(frozen=True, slots=True)
class Board:
    """The lesson as pictures that stand still: one a page turn, tiling it without gaps, and the sheets of the storyboard.

    `size_bytes` counts the JPEGs of the stills, not the storyboard; `least_bytes` is what a viewer of sound and board loads
    besides the sound if the browser knows WebP, as all of the last years do.
    """

    stills: tuple[Still, ...]
    storyboard: tuple[str, ...]
    size_bytes: int

    @property
    def least_bytes(self) -> int:
        return sum(still.webp_bytes or still.size_bytes for still in self.stills)


@dataclass(frozen=True, slots=True)
class Damage:
    """What of a recording could not be read, though the rest is played: the lesson is degraded, not refused."""

    lost_ms: int
    reason_zh: str


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What a school says about a recording: `<stem>.json` beside it, or the operator's words. Empty means unknown."""

    title: str = ""
    subject: str = ""
    grade: str = ""
    teacher: str = ""
    programme: Programme = Programme.LIVE
    language: str = "zh"  # zh or en: which language is taught in
    consent: bool | None = None  # None until somebody says; students see a lesson only when it is True
    view: str = ""  # what this recorder shows: teacher, students, screen, mixed
    parts: int | None = None  # how many a lesson was cut into; None where nobody says
    clock_offset_ms: int | None = None  # how far the recorder's clock is ahead; None where it did not measure
    starts_at: datetime | None = None  # when the lesson begins by the timetable, where the recorder knows
    receipt: str = ""  # sha256 of a ticket that the sender holds, in hex


@dataclass(frozen=True, slots=True)
class Slot:
    """One line of a timetable: a lesson that is taught in a room on a weekday, from `first_day` to `last_day`, both included.

    `weekday` counts from Monday, 0. Times are minutes of the room's day. `every_weeks` 2: every other week, beginning
    with the one that `first_day` lies in. `id` is 0 until the catalog has it.
    """

    room: str
    first_day: date
    last_day: date
    weekday: int
    starts_min: int
    ends_min: int
    every_weeks: int = 1
    title: str = ""
    subject: str = ""
    grade: str = ""
    teacher: str = ""
    programme: Programme = Programme.LIVE
    id: int = 0

    def is_on(self, day: date) -> bool:
        if not self.first_day <= day <= self.last_day or day.weekday() != self.weekday:
            return False
        first_monday = self.first_day - timedelta(days=self.first_day.weekday())
        return (day - first_monday).days // 7 % self.every_weeks == 0

    def starts_at(self, day: date) -> datetime:
        """Naive: the room's wall clock."""
        return datetime.combine(day, time()) + timedelta(minutes=self.starts_min)

    def ends_at(self, day: date) -> datetime:
        return datetime.combine(day, time()) + timedelta(minutes=self.ends_min)


@dataclass(frozen=True, slots=True)
class Lesson:
    """One teaching occasion. `published_at` is None until it is playable, `searchable_at` until its transcript is."""

    id: str
    title: str
    subject: str
    grade: str
    teacher: str
    programme: Programme
    language: str
    school: str  # slug
    room: str  # slug
    started_at: datetime  # the room's wall clock, naive
    consent: bool | None
    recording_id: str  # the recording that is played
    duration_ms: int  # 0 until probed
    published_at: datetime | None = None
    searchable_at: datetime | None = None
    indexed_at: datetime | None = None  # when its passages were last made; None while it is in no index
    superseded_by: str | None = None  # the lesson that is shown instead: its parts joined, or a better take


class Place(StrEnum):
    """What is known of which lesson a recording is."""

    NEW = "new"  # not looked at yet: its length is not known
    MATCHED = "matched"  # by room and clock
    ASSIGNED = "assigned"  # by a person
    PLAIN = "plain"  # nothing to match it with, and nothing missing
    UNMATCHED = "unmatched"  # for a person to look at


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a recording belongs. `room` is the timetable's, which several recorders may share; `starts_at` and `ends_at` are
    the recording's by the corrected clock, `slot_at` the beginning of the lesson it was found to be. All naive wall clocks.
    """

    recording_id: str
    state: Place
    room: str
    view: str = ""
    parts: int | None = None  # how many the sender said there are
    told_starts_at: datetime | None = None  # the sender's word on slot_at
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    slot_at: datetime | None = None
    reason_zh: str = ""  # why it is unmatched
    joined_into: str | None = None  # the recording that holds this one and others


@dataclass(frozen=True, slots=True)
class TimetableImport:
    """One import of a school's timetable. An addition counts beside what was there; any other import counts instead of it, in
    its rooms, from its first day to its last."""

    id: int
    school: str
    file: str
    rooms: tuple[str, ...]
    first_day: date
    last_day: date
    is_addition: bool
    made_at: datetime
    undone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a step of a recording is not done yet, and what a person can do. Gone once the step is done."""

    recording_id: str
    step: str  # probe, encode, speech, index, publish
    code: str
    reason_zh: str
    since: datetime
    attempts: int = 1
    retry_at: datetime | None = None  # always set on what the catalog returns


@dataclass(frozen=True, slots=True)
class Refusal:
    """An object that became no recording, or a recording that cannot become a lesson. The object stays in the store."""

    key: str
    etag: str
    code: str
    reason: str
    reason_zh: str
    at: datetime


def lesson_id_of(recording_id: str) -> str:
    """26 characters of base32. Derived, so that a repeated step finds the same lesson; unguessable without the bytes."""
    digest = hashlib.sha256(b"huikan lesson " + recording_id.encode()).digest()
    return b32encode(digest[:16]).decode().rstrip("=").lower()


@dataclass(frozen=True, slots=True)
class Scope:
    """Which lessons a viewer may know of. Made by api.access alone; every listing and every search carries one.

    `schools` None means every school. A lesson without consent is nobody's but the staff's.
    """

    consented_only: bool = True
    schools: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class StageState:
    """One stage of one recording as people see it. `fraction` is 1.0 when done; `obstacle` says why it waits."""

    stage: Stage
    done: bool
    fraction: float
    obstacle: Obstacle | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """One object that a recorder put, and what became of it: a recording, a refusal, or neither yet."""

    key: str
    etag: str
    size_bytes: int
    seen_at: datetime
    attempts: int = 0
    retry_at: datetime | None = None  # None: now
    recording_id: str | None = None
    refusal: Refusal | None = None
    recorder_id: str | None = None  # None where nobody can say whose it is
    sha256: str | None = None  # of its bytes; None until they have been read

    @property
    def is_settled(self) -> bool:
        return self.recording_id is not None or self.refusal is not None


@dataclass(frozen=True, slots=True)
class Recording:
    """One immutable source object; `id` is the sha256 of its bytes. `source_key` is in the media bucket."""

    id: str
    lesson_id: str
    key: str  # as the recorder named it
    source_key: str
    size_bytes: int
    received_at: datetime
    part: int
    take: int
    probe: Probe | None = None
    refusal: Refusal | None = None
    damage: Damage | None = None  # None until encoded, and for a recording without a flaw


@dataclass(frozen=True, slots=True)
class Publication:
    """What a lesson is played from: one recording and the editions of its outputs. Replaced as one row."""

    lesson_id: str
    recording_id: str
    ladder_edition: int
    speech_edition: int | None  # None until the transcript is there
    published_at: datetime


@dataclass(frozen=True, slots=True)
class Shelf:
    """What the library can be filtered by, counted within one scope: value → number of lessons.

    `is_complete`: False where only the best of what was found was counted, so that there are at least so many.
    """

    subjects: dict[str, int]
    grades: dict[str, int]
    schools: dict[str, int]
    programmes: dict[str, int]
    terms: dict[str, int] = field(default_factory=dict[str, int])
    is_complete: bool = True


class Facts(NamedTuple):
    """What lessons are counted by: far less to read than a lesson is."""

    subject: str
    grade: str
    school: str
    programme: str
    started_at: datetime
