"""Names in the object store: the grammar of what recorders upload, and where Huikan keeps what it makes.

    incoming bucket   <school>/<room>/<date>T<time>[-<part>].<ext>          written by recorders
                      <school>/<room>/<date>T<time>[-<part>].live/<piece>   a recording that is still being made
    media bucket      source/<recording>.<ext>                              the bytes, immutable
                      rendition/<recording>/e<edition>/<rung>/<file>        fMP4 HLS
                      transcript/<recording>/e<edition>/<language>.vtt
                      rendition/<recording>/e<edition>/low.mp4              for players without HLS
                      still/<recording>/e<edition>/<file>                   poster, board and storyboard

A key is never joined to a path on disk: work files are named by us.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from archive.errors import Unacceptable

MEDIA_EXTENSIONS = frozenset({"mp4", "mkv", "mov", "ts", "m2ts", "flv", "avi", "mp3", "m4a", "wav"})
# In the order in which they are preferred. Text with clocks (.txt, .docx) is handed in by a person: beside a recording it is as
# often a lesson plan.
CAPTION_EXTENSIONS = ("vtt", "srt", "ass", "ssa", "ttml", "lrc")
SIDECAR_EXTENSIONS = frozenset({"json", "pdf", *CAPTION_EXTENSIONS})

_LIVE = ".live"
_LIVE_NAME = re.compile(r"open\.json|close\.json|\d{6}\.part")
VIEWS = ("teacher", "students", "screen", "mixed")

# Slugs are ASCII on purpose: S3 clients, proxies and recorders disagree about everything else.
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_STEM = re.compile(r"(\d{4}-?\d{2}-?\d{2})T(\d{2}-?\d{2}(?:-?\d{2})?)(?:-(\d{1,3}))?")
_EXPECTED_ZH = "应为 学校/教室/日期T时间[-分段].扩展名，例如 xinghuo/301/20260901T0800.mp4"


@dataclass(frozen=True, slots=True)
class IncomingKey:
    """A recorder's key, taken apart. `started_at` is the room's wall clock (naive: the recorder knows no zone)."""

    school: str
    room: str
    started_at: datetime
    part: int
    extension: str
    stem: str  # everything before the extension: sidecars share it

    @property
    def is_media(self) -> bool:
        return self.extension in MEDIA_EXTENSIONS

    @classmethod
    def parse(cls, key: str) -> "IncomingKey":
        """Raises Unacceptable, with the remedy, for every key that is not in the grammar."""
        pieces = key.split("/")
        stem, dot, extension = pieces[-1].rpartition(".")
        found = _STEM.fullmatch(stem)
        if len(pieces) != 3 or not dot or found is None or not all(_SLUG.fullmatch(p) for p in pieces[:2]):
            raise Unacceptable(shown(key), "key is not in the grammar", f"文件名不合规范：{_EXPECTED_ZH}")
        extension = extension.lower()
        if extension not in MEDIA_EXTENSIONS | SIDECAR_EXTENSIONS:
            raise Unacceptable(
                shown(key), f"extension .{extension[:16]} is not taken", f"不支持的文件类型，{_EXPECTED_ZH}"
            )
        day, clock, part = found.groups()
        clock = clock.replace("-", "").ljust(6, "0")
        try:
            started_at = datetime.strptime(day.replace("-", "") + clock, "%Y%m%d%H%M%S")  # noqa: DTZ007
        except ValueError as error:
            raise Unacceptable(shown(key), str(error), f"文件名中的日期或时间不存在，{_EXPECTED_ZH}") from error
        return cls(pieces[0], pieces[1], started_at, int(part or 1), extension, key.rpartition(".")[0])


def live_key(school: str, room: str, stem: str, name: str) -> str:
    """Where a recording that is still being made is put, piece by piece."""
    return f"{school}/{room}/{stem}{_LIVE}/{name}"


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A key below a recording in the making: its opening, a piece, or its closing."""

    incoming: IncomingKey  # as the whole recording will be called
    name: str

    @property
    def prefix(self) -> str:
        return f"{self.incoming.stem}{_LIVE}/"

    @property
    def piece(self) -> int | None:
        """Which piece it is, from 0; None for the manifests."""
        return int(self.name[:6]) if self.name.endswith(".part") else None

    @classmethod
    def parse(cls, key: str) -> "LiveKey | None":
        """None for every key that is not one."""
        folder, _, name = key.rpartition("/")
        if not folder.endswith(_LIVE) or not _LIVE_NAME.fullmatch(name):
            return None
        try:
            return cls(IncomingKey.parse(f"{folder.removesuffix(_LIVE)}.mp4"), name)
        except Unacceptable:
            return None


def is_piece(key: str) -> bool:
    """Whether an object is some bytes of a recording in the making, and nothing by itself."""
    live = LiveKey.parse(key)
    return live is not None and live.piece is not None


def shared_room(room: str) -> tuple[str, str]:
    """The room that a recorder stands in, and the view that its name says: 301-screen is the screen of 301."""
    base, _, last = room.rpartition("-")
    return (base, last) if base and last in VIEWS else (room, "")


def is_slug(text: str) -> bool:
    """Whether it can name a school or a room in a key."""
    return _SLUG.fullmatch(text) is not None


def shown(key: str) -> str:
    """A key as it may appear in a log or on a page: one line, bounded, nothing that could act."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in key[:200])


def source_key(recording_id: str, extension: str) -> str:
    return f"source/{recording_id}.{extension}"


def rendition_prefix(recording_id: str, edition: int) -> str:
    return f"rendition/{recording_id}/e{edition}"


def rung_prefix(recording_id: str, edition: int, rung: str) -> str:
    return f"{rendition_prefix(recording_id, edition)}/{rung}"


def transcript_key(recording_id: str, edition: int, language: str) -> str:
    return f"transcript/{recording_id}/e{edition}/{language}.vtt"


def progressive_key(recording_id: str, edition: int) -> str:
    return f"{rendition_prefix(recording_id, edition)}/low.mp4"


def still_key(recording_id: str, edition: int, name: str) -> str:
    return f"still/{recording_id}/e{edition}/{name}"


def poster_key(recording_id: str, edition: int) -> str:
    return still_key(recording_id, edition, "poster.jpg")
