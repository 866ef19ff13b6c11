"""What a file's first bytes say it is. Names lie: exports, zips and playlists arrive as .mp4."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_MOST_BOXES = 100_000  # that takes a second; four hours in fragments of half a second have 60,000
_LEAST_BOX_BYTES = 64  # on average: a fragment's own index is larger. ffprobe takes 10 s for 16 MB of empty ones
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_ON_THE_WAY = (b"moov", b"trak", b"mdia", b"minf", b"dinf")
_NO_LOCATION_BYTES = 5  # flags, and at most an empty text
_IMPOSTORS = (
    (b"#EXTM3U", "播放列表（m3u8）"),
    (b"ffconcat", "文件拼接清单（ffconcat）"),
    (b"<MPD", "播放列表（DASH）"),
    (b"<?xml", "XML 文本"),
    (b"<!DOCTYPE", "网页"),
    (b"<html", "网页"),
    (b"PK\x03\x04", "压缩包或 Office 文档（zip）"),
    (b"PK\x05\x06", "压缩包（zip）"),
    (b"Rar!", "压缩包（rar）"),
    (b"7z\xbc\xaf\x27\x1c", "压缩包（7z）"),
    (b"\x1f\x8b", "压缩包（gzip）"),
    (b"\xfd7zXZ\x00", "压缩包（xz）"),
    (b"BZh", "压缩包（bzip2）"),
    (b"\x28\xb5\x2f\xfd", "压缩包（zstd）"),
    (b"%PDF", "PDF 文档"),
    (b"\xd0\xcf\x11\xe0", "Office 文档"),
    (b"\x89PNG", "图片（PNG）"),
    (b"\xff\xd8\xff", "图片（JPEG）"),
    (b"GIF8", "图片（GIF）"),
    (b"MZ", "Windows 程序"),
    (b"\x7fELF", "Linux 程序"),
)


def impostor(head: bytes) -> str:
    """What a file that begins like this is, in Chinese, when it is plainly something other than media; else empty."""
    for magic, what in _IMPOSTORS:
        if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(magic):
            return what
    if head[257:262] == b"ustar":  # ffmpeg would find a transport stream within, as it does after any rubbish
        return "压缩包（tar）"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "文本文件" if _is_text(head, "utf-16") else ""
    return "文本文件" if _is_text(head, "utf-8") or _is_text(head, "gb18030") else ""


def _is_text(head: bytes, encoding: str) -> bool:
    """Whether all of it is printable; up to three bytes at the end may be a character cut in two."""
    for cut in range(4):
        try:
            text = head[: len(head) - cut].decode(encoding)
        except UnicodeDecodeError:
            continue
        return all(c.isprintable() or c in "\t\r\n\f\ufeff" for c in text)
    return False


def mp4_boxes(path: Path) -> set[bytes]:
    """The kinds of top-level boxes of an MP4 or MOV; empty when it does not begin like one."""
    with path.open("rb") as file:
        kinds = [kind for kind, _, _ in _Boxes(file).between(0, path.stat().st_size)]
    return {*kinds} if kinds and kinds[0] in _FIRST_BOXES else set()


def mp4_fault(path: Path) -> str:
    """What is wrong with the structure of an MP4 or MOV that ffprobe would miss or lose itself in, in Chinese; or empty."""
    with path.open("rb") as file:
        boxes = _Boxes(file)
        if boxes.name_a_location(0, path.stat().st_size):
            return "画面和声音不在这个文件里，而在它指向的另一个文件里"
        if boxes.left == 0 and boxes.reached < _MOST_BOXES * _LEAST_BOX_BYTES:
            return "文件由无数碎块组成，不是录播设备写出的"
    return ""


class _Boxes:
    """A walk over an MP4's boxes that gives up after so many: `left` is how many more it would look at."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.left, self.reached = _MOST_BOXES, 0

    def between(self, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """Kind, begin and end of content of each box between two places, up to the first that makes no sense."""
        while self.left and start + 8 <= end:
            self._file.seek(start)
            header = self._file.read(16)
            if len(header) < 8:
                return
            size, kind, head = int.from_bytes(header[:4]), header[4:8], 8
            if size == 1:
                size, head = int.from_bytes(header[8:]), 16
            size = size or end - start  # 0: to the end
            if size < head:
                return
            self.left, self.reached = self.left - 1, max(self.reached, start)
            yield kind, start + head, min(start + size, end)
            start += size

    def name_a_location(self, start: int, end: int) -> bool:
        """Whether some track's `dref` box says in which file, or at which address, its media lie."""
        for kind, inner, inner_end in self.between(start, end):
            if kind in _ON_THE_WAY and self.name_a_location(inner, inner_end):
                return True
            if kind == b"dref":
                entries = self.between(inner + 8, inner_end)
                if any(last - first > _NO_LOCATION_BYTES for _, first, last in entries):
                    return True
        return False
