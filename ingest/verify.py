"""Walks catalog, store and index and tells every disagreement. Changes nothing.

Each finding names what is wrong, where, and what puts it right; no finding means that the three agree.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from archive.keys import CAPTION_EXTENSIONS, poster_key, progressive_key, still_key
from archive.model import Lesson
from ingest.indexing import wanted
from ingest.runtime import Runtime
from ingest.tidying import PIECES
from transcode.board import BOARD_VTT, STORYBOARD_VTT
from transcode.playlist import KEYFRAMES_NAME

_PLAYLIST_LIMIT_BYTES = 4 * 2**20
_REDO_ZH = "请运行 huikan reprocess --step transcode --force。"


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement. `code` is stable: missing-object, missing-output, wrong-size, not-indexed,
    wrong-visibility, index-orphan, unreferenced."""

    code: str
    subject: str
    detail_zh: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked at, and what disagreed."""

    lessons: int
    objects: int
    findings: tuple[Finding, ...]


def verify(runtime: Runtime) -> Checked:
    """Raises Unavailable when one of the three cannot be asked at all. The work of minutes on a large library."""
    objects = {found.key: found.size_bytes for found in runtime.store.list(runtime.media)}
    lessons = runtime.catalog.lessons.every()
    walk = _Walk(runtime, objects)
    findings = [*walk.recordings(), *walk.publications(lessons), *_index(runtime), *walk.strays()]
    return Checked(len(lessons), len(objects), tuple(findings))


class _Walk:
    """Remembers which objects something speaks of, so that the rest can be named at the end."""

    def __init__(self, runtime: Runtime, objects: dict[str, int]) -> None:
        self._runtime, self._objects = runtime, objects
        self._referenced: set[str] = set()
        self._growing: list[str] = []  # still being recorded: nothing of them is whole yet

    def recordings(self) -> Iterator[Finding]:
        """Every recording has its source, of its size; every output in the catalog has its objects."""
        outputs = self._runtime.catalog.outputs
        offset, page = 0, 200
        while found := outputs.recordings(limit=page, offset=offset):
            offset += page
            for recording in found:
                if self._runtime.catalog.lives.is_open(recording.id):
                    self._growing.append(recording.id)
                    continue
                size = self._required(recording.source_key)
                if size is None and recording.refusal is not None and not recording.size_bytes:
                    continue  # it was refused before it was whole
                if size is None:
                    yield Finding("missing-object", recording.source_key, "原始录像不见了，请重新上传。")
                elif size != recording.size_bytes:
                    yield Finding(
                        "wrong-size", recording.source_key, f"应为 {recording.size_bytes} 字节，实为 {size}。"
                    )
                for extension in (*CAPTION_EXTENSIONS, "pdf"):
                    self._refer(f"source/{recording.id}.{extension}")
                for edition in outputs.editions(recording.id):
                    yield from self._ladder(recording.id, edition)
                for key in self._runtime.catalog.transcripts.keys(recording.id):
                    if self._required(key) is None:
                        yield Finding("missing-object", key, "请运行 huikan reprocess --step transcribe --force。")

    def _ladder(self, recording_id: str, edition: int) -> Iterator[Finding]:
        yield from self._stills(recording_id, edition)
        self._refer(progressive_key(recording_id, edition))
        for rendition in self._runtime.catalog.outputs.renditions(recording_id, edition):
            if self._required(rendition.playlist_key) is None:
                yield Finding("missing-object", rendition.playlist_key, _REDO_ZH)
                continue
            folder = rendition.playlist_key.rpartition("/")[0]
            self._refer(f"{folder}/{KEYFRAMES_NAME}")
            store, media = self._runtime.store, self._runtime.media
            text = store.get_bytes(media, rendition.playlist_key, limit_bytes=_PLAYLIST_LIMIT_BYTES).decode()
            for name in files_named_in(text):
                if not self._required(f"{folder}/{name}"):
                    yield Finding("missing-object", f"{folder}/{name}", _REDO_ZH)

    def _stills(self, recording_id: str, edition: int) -> Iterator[Finding]:
        self._refer(poster_key(recording_id, edition))
        board = self._runtime.catalog.encodings.board(recording_id, edition)
        if board is None:
            return
        pictures = [
            name for still in board.stills for name in (still.name, *([still.webp_name] * bool(still.webp_bytes)))
        ]
        names = [BOARD_VTT, STORYBOARD_VTT, *pictures, *board.storyboard]
        for key in (still_key(recording_id, edition, name) for name in names):
            if self._required(key) is None:
                yield Finding("missing-object", key, _REDO_ZH)

    def publications(self, lessons: list[Lesson]) -> Iterator[Finding]:
        """What a lesson is played from exists."""
        outputs = self._runtime.catalog.outputs
        for lesson in lessons:
            published = outputs.publication(lesson.id)
            if (published is None) != (lesson.published_at is None):
                yield Finding("missing-output", lesson.id, "课程与发布记录不一致。")
            if published is None:
                continue
            if not outputs.renditions(published.recording_id, published.ladder_edition):
                yield Finding("missing-output", lesson.id, "已发布的课程没有转码结果。")
            heard = published.speech_edition
            editions = [each.edition for each in self._runtime.catalog.transcripts.editions(published.recording_id)]
            if heard is not None and heard not in editions:
                yield Finding("missing-output", lesson.id, "已发布的课程没有字幕。")

    def strays(self) -> Iterator[Finding]:
        """Objects that nothing speaks of. Those of a recording still in the making are no strays."""
        making = tuple(
            prefix
            for recording_id in (*self._runtime.catalog.outputs.unfinished(), *self._growing)
            for prefix in (
                f"rendition/{recording_id}/",
                f"still/{recording_id}/",
                f"transcript/{recording_id}/",
            )
        )
        for key in self._objects:
            # Pieces of a teacher's file: ingest.tidying takes away those that nobody wants any more.
            if key not in self._referenced and not key.startswith((*making, PIECES)):
                yield Finding("unreferenced", key, "没有任何课程用到它，可以删除。")

    def _refer(self, key: str) -> int | None:
        self._referenced.add(key)
        return self._objects.get(key)

    def _required(self, key: str) -> int | None:
        """The size of an object that must be there. The listing may be older than what the catalog says of it."""
        size = self._refer(key)
        if size is None and (there := self._runtime.store.stat(self._runtime.media, key)) is not None:
            size = there.size_bytes
        return size


def files_named_in(playlist: str) -> tuple[str, ...]:
    """Every file that a media playlist of ours names, the init section first."""
    lines = [line for line in playlist.splitlines() if line]
    maps = [line.partition('URI="')[2].partition('"')[0] for line in lines if line.startswith("#EXT-X-MAP:")]
    return (*maps, *(line for line in lines if not line.startswith("#")))


def _index(runtime: Runtime) -> Iterator[Finding]:
    """The index holds the lessons that the catalog says, for whom the catalog says. What is ordered is on its way."""
    ordered = {order.lesson_id for order in runtime.catalog.indexing.orders()}
    should, found = wanted(runtime), runtime.index.seen()
    lessons, indexed = {one.lesson_id for one in should}, {one.lesson_id for one in found}
    for lesson_id in sorted(lessons - indexed - ordered):
        yield Finding("not-indexed", lesson_id, f"请运行 huikan reindex {lesson_id}。")
    for lesson_id in sorted({one.lesson_id for one in should ^ found} & lessons & indexed - ordered):
        yield Finding("wrong-visibility", lesson_id, f"索引里的可见范围已过时，请运行 huikan reindex {lesson_id}。")
    for lesson_id in sorted(indexed - {lesson.id for lesson in runtime.catalog.lessons.every()}):
        yield Finding("index-orphan", lesson_id, "索引里有目录库没有的课程，请运行 huikan reindex --changed。")
