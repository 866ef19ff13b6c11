"""What a file's first bytes say it is. Names lie: exports, zips and playlists arrive as .mp4."""

from pathlib import Path

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
    kinds: set[bytes] = set()
    with path.open("rb") as file:
        while len(header := file.read(16)) >= 8:
            size, kind = int.from_bytes(header[:4]), header[4:8]
            if not kinds and kind not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                return set()
            kinds.add(kind)
            size = int.from_bytes(header[8:]) if size == 1 else size
            if size < 8 or len(kinds) > 100:  # 0: to the end of the file
                break
            file.seek(size - len(header), 1)
    return kinds
