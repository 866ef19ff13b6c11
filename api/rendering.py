"""Pages from templates: everything is escaped, static files carry their hash, and times read as people say them.

Markup is made in two places only: Jinja's own escaping, and `marked`, which escapes each piece before it marks it.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from api.access import Viewer
from archive.timecode import clock_from_ms, seconds_from_ms
from search.hits import Hit

WEB = Path(__file__).with_name("web")
STATIC = WEB / "static"

_CHINA = timezone(timedelta(hours=8))  # one zone, without summer time; a server in a container runs on UTC
_WEEKDAYS = "一二三四五六日"

EXCERPT = 56  # characters: two lines on a phone, one on a desk
BEFORE_MARK = 24
_STOPS = "。！？；!?; "

# Why a passage is shown that does not say what was typed.
WHY_ZH = {"sound": "同音", "initials": "首字母相同", "near": "音近"}

_SUBJECTS = (
    "语文 数学 英语 道德与法治 思想政治 政治 历史 地理 物理 化学 生物 科学 信息科技 信息技术 音乐 美术 体育 劳动"
)
_GRADES = "一年级 二年级 三年级 四年级 五年级 六年级 七年级 八年级 九年级 高一 高二 高三"
_RANK = {name: rank for rank, name in enumerate(f"{_SUBJECTS} {_GRADES}".split())}


class Pages:
    """The templates. `page` answers a request with one of them."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(WEB / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        filters: dict[str, Any] = {
            "clock": clock_from_ms,
            "seconds": short_seconds,
            "minutes": minutes,
            "day": day,
            "moment": moment,
            "day_only": day_only,
            "marked": marked,
            "marked_like": marked_like,
            "excerpt": excerpt,
            "school_order": school_order,
            "percent": percent,
            "size": size,
            "roughly": roughly,
        }
        globals_: dict[str, Any] = {"static": static_address, "query": query_string, "why": WHY_ZH}
        cast(dict[str, Any], self._environment.filters).update(filters)
        cast(dict[str, Any], self._environment.globals).update(globals_)

    def page(self, request: Request, template: str, viewer: Viewer, status: int = 200, **context: Any) -> Response:
        html = self._environment.get_template(template).render(viewer=viewer, path=request.url.path, **context)
        # Whoever is at the machine next must not see the last one's page; Vary keeps htmx's and others' apart.
        return HTMLResponse(html, status, {"Cache-Control": "private, no-cache", "Vary": "Cookie"})


def static_address(name: str) -> str:
    """Where a static file is. The hash makes the address new when the file is, so that it may be kept for a year."""
    return f"/static/{name}?v={_HASHES[name]}"


def _hashes() -> Iterator[tuple[str, str]]:
    for path in STATIC.rglob("*"):
        if path.is_file():
            yield path.relative_to(STATIC).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()[:10]


_HASHES = dict(_hashes())


def marked(text: str, marks: Sequence[tuple[int, int]]) -> Markup:
    """The text with <mark> around each stretch. Stretches are in order and apart; every piece is escaped by itself."""
    pieces: list[Markup] = []
    done = 0
    for start, end in marks:
        pieces += [escape(text[done:start]), Markup("<mark>"), escape(text[start:end]), Markup("</mark>")]
        done = end
    return Markup("").join([*pieces, escape(text[done:])])


def marked_like(text: str, hit: Hit | None) -> Markup:
    """The text, marked where it has what the hit marks: a title's hit is on the title together with other words."""
    needles = {hit.text[start:end] for start, end in hit.marks} if hit else set[str]()
    places = sorted(
        (found.start(), found.end()) for needle in needles if needle for found in re.finditer(re.escape(needle), text)
    )
    apart: list[tuple[int, int]] = []
    for start, end in places:
        if not apart or start >= apart[-1][1]:
            apart.append((start, end))
    return marked(text, apart)


def excerpt(hit: Hit) -> Markup:
    """What is read at a glance: the first mark and what stands around it, marked."""
    first = hit.marks[0][0] if hit.marks else 0
    start = first - BEFORE_MARK // 2 if first > BEFORE_MARK and len(hit.text) > EXCERPT else 0
    sentence = max(hit.text.rfind(stop, start, first) for stop in _STOPS) + 1
    start = sentence or start  # from where a sentence begins, if one does
    end = len(hit.text) if len(hit.text) <= start + EXCERPT else start + EXCERPT
    end = max(end, hit.marks[0][1] if hit.marks else end)
    inside = [(max(a, start) - start, min(b, end) - start) for a, b in hit.marks if a < end and b > start]
    before, after = "…" if start and not sentence else "", "…" if end < len(hit.text) else ""
    return Markup("").join([escape(before), marked(hit.text[start:end], inside), escape(after)])


def school_order(known: Mapping[str, int]) -> dict[str, int]:
    """Subjects and grades as a school lists them; what it does not list comes after, by name."""
    return dict(sorted(known.items(), key=lambda item: (_RANK.get(item[0], len(_RANK)), item[0])))


def query_string(**fields: object) -> str:
    """`?a=1&b=2` of what is set; "" when nothing is."""
    chosen = {name: str(value) for name, value in fields.items() if value not in ("", None, 0)}
    return f"?{urlencode(chosen)}" if chosen else ""


def short_seconds(ms: int) -> str:
    """Seconds for an address: 83 or 83.25."""
    return seconds_from_ms(ms).rstrip("0").rstrip(".")


def minutes(ms: int) -> str:
    """How long a lesson is, in words."""
    if ms < 60_000:
        return f"{max(1, round(ms / 1000))} 秒"
    return f"{round(ms / 60_000)} 分钟"


def day(when: datetime) -> str:
    """A lesson's day and hour by the room's clock."""
    return f"{when.year}年{when.month}月{when.day}日 周{_WEEKDAYS[when.weekday()]} {when:%H:%M}"


def day_only(when: datetime) -> str:
    """Short, for lists."""
    return f"{when:%Y-%m-%d} 周{_WEEKDAYS[when.weekday()]}"


def moment(when: datetime) -> str:
    """An instant, by China's clock."""
    local = (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(_CHINA)
    return f"{local.month}月{local.day}日 {local:%H:%M:%S}"


def percent(fraction: float) -> int:
    return int(max(0.0, min(1.0, fraction)) * 100)


def size(size_bytes: int) -> str:
    """As a file manager says it."""
    units = ("字节", "KB", "MB", "GB")
    value, unit = float(size_bytes), 0
    while value >= 1000 and unit < len(units) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {units[unit]}" if value < 1000 else f"{value:.0f} {units[unit]}"


def roughly(size_bytes: int) -> str:
    """What a lesson takes from a month's data: two digits are enough to choose by."""
    megabytes = max(0.1, size_bytes / 1_000_000)
    return f"约 {megabytes:.0f} MB" if megabytes >= 9.5 else f"约 {megabytes:.1f} MB".replace(".0 ", " ")
