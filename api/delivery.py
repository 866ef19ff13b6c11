"""What a signed path may name: the files of one published lesson, and where each of them is kept.

Names are matched against a grammar and looked up in the lesson's publication; nothing from a request is ever part of a
key. Playlists are written here, at request time, from the catalog.
"""

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass

from api.access import Clock
from archive.catalog import Catalog
from archive.keys import progressive_key, rung_prefix, still_key, transcript_key
from archive.model import Board, Damage, Lesson, Publication, Rendition
from transcode.ladder import MAIN_VIEW
from transcode.playlist import AAC, OPUS, SubtitleTrack, multivariant, subtitles_media_playlist

PLAYLIST = "application/vnd.apple.mpegurl"
CAPTIONS = "text/vtt; charset=utf-8"

FRESH_S = 10.0  # how long a withdrawn consent may still be played on
_KEPT = 512  # lessons; a class watches few at a time

PROGRESSIVE = "low.mp4"
VIEWS_ZH = {MAIN_VIEW: "主画面", "teacher": "老师", "students": "学生", "screen": "课件", "mixed": "导播画面"}

_STILLS = {"vtt": CAPTIONS, "jpg": "image/jpeg", "webp": "image/webp"}
_LABELS_ZH = {"zh-Hans": "中文", "zh": "中文", "en": "English"}

_NAME = re.compile(
    r"(?P<multivariant>main(?:-(?P<view>[a-z0-9]{1,20}))?(?P<opus>\.opus)?\.m3u8)"
    r"|(?P<progressive>low\.mp4)"
    r"|(?P<still>poster\.jpg|board\.vtt|board-[0-9]{5}\.(?:jpg|webp)|storyboard\.vtt|storyboard-[0-9]{3}\.jpg)"
    r"|captions/(?P<language>[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3})\.(?P<captions>m3u8|vtt)"
    r"|(?P<rung>[a-z0-9]{1,20}(?:-[a-z0-9]{1,6})?)/(?P<piece>(?:index|keyframes)\.m3u8|init\.mp4|seg-[0-9]{5}\.m4s)"
)


@dataclass(frozen=True, slots=True)
class Playable:
    """A published lesson and what it is played from. `language` is "" while there are no captions."""

    lesson: Lesson
    publication: Publication
    renditions: tuple[Rendition, ...]
    language: str
    board: Board | None = None  # until the stills are made, and for a lesson without a picture
    damage: Damage | None = None
    is_live: bool = False  # it is still being taught; what there is of it is played from the beginning
    is_finished: bool = False  # every rung is made, and the file for players without HLS

    @property
    def has_picture(self) -> bool:
        return any(rendition.height for rendition in self.renditions)

    @property
    def views(self) -> tuple[str, ...]:
        """What can be looked at, the main view first."""
        there = {made.view for made in self.renditions if made.height}
        return tuple(sorted(there, key=lambda view: (view != MAIN_VIEW, view)))

    @property
    def language_zh(self) -> str:
        return _LABELS_ZH.get(self.language, self.language)


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is made now."""

    text: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in the media bucket. `is_fixed` says that these bytes never change under this address."""

    key: str
    content_type: str
    is_fixed: bool


class Playables:
    """What lessons are played from, remembered for some seconds: a viewer asks for a file every few of them."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog, self._clock = catalog, clock
        self._known: OrderedDict[str, tuple[float, Playable | None]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, lesson_id: str) -> Playable | None:
        """None for a lesson that is absent or not published."""
        with self._lock:
            read_at, known = self._known.get(lesson_id, (float("-inf"), None))
        if abs(self._clock() - read_at) < FRESH_S:  # abs: a clock that was set back must not keep anything for hours
            return known
        read_at, found = self._clock(), self._read(lesson_id)
        with self._lock:
            self._known[lesson_id] = (read_at, found)
            self._known.move_to_end(lesson_id)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found

    def forget(self, lesson_id: str) -> None:
        with self._lock:
            self._known.pop(lesson_id, None)

    def _read(self, lesson_id: str) -> Playable | None:
        lesson = self._catalog.lessons.find(lesson_id)
        publication = self._catalog.outputs.publication(lesson_id)
        if lesson is None or publication is None or lesson.published_at is None:
            return None
        outputs = self._catalog.outputs
        renditions = outputs.renditions(publication.recording_id, publication.ladder_edition)
        heard = None
        if publication.speech_edition is not None:
            heard = self._catalog.transcripts.get(publication.recording_id, publication.speech_edition)
        board = self._catalog.encodings.board(publication.recording_id, publication.ladder_edition)
        damage = outputs.recording(publication.recording_id).damage
        language = heard.language if heard and heard.cues else ""
        finished = self._catalog.encodings.is_whole(publication.recording_id, publication.ladder_edition)
        live = self._catalog.lives.is_open(publication.recording_id)
        return Playable(lesson, publication, renditions, language, board, damage, is_live=live, is_finished=finished)


def multivariant_name(view: str) -> str:
    return "main.m3u8" if view == MAIN_VIEW else f"main-{view}.m3u8"


def file_of(playable: Playable, name: str) -> Written | Stored | None:
    """The file by that name, or None: outside the grammar, or not one of this lesson's."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    recording_id, edition = playable.publication.recording_id, playable.publication.ladder_edition
    if found["multivariant"]:
        return _multivariant(playable, found["view"] or MAIN_VIEW, OPUS if found["opus"] else AAC)
    if found["progressive"]:
        return Stored(progressive_key(recording_id, edition), "video/mp4", is_fixed=False)
    if found["still"]:
        content_type = _STILLS[found["still"].rpartition(".")[2]]
        return Stored(still_key(recording_id, edition, found["still"]), content_type, is_fixed=False)
    if found["captions"]:
        return _captions(playable, found["language"], found["captions"])
    return _rung_file(playable, found["rung"], found["piece"])


def _multivariant(playable: Playable, view: str, sound: str) -> Written | None:
    if view != MAIN_VIEW and view not in {made.view for made in playable.renditions}:
        return None
    subtitles: list[SubtitleTrack] = []
    if playable.language:
        uri = f"captions/{playable.language}.m3u8"
        subtitles.append(SubtitleTrack(language=playable.language, name=playable.language_zh, uri=uri))
    return Written(multivariant(playable.renditions, subtitles=subtitles, view=view, sound=sound), PLAYLIST)


def _captions(playable: Playable, language: str, form: str) -> Written | Stored | None:
    edition = playable.publication.speech_edition
    if edition is None or language != playable.language:
        return None
    if form == "m3u8":
        return Written(subtitles_media_playlist(f"{language}.vtt", playable.lesson.duration_ms), PLAYLIST)
    return Stored(transcript_key(playable.publication.recording_id, edition, language), CAPTIONS, is_fixed=False)


def _rung_file(playable: Playable, rung: str, piece: str) -> Stored | None:
    made = next((made for made in playable.renditions if made.rung == rung), None)
    if made is None:
        return None
    publication = playable.publication
    key = f"{rung_prefix(publication.recording_id, publication.ladder_edition, rung)}/{piece}"
    if piece.endswith(".m3u8"):
        return Stored(key, PLAYLIST, is_fixed=False)
    return Stored(key, "video/mp4" if made.height else "audio/mp4", is_fixed=True)
