"""What a recorder is told: one TOML file, read once, checked whole. docs/recorder.md explains every line."""

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError

from archive.errors import Misconfigured
from archive.keys import VIEWS, is_slug

_STRICT = ConfigDict(extra="forbid", frozen=True)
_NoControl = StringConstraints(pattern=r"^[^\x00-\x1f]*$")


class Source(BaseModel):
    """`kind` says what is captured. `input` is a device, an address or a file; `sound` an ALSA device, "" for none."""

    model_config = _STRICT
    kind: Literal["v4l2", "rtsp", "rtmp", "screen", "file"]
    input: Annotated[str, _NoControl] = ""
    sound: Annotated[str, _NoControl] = "default"
    size: Annotated[str, StringConstraints(pattern=r"^\d{2,4}x\d{2,4}$")] = "1280x720"
    rate: int = Field(25, ge=1, le=60)
    copy_packets: bool = False


class Video(BaseModel):
    model_config = _STRICT
    kbps: int = Field(1500, ge=50, le=20_000)
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"] = "veryfast"
    sound_kbps: int = Field(64, ge=16, le=320)


class Store(BaseModel):
    """The S3 key that may write below `<school>/<room>/`."""

    model_config = _STRICT
    endpoint: str = Field(min_length=3, description="主机:端口")
    access_key: str
    secret_key: SecretStr
    bucket: str = "incoming"
    secure: bool = False
    region: str = "us-east-1"


class Spool(BaseModel):
    """Where recordings lie until they are known to have arrived, and then some days more."""

    model_config = _STRICT
    folder: Path = Path("/var/lib/huikan-record")
    keep_days: float = Field(7, ge=0)
    most_gb: float = Field(50, gt=0)


class Uplink(BaseModel):
    """`kbps` 0 is as fast as the line goes. A piece goes out every `piece_s` seconds of the lesson."""

    model_config = _STRICT
    kbps: int = Field(0, ge=0)
    piece_s: float = Field(6, ge=1, le=60)
    burst_kb: int = Field(64, ge=16, le=4096)


class Timetable(BaseModel):
    """When to record: the school's own file (docs/timetable.md), in this room, with some time before and after."""

    model_config = _STRICT
    file: Path
    first_day: date
    last_day: date
    bells: Path | None = None
    before_s: int = Field(60, ge=0, le=1800)
    after_s: int = Field(60, ge=0, le=1800)


class Lesson(BaseModel):
    """What is written beside every recording: consent alone, where all guardians of this room have given it."""

    model_config = _STRICT
    consent: bool | None = None
    language: Literal["zh", "en", "zh+en", "auto"] = "zh"


class Config(BaseModel):
    model_config = _STRICT
    school: str
    room: str
    view: str = ""
    server: str = Field("", description="回看的网址，用来查回执；不写则只按 keep_days 保留。")
    source: Source
    store: Store
    video: Video = Video()  # pyright: ignore[reportCallIssue]
    spool: Spool = Spool()  # pyright: ignore[reportCallIssue]
    uplink: Uplink = Uplink()  # pyright: ignore[reportCallIssue]
    lesson: Lesson = Lesson()
    timetable: Timetable | None = None


def read_config(path: Path) -> Config:
    """Raises Misconfigured, naming each wrong line; relative paths are taken from the file's folder."""
    try:
        told: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} 不是有效的 TOML：{error}") from error
    try:
        config = Config.model_validate(told)
    except ValidationError as error:
        faults = "；".join(f"{'.'.join(map(str, each['loc']))}：{each['msg']}" for each in error.errors()[:10])
        raise Misconfigured(f"{path}：{faults}") from error
    for name in ("school", "room"):
        if not is_slug(getattr(config, name)):
            raise Misconfigured(f"{path}：{name} 应是小写字母、数字与连字符，例如 xinghuo、301")
    if config.view and config.view not in VIEWS:
        raise Misconfigured(f"{path}：view 应是 {'、'.join(VIEWS)} 之一")
    return config
