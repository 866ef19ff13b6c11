"""Text files as schools have them: in whatever encoding an editor on Windows wrote them."""

import codecs

from archive.errors import Unreadable

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's, which is how it begins
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)


def text_of(data: bytes, name: str) -> str:
    """The text without its byte order mark. GB18030, which holds GBK and GB 2312, comes last: it takes most bytes that are
    not UTF-8. Raises Unreadable."""
    marked = next(((bom, encoding) for bom, encoding in _BOMS if data.startswith(bom)), None)
    if marked is not None:
        candidates = [marked[1]]
        data = data[len(marked[0]) :]
    elif b"\x00" in data[:200]:  # no text in another encoding begins with NUL bytes between its letters
        candidates = ["utf-16-be" if data[:1] == b"\x00" else "utf-16-le"]
    else:
        candidates = ["utf-8", "gb18030"]
    for encoding in candidates:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Unreadable(
        name, f"not {' or '.join(candidates)}", "字幕文件的文字编码无法识别，请另存为 UTF-8 编码后重新上传。"
    )
