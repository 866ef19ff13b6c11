"""What a gateway makes of a file's name: recorders that do not speak S3 name files as they please. Pure.

Our own grammar is kept as it is. Else a date and a time of day are looked for in the name, then in the folders it lies in:
`CH01_20260901_080000.mp4`, `2026-09-01 08-00-00.ts`, `20260901/080000_2.flv`, `录像2026年09月01日08时00分.mp4`. A number
behind them is a part's. Without either, the time that the file came at is taken.
"""

import re
from datetime import datetime

from archive.errors import Unacceptable
from archive.keys import MEDIA_EXTENSIONS, SIDECAR_EXTENSIONS, IncomingKey, shown

_DATE = r"(20\d\d)[-_.年/]?(0[1-9]|1[0-2])[-_.月/]?(0[1-9]|[12]\d|3[01])日?"
_TIME = r"([01]\d|2[0-3])[-_:.时]?([0-5]\d)(?:[-_:.分]?([0-5]\d)秒?)?分?"
_WHEN = re.compile(rf"(?<!\d){_DATE}[-_ T/.]*{_TIME}(?!\d)")
_PART = re.compile(r"[-_ .(（]{0,2}(?:part|p|第)?(\d{1,3})段?[)）]?", re.IGNORECASE)
_TEXT_LIMIT = 400


def extension_of(name: str) -> str:
    """Lower case, without its dot; "" where there is none."""
    stem, dot, extension = name.rpartition(".")
    return extension.lower() if dot and stem else ""


def is_taken(name: str) -> bool:
    """Whether a file of this name may become an object at all. Half-written ones (.tmp, .part, hidden) may not."""
    return not name.startswith(".") and extension_of(name) in MEDIA_EXTENSIONS | SIDECAR_EXTENSIONS


def key_for(prefix: str, path: str, came_at: datetime) -> str:
    """The key below `prefix` (`<school>/<room>/`) of a file at `path` (with `/`, below the recorder's own folder).

    `came_at` is by the room's clock. Raises Unacceptable for a file that is none of ours.
    """
    folder, _, name = path.rpartition("/")
    if not is_taken(name):
        zh = "不是录像、字幕、课件或说明文件。"
        raise Unacceptable(shown(path), f"extension .{extension_of(name)[:16]} is not taken", zh)
    extension = extension_of(name)
    own = f"{prefix}{name.rpartition('.')[0]}.{extension}"
    try:
        IncomingKey.parse(own)
    except Unacceptable:
        return f"{prefix}{_stem(folder, name, came_at)}.{extension}"
    return own


def _stem(folder: str, name: str, came_at: datetime) -> str:
    stem = name.rpartition(".")[0]
    for text in (stem, f"{folder[-_TEXT_LIMIT:]}/{stem}"):
        for found in _WHEN.finditer(text[-_TEXT_LIMIT:]):
            year, month, day, hour, minute, second = found.groups()
            try:
                at = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0))  # noqa: DTZ001
            except ValueError:  # the 31st of June
                continue
            return f"{at:%Y%m%dT%H%M%S}{_part(text[-_TEXT_LIMIT:][found.end() :])}"
    return f"{came_at:%Y%m%dT%H%M%S}"


def _part(rest: str) -> str:
    found = _PART.fullmatch(rest)
    return f"-{int(found[1])}" if found and int(found[1]) > 0 else ""
