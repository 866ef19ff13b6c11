"""What the JSON API says. Field descriptions are the API's documentation; api.docs renders them."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from archive.model import Cue, Lesson, Refusal, Shelf, StageState, Transcript
from search.hits import Hit


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LessonOut(_Model):
    """One lesson, as whoever may watch it sees it."""

    id: str
    title: str
    subject: str = Field(description="学科，例如 数学；空表示未知")
    grade: str = Field(description="年级，例如 七年级；空表示未知")
    teacher: str
    programme: str = Field(description="课的类型：live、sync、delivered、master、research、micro、parents、lecture")
    programme_zh: str
    language: str = Field(description="授课语言：zh 或 en")
    school: str
    room: str
    started_at: datetime = Field(description="教室里的时间，不带时区")
    duration_ms: int
    published_at: datetime | None = Field(description="可以播放的时刻（UTC）；null 表示还不能播放")
    searchable: bool = Field(description="课堂内容是否已能搜索")
    page: str = Field(description="网页地址")

    @classmethod
    def of(cls, lesson: Lesson) -> "LessonOut":
        return cls(
            id=lesson.id,
            title=lesson.title,
            subject=lesson.subject,
            grade=lesson.grade,
            teacher=lesson.teacher,
            programme=lesson.programme.value,
            programme_zh=lesson.programme.zh,
            language=lesson.language,
            school=lesson.school,
            room=lesson.room,
            started_at=lesson.started_at,
            duration_ms=lesson.duration_ms,
            published_at=lesson.published_at,
            searchable=lesson.searchable_at is not None,
            page=f"/lesson/{lesson.id}",
        )


class LessonList(_Model):
    """One page of the library, newest first."""

    items: list[LessonOut]
    total: int = Field(description="符合条件的课一共有多少（只数你能看到的）")
    limit: int
    offset: int


class CaptionOut(_Model):
    language: str = Field(description="BCP 47，例如 zh-Hans")
    label: str
    url: str = Field(description="WebVTT")


class ViewOut(_Model):
    view: str = Field(description="main、teacher、students、screen、mixed 或 view2……")
    label: str
    playlist: str


class DamageOut(_Model):
    lost_ms: int = Field(description="录像中无法读取的总时长")
    reason_zh: str


class TicketOut(_Model):
    """What became of what was sent with a ticket."""

    state: str = Field(description="receiving、received 或 refused")
    sha256: str = Field(description="已经安全存好的内容的散列；还没收全时为空")
    reason_zh: str = Field(description="收不下的原因与办法")


class PlaybackOut(_Model):
    """Where the player starts. All addresses hold until `expires_at`; then ask again."""

    playlist: str = Field(description="HLS 多码率播放列表；其中的相对地址无需再登录")
    views: list[ViewOut] = Field(description="多机位录像的各个画面，主画面在前；与 playlist 用法相同")
    progressive: str | None = Field(
        description="最小画面与声音合成的一个 MP4，供不支持 HLS 的播放器；还没做好时为 null"
    )
    board: str | None = Field(
        description="声音+板书：每页一张静止图片的 WebVTT；图片在同一地址下，.jpg 换成 .webp 更小；没有时为 null"
    )
    storyboard: str | None = Field(description="拖动进度条时的小图：WebVTT，带 #xywh；没有时为 null")
    captions: list[CaptionOut]
    poster: str | None
    damage: DamageOut | None = Field(description="录像有损坏时：丢失多少，原因是什么")
    duration_ms: int
    expires_at: int = Field(description="失效时刻，Unix 秒")


class CueOut(_Model):
    start_ms: int
    end_ms: int
    text: str
    confidence: float | None = Field(None, description="语音识别的把握，0 到 1；不知道时为 null")
    flags: list[str] = Field([], description="值得人看一眼的原因：low、loop、phrase、echo……")
    origin: str | None = Field(None, description="speech、captions 或 teacher")

    @classmethod
    def of(cls, cue: Cue) -> "CueOut":
        known = cue.detail
        return cls(
            start_ms=cue.span.start_ms,
            end_ms=cue.span.end_ms,
            text=cue.text,
            confidence=known.confidence if known else None,
            flags=list(known.flags) if known else [],
            origin=known.origin if known else None,
        )


class EditionOut(_Model):
    """一版字幕。`recipe` 说明它由什么得来：引擎、模型指纹、选项、词表。"""

    edition: int
    source: str = Field(
        description="captions：上传的字幕；speech：语音识别；teacher：老师改过；unsupported：没有模型懂这种语言"
    )
    language: str
    model: str
    made_at: datetime
    parent: int | None = Field(description="老师是在哪一版识别结果上改的")
    recipe: dict[str, object] | None
    cues: int
    current: bool


class DifferenceOut(_Model):
    """两版不同的一处；时间相同、文字不同。"""

    before: list[CueOut]
    after: list[CueOut]


class CorrectionOut(_Model):
    id: int
    start_ms: int
    end_ms: int
    before: str = Field(description="识别结果原来说的")
    after: str = Field(description="老师写的；空表示删去")
    conflict: str | None = Field(description="新的一版在这里说的是别的话，等人决定；期间显示老师写的")
    withdrawn: bool


class RemarkOut(_Model):
    """识别时出过的问题和处理办法。"""

    kind: str
    outcome: str
    start_ms: int
    end_ms: int
    text: str


class RevisionOut(_Model):
    """一节课的字幕有哪些版本、哪些改动、哪些地方机器没把握。"""

    editions: list[EditionOut]
    corrections: list[CorrectionOut]
    remarks: list[RemarkOut]


class EditIn(_Model):
    ordinal: int = Field(ge=0, description="第几行，从 0 数起")
    text: str = Field(max_length=500, description="改成什么；空表示删去这一行")


class EditsIn(_Model):
    edition: int = Field(ge=1, description="在哪一版上改；已有新版时返回 422，请刷新")
    edits: list[EditIn] = Field(min_length=1, max_length=1000)


class EditionIn(_Model):
    edition: int = Field(ge=1)


class TranscriptOut(_Model):
    """What was said. While it is not ready there are no cues; a ready one without cues means that nobody spoke."""

    ready: bool
    language: str | None = None
    source: str | None = Field(None, description="captions：随录像上传的字幕；speech：语音识别")
    cues: list[CueOut] = []

    @classmethod
    def of(cls, transcript: Transcript | None) -> "TranscriptOut":
        if transcript is None:
            return cls(ready=False, language=None, source=None, cues=[])
        cues = [CueOut.of(cue) for cue in transcript.cues]
        return cls(ready=True, language=transcript.language, source=transcript.source, cues=cues)


class HitOut(_Model):
    """One moment. `marks` are half-open stretches of `text`, in characters (code points)."""

    start_ms: int = Field(description="从这里开始播放")
    end_ms: int
    kind: str = Field(description="title：课名、老师等；said：课堂上说的话")
    text: str
    marks: list[tuple[int, int]]
    matched_by: str = Field(
        description="exact：字面相同；sound：同音；initials：拼音首字母相同；near：音近，或差一两个字"
    )
    page: str

    @classmethod
    def of(cls, hit: Hit) -> "HitOut":
        return cls(
            start_ms=hit.start_ms,
            end_ms=hit.end_ms,
            kind=hit.kind,
            text=hit.text,
            marks=list(hit.marks),
            matched_by=hit.matched_by,
            page=f"/lesson/{hit.lesson_id}?t={hit.start_ms / 1000:g}",
        )


class FoundLesson(_Model):
    lesson: LessonOut
    hits: list[HitOut] = Field(description="按课内时间排列的时刻")
    hidden: int = Field(description="还有多少个时刻没有列出")


class SearchOut(_Model):
    """Lessons in the order of their best hit."""

    query: str
    lessons: list[FoundLesson]
    more: bool = Field(description="后面还有")
    meant: list[str] = Field(description="没有搜到字面或同音的结果时：也许想找的词，每个都能搜到东西")
    parts: list[str] = Field(description="几个词不在一处时：单独能搜到的词")
    spelled: str = Field(description="字母按拼音理解时的读法，例如 gou gu ding li")


class SuggestOut(_Model):
    """What may be about to be typed; each finds something."""

    query: str
    suggestions: list[str]


class ShelfOut(_Model):
    """What the library can be filtered by: value → number of lessons that you may see."""

    subjects: dict[str, int]
    grades: dict[str, int]
    schools: dict[str, int]
    programmes: dict[str, int]
    terms: dict[str, int] = Field(default_factory=dict[str, int], description="学期（只在搜索结果里数）")
    complete: bool = Field(default=True, description="false：只数了最前面的结果，实际不少于这些")

    @classmethod
    def of(cls, shelf: Shelf) -> "ShelfOut":
        return cls(
            subjects=shelf.subjects,
            grades=shelf.grades,
            schools=shelf.schools,
            programmes=shelf.programmes,
            terms=shelf.terms,
            complete=shelf.is_complete,
        )


class RefusedOut(_Model):
    code: str
    reason_zh: str

    @classmethod
    def of(cls, refusal: Refusal | None) -> "RefusedOut | None":
        return cls(code=refusal.code, reason_zh=refusal.reason_zh) if refusal else None


class ObstacleOut(_Model):
    code: str
    reason_zh: str = Field(description="为什么在等，以及可以做什么")
    attempts: int
    retry_at: datetime | None


class StageOut(_Model):
    name: str = Field(description="received、probed、encoded、transcribed、indexed、published")
    done: bool
    fraction: float
    obstacle: ObstacleOut | None

    @classmethod
    def of(cls, state: StageState) -> "StageOut":
        known = state.obstacle
        obstacle = None
        if known is not None:
            obstacle = ObstacleOut(
                code=known.code, reason_zh=known.reason_zh, attempts=known.attempts, retry_at=known.retry_at
            )
        return cls(name=state.stage.value, done=state.done, fraction=state.fraction, obstacle=obstacle)


class ArrivalOut(_Model):
    """One object that a recorder sent. Without `recording_id` it is refused, or not taken in yet."""

    key: str
    recording_id: str | None
    lesson_id: str | None
    title: str | None
    at: datetime = Field(description="到达时刻（UTC）")
    size_bytes: int | None
    stages: list[StageOut]
    published: bool
    searchable: bool
    damage: DamageOut | None = Field(None, description="录像有损坏但仍可播放时：丢失多少，原因是什么")
    refused: RefusedOut | None


class UsageOut(_Model):
    bytes: int
    recordings: int


class RecorderOut(_Model):
    """One recorder and how it is doing. No secret of it is known here."""

    id: str
    school: str
    room: str
    school_name: str
    room_name: str
    label: str
    access_key: str
    issued_at: datetime
    revoked_at: datetime | None = Field(description="密钥收回的时刻；null 表示有效")
    suspended_at: datetime | None = Field(description="超过当天配额而暂停的时刻")
    last_seen_at: datetime | None = Field(description="最近一次收到它的文件（UTC）")
    today: UsageOut
    total: UsageOut
    daily_bytes: int | None = Field(description="每天的配额，字节；null 表示不限")
    daily_recordings: int | None
    clock_skew_ms: int | None = Field(description="它的时钟比服务器快多少毫秒（负为慢）；null 表示还不知道")
    failures: int = Field(description="30 天内被退回的文件数")
    last_failure: "RefusedOut | None"


class ReceiptOut(_Model):
    """What became of one object. A recorder may delete its own copy once `safe` is true and `sha256` is its file's."""

    key: str
    etag: str
    size_bytes: int
    sha256: str | None = Field(description="服务器读到的内容的 SHA-256；还没有读时为 null")
    state: str = Field(description="waiting：已看到，还没收下；accepted：已收下；refused：退回")
    safe: bool = Field(description="这些内容已在回看自己的存储里（含内容重复而未再入库的）")
    at: datetime = Field(description="第一次看到的时刻（UTC）")
    refused: "RefusedOut | None"


class ReceiptsOut(_Model):
    """The newest first: another file at the same key is another receipt."""

    receipts: list[ReceiptOut]


class UploadIn(_Model):
    school: str = Field(max_length=40, description="学校代号")
    room: str = Field(max_length=40, description="教室代号")
    started_at: datetime = Field(description="上课时间，教室里的钟，不带时区")
    name: str = Field(max_length=300, description="文件名，只取其扩展名")
    size_bytes: int = Field(ge=1)
    title: str = Field("", max_length=120)
    subject: str = Field("", max_length=40)
    grade: str = Field("", max_length=40)
    teacher: str = Field("", max_length=80)
    consent: StrictBool | None = Field(None, description="监护人是否同意学生观看")


class HandInIn(_Model):
    digests: list[str] = Field([], max_length=10_000, description="每一块的 SHA-256；浏览器算不了时为空")


class FormOut(_Model):
    """A signed form (S3 POST policy): POST multipart/form-data there, these fields first, then `key`, `file` last."""

    url: str
    fields: dict[str, str]
    prefix: str = Field(description="第 n 块的 key 是它加上五位数的 n")


class UploadOut(_Model):
    id: str
    key: str = Field(description="在上传桶里的名字")
    size_bytes: int
    piece_bytes: int
    pieces: int
    there: list[int] = Field(description="已经传完的块，从 1 数起")
    state: str = Field(description="open：还在传；handed-in：正在合并；done：已交给处理")
    reason_zh: str = Field(description="没能合并的原因；空表示没有问题")
    form: FormOut | None = Field(description="还在传时：怎样传一块；一小时内有效，过期请再取")


class ProgressOut(_Model):
    lesson_id: str
    recording_id: str
    consent: bool | None = Field(description="监护人是否同意学生观看；null 表示还没有人说")
    published: bool
    searchable: bool
    stages: list[StageOut]
    refused: RefusedOut | None


class ConsentIn(_Model):
    consent: StrictBool = Field(description="true：同意学生观看；false：撤回")


class HealthOut(_Model):
    """`status` is ok, degraded (viewers notice nothing yet) or down."""

    status: str
    parts: dict[str, bool]


class NotedOut(_Model):
    noted: bool = Field(description="这条通知是否涉及一个录像文件")


class ProblemOut(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    code: str
    detail: str | None = None
    errors: list[dict[str, object]] | None = None
