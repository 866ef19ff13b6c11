"""Reads `<stem>.json`: what a school or a recorder says about a recording. Generous in what it takes, exact about what it
refuses: every fault names its field by a JSON pointer (RFC 6901).

The model below is the schema that docs/sidecar.schema.json publishes; script/docs writes it.
"""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from archive.errors import Unreadable
from archive.model import Programme, Sidecar

T = TypeVar("T")

LIMIT_BYTES = 64 * 1024
VIEWS = {"teacher": "老师", "students": "学生", "screen": "课件", "mixed": "导播"}
MOST_PARTS = 99
_DAY_MS = 86_400_000
_FAULTS_SHOWN = 5
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
_VIEW_WORDS = {word: view for view, zh in VIEWS.items() for word in (view, zh)}


def _known(words: Mapping[str, Any]) -> Any:
    """A validator that takes any of `words`, in any case and with blanks around it."""

    def check(value: object) -> object:
        if value is None:
            return None
        text = str(value).strip()
        found = next((word for word in (text, text.lower()) if word in words), None)
        if found is None:
            raise ValueError(f"不认识，可用：{'、'.join(words)}")
        return found

    return check


class SidecarFile(BaseModel):
    """随录像文件：与录像同名的 .json。所有字段都可以不写；不认识的字段会被忽略。"""

    model_config = ConfigDict(extra="ignore", strict=True, title="随录像文件 <录像>.json")

    title: str | None = Field(None, description="课名，一行；超过 120 字的部分不要。")
    subject: str | None = Field(None, description="学科，例如 数学。")
    grade: str | None = Field(None, description="年级或班级，例如 八年级。")
    teacher: str | None = Field(None, description="教师。")
    programme: Annotated[str | None, BeforeValidator(_known(_PROGRAMMES))] = Field(
        None, description="课的类型，代号或中文。", json_schema_extra={"enum": [None, *_PROGRAMMES]}
    )
    language: Annotated[str | None, BeforeValidator(_known(_LANGUAGES))] = Field(
        None, description="授课语言。", json_schema_extra={"enum": [None, *_LANGUAGES]}
    )
    consent: bool | None = Field(None, description="监护人是否同意公开给学生；不写就是还没有登记，学生看不到。")
    view: Annotated[str | None, BeforeValidator(_known(_VIEW_WORDS))] = Field(
        None, description="这台机器拍的是什么；同一教室同一时间的几个录像合成一节课的几个画面。",
        json_schema_extra={"enum": [None, *_VIEW_WORDS]},
    )  # fmt: skip
    parts: int | None = Field(
        None, ge=1, le=MOST_PARTS, description="这节课一共切成几段；到齐就合并，不写则等一会儿再合并。"
    )
    clock_offset_ms: int | None = Field(
        None, ge=-_DAY_MS, le=_DAY_MS, description="录播主机的时钟比标准时间快多少毫秒；慢则为负。"
    )
    starts_at: str | None = Field(
        None, pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?$",
        description="按课表应在几点上课，教室当地时间，例如 2026-09-01T08:00；写了就不再按文件名的时间对课表。",
    )  # fmt: skip
    receipt: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="回执票的 sha256：上传的一方凭票查询这个录像收到了没有。"
    )


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of the sidecar."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **SidecarFile.model_json_schema()}


def read_sidecar(data: bytes, name: str) -> Sidecar:
    """Raises Unreadable, naming each wrong field and the remedy. Unknown fields are left alone: recorders write many."""
    try:
        told: Any = json.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        where_zh = f"（第 {error.lineno} 行第 {error.colno} 列）" if isinstance(error, json.JSONDecodeError) else ""
        raise Unreadable(name, f"not JSON: {error}", f"说明文件不是有效的 JSON{where_zh}。{_EXPECTED_ZH}") from error
    return sidecar_of(told, name)


def sidecar_of(told: object, name: str) -> Sidecar:
    """The same for what is parsed already, a row of a bulk manifest for one."""
    if not isinstance(told, dict):
        raise Unreadable(name, "not a JSON object", f"说明文件的最外层不是对象。{_EXPECTED_ZH}")
    # A form that was left empty says nothing, as if the field were not there.
    fields: dict[str, Any] = {str(key).lower(): value for key, value in told.items() if value != ""}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    try:
        read = SidecarFile.model_validate(fields)
    except ValidationError as error:
        faults = [_fault(each["loc"], each["type"], each["msg"]) for each in error.errors()[:_FAULTS_SHOWN]]
        where = ", ".join("/" + "/".join(map(str, each["loc"])) for each in error.errors()[:_FAULTS_SHOWN])
        raise Unreadable(name, f"wrong field {where}", f"说明文件有误。{'；'.join(faults)}。{_EXPECTED_ZH}") from error
    return Sidecar(
        **{field: one_line(getattr(read, field), limit) for field, limit in _LENGTHS.items()},
        programme=_PROGRAMMES[read.programme] if read.programme else Programme.LIVE,
        language=_LANGUAGES[read.language] if read.language else "zh",
        consent=read.consent,
        view=_VIEW_WORDS[read.view] if read.view else "",
        parts=read.parts,
        clock_offset_ms=read.clock_offset_ms,
        starts_at=_clock(read.starts_at, name),
        receipt=read.receipt or "",
    )


def one_line(value: str | None, limit: int) -> str:
    """One printable line: titles reach logs, captions and file names."""
    return " ".join("".join(c if c.isprintable() else " " for c in value or "").split())[:limit]


def _clock(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        zh = "说明文件有误。/starts_at：没有这样的日期或时间。"
        raise Unreadable(name, f"wrong field /starts_at: {error}", zh) from error


_WHAT_ZH = {
    "string_type": "应是文字",
    "int_type": "应是整数",
    "bool_type": "只能是 true 或 false",
    "greater_than_equal": "太小",
    "less_than_equal": "太大",
    "string_pattern_mismatch": "格式不对",
}


def _fault(loc: tuple[int | str, ...], kind: str, message: str) -> str:
    pointer = "/" + "/".join(map(str, loc))
    said = message.removeprefix("Value error, ") if kind == "value_error" else _WHAT_ZH.get(kind, message)
    field = SidecarFile.model_fields.get(str(loc[0])) if loc else None
    told = f"（{field.description.rstrip('。')}）" if field is not None and field.description else ""
    return f"{pointer}：{one_line(said, 200)}{told}"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), ensure_ascii=False, indent=1) + "\n")
