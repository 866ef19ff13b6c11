"""Reads `<stem>.json`: what a school says about a recording. Generous in what it takes, exact about what it refuses."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from archive.errors import Unreadable
from archive.model import Programme, Sidecar

T = TypeVar("T")

LIMIT_BYTES = 64 * 1024
_EXPECTED_ZH = (
    '应为 UTF-8 的 JSON 对象，例如 {"title": "勾股定理", "subject": "数学", "grade": "八年级", '
    '"teacher": "王老师", "programme": "live", "language": "zh", "consent": true}'
)
_LENGTHS = {"title": 120, "subject": 40, "grade": 40, "teacher": 80}
_PROGRAMMES = {word: programme for programme in Programme for word in (programme.value, programme.zh)}
_LANGUAGES = {
    "zh": "zh", "zh-cn": "zh", "zh-hans": "zh", "中文": "zh", "en": "en", "en-us": "en", "英语": "en",
    "zh+en": "zh+en", "en+zh": "en+zh", "双语": "zh+en", "auto": "auto", "自动": "auto",
}  # fmt: skip


def read_sidecar(data: bytes, name: str) -> Sidecar:
    """Raises Unreadable, naming the field and the remedy. Unknown fields are left alone: recorders write many."""
    try:
        told: Any = json.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise Unreadable(name, f"not JSON: {error}", f"说明文件不是有效的 JSON。{_EXPECTED_ZH}") from error
    if not isinstance(told, dict):
        raise Unreadable(name, "not a JSON object", f"说明文件的最外层不是对象。{_EXPECTED_ZH}")
    fields: dict[str, Any] = {str(key).lower(): value for key, value in told.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return Sidecar(
        **{field: _line(fields, field, limit, name) for field, limit in _LENGTHS.items()},
        programme=_chosen(fields, "programme", _PROGRAMMES, Programme.LIVE, name),
        language=_chosen(fields, "language", _LANGUAGES, "zh", name),
        consent=_consent(fields, name),
    )


def _line(fields: dict[str, Any], field: str, limit: int, name: str) -> str:
    value = fields.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable(name, f"{field} is no text", f"说明文件的 {field} 应是文字。{_EXPECTED_ZH}")
    # One printable line: titles reach logs, captions and file names.
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())[:limit]


def _chosen(fields: dict[str, Any], field: str, known: Mapping[str, T], default: T, name: str) -> T:
    value = fields.get(field)
    if value is None:
        return default
    found = known.get(str(value).strip().lower()) or known.get(str(value).strip())
    if found is None:
        allowed = "、".join(known)
        raise Unreadable(name, f"unknown {field}", f"说明文件的 {field} 不认识，可用：{allowed}。")
    return found


def _consent(fields: dict[str, Any], name: str) -> bool | None:
    value = fields.get("consent")
    if value is not None and not isinstance(value, bool):
        # "yes", 1, "true" …: guessing about children's faces is not ours to do.
        raise Unreadable(name, "consent is neither true nor false", "说明文件的 consent 只能是 true 或 false。")
    return value
