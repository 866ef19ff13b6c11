"""`huikan doctor`: looks at everything a lesson needs and says the remedy for what is missing. Changes nothing."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from api.state import serving, store_endpoint
from archive.errors import HuikanError, Unavailable
from archive.sandbox import REMEDY_ZH, level
from archive.settings import Settings
from archive.tool import Confined, Limits, run_tool
from ingest.camera import cameras
from ingest.engine import living
from ingest.runtime import open_catalog, open_index, open_speech, open_store
from ingest.spool import Spool
from transcode.command import NVENC, VAAPI, X264
from transcode.encode import works_here
from transcribe.engine import EngineDescription

_GIB = 2**30
_CLOCK_OFF_MS = 5 * 60_000  # a third of what S3's signatures bear
_ENCODERS = ("libx264", "aac", "libopus")


@dataclass(frozen=True, slots=True)
class Check:
    """`ok` False needs a person; `remedy_zh` says what to do. `note_zh` is what was seen."""

    name_zh: str
    ok: bool
    note_zh: str
    remedy_zh: str = ""


def examine(settings: Settings) -> Iterator[Check]:
    """One check after the other, as they come: some take seconds."""
    yield from (
        _guarded("ffmpeg", lambda: _ffmpeg()),
        _guarded("视频编码器", lambda: _encoder(settings)),
        _guarded("隔离", lambda: _sandbox()),
        _guarded("磁盘", lambda: _disk(settings)),
        _guarded("目录库", lambda: _catalog(settings)),
        _guarded("对象存储", lambda: _store(settings)),
        _guarded("检索索引", lambda: _index(settings)),
        _guarded("语音模型", lambda: _speech(settings)),
        _guarded("工作进程", lambda: _worker(settings)),
        _guarded("录播主机", lambda: _recorders(settings)),
        _guarded("网关", lambda: _gateways(settings)),
    )


def _guarded(name_zh: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Unavailable as error:
        return Check(name_zh, False, str(error), error.remedy_zh)
    except HuikanError as error:
        return Check(name_zh, False, str(error), error.reason_zh)


def _ffmpeg() -> Check:
    """Asked as recordings are decoded, in the sandbox: what it cannot see there would be missing at work."""
    told = _asked("ffmpeg", "-version")
    version = told.splitlines()[0].removeprefix("ffmpeg version ").split(" ")[0]
    _asked("ffprobe", "-version")
    encoders = _asked("ffmpeg", "-encoders")
    missing = [name for name in _ENCODERS if f" {name} " not in encoders]
    if missing:
        return Check("ffmpeg", False, f"{version}，缺少编码器 {'、'.join(missing)}", "请安装：apt install ffmpeg。")
    return Check("ffmpeg", True, version)


def _asked(program: str, question: str) -> str:
    return run_tool(
        [program, "-hide_banner", question], limits=Limits(wall_s=20), confined=Confined(())
    ).stdout.decode()


def _encoder(settings: Settings) -> Check:
    """Whether the chosen encoder works, and which of the others would: found by encoding a few pictures with each."""
    working = [encoder for encoder in (X264, NVENC, VAAPI) if works_here(encoder)]
    note = f"使用 {settings.encoder}，本机可用：{'、'.join(working) or '无'}"
    if settings.encoder in working:
        return Check("视频编码器", True, note)
    return Check("视频编码器", False, note, f"{settings.encoder} 用不了：请装好显卡驱动，或改为 HUIKAN_ENCODER=x264。")


def _sandbox() -> Check:
    match level():
        case "bubblewrap":
            return Check("隔离", True, "bubblewrap：处理录像的程序看不到网络、别的文件和别的进程")
        case "unshare":
            return Check("隔离", True, "unshare：处理录像的程序没有网络，但看得到本机文件", REMEDY_ZH)
        case "none":
            return Check("隔离", False, "没有：恶意录像一旦攻破 ffmpeg，就能读到本机文件并联网", REMEDY_ZH)


def _disk(settings: Settings) -> Check:
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    free = shutil.disk_usage(settings.home).free
    wanted = settings.disk_reserve_bytes + 2 * _GIB
    note = f"{settings.home.absolute()} 剩余 {free / _GIB:.1f} GB"
    if free < wanted:
        return Check("磁盘", False, note, f"至少应剩余 {wanted / _GIB:.1f} GB：请清理，或把 HUIKAN_HOME 指到更大的盘。")
    return Check("磁盘", True, note)


def _catalog(settings: Settings) -> Check:
    catalog = open_catalog(settings)
    try:
        catalog.migrate()
        return Check("目录库", True, f"{catalog.database.url.get_backend_name()}，{len(catalog.lessons.every())} 节课")
    finally:
        catalog.close()


def _store(settings: Settings) -> Check:
    endpoint = store_endpoint(settings)
    open_store(settings, endpoint).ready()
    return Check("对象存储", True, endpoint)


def _index(settings: Settings) -> Check:
    catalog = open_catalog(settings)
    index = open_index(settings, catalog)
    try:
        kind = "Meilisearch" if settings.meili_url else "内置"
        late = len(catalog.indexing.orders())
        note = f"{kind}，{len(index.seen())} 节课" + (f"，{late} 节稍后可搜" if late else "")
        return Check("检索索引", True, note)
    finally:
        index.close()
        catalog.close()


def _speech(settings: Settings) -> Check:
    ears = open_speech(settings)
    others = [(code, engine.describe()) for code, engine in sorted(ears.by_language.items())]
    told = [("", ears.usual.describe()), *others]
    notes = [f"{code}：{_heard_by(one)}" if code else _heard_by(one) for code, one in told]
    missing = [one.remedy_zh for _, one in told if one.folder is None]
    return Check("语音模型", not missing, "；".join(notes), "".join(missing))


def _heard_by(told: EngineDescription) -> str:
    if told.folder is None:
        return f"{told.name} 不在本机"
    if told.is_demo:
        return f"{told.name}：只听得懂合成的普通话，不能用于学校，请设 HUIKAN_SPEECH_MODEL=small 或更好的模型；{told.folder}"
    kind = "多语言" if told.multilingual else "只懂英语：中文课会等到换上多语言模型"
    return f"{told.name}（{kind}），{told.folder}"


def _worker(settings: Settings) -> Check:
    catalog = open_catalog(settings)
    try:
        alive = living(catalog.database, settings.lease_ttl_s)
    finally:
        catalog.close()
    where = serving(settings.home)
    note = f"{len(alive)} 个在工作" + (f"，网页在 {where.url}" if where else "")
    if not alive:
        return Check("工作进程", False, note, "请运行 huikan serve（一台机器）或 huikan worker（多台机器）。")
    return Check("工作进程", True, note)


def _recorders(settings: Settings) -> Check:
    catalog = open_catalog(settings)
    try:
        machines = [each for each in catalog.recorders.every() if each.is_active]
    finally:
        catalog.close()
    over = [each.id for each in machines if each.suspended_at is not None]
    off = [each.id for each in machines if abs(each.clock_skew_ms or 0) >= _CLOCK_OFF_MS]
    note = f"{len(machines)} 台"
    if over:
        remedy = "请看 huikan recorder list；如属正常用 huikan recorder quota 放宽，否则 revoke。"
        return Check("录播主机", False, f"{note}，超过配额：{'、'.join(over)}", remedy)
    if off:
        return Check("录播主机", False, f"{note}，时钟不准：{'、'.join(off)}", "请在这些主机上设置自动校时（NTP）。")
    return Check("录播主机", True, note)


def _gateways(settings: Settings) -> Check:
    """Whether what is switched on has anything stuck; whether passwords go in the clear."""
    spool = Spool(settings)
    on = [
        name
        for name, wanted in (
            ("FTP", settings.ftp_port is not None),
            ("监视文件夹", settings.watched_folder is not None),
            ("摄像机", bool(cameras(settings))),
        )
        if wanted
    ]
    waiting = len(spool.waiting())
    note = f"{'、'.join(on) or '都关着'}" + (f"，{waiting} 个文件等待送出" if waiting else "")
    folder = settings.watched_folder
    if folder is not None and not folder.is_dir():
        return Check("网关", False, note, f"监视的文件夹 {folder} 不存在，请建好或挂载。")
    if settings.ftp_port is not None and settings.ftp_certificate is None and settings.ftp_host != "127.0.0.1":
        return Check(
            "网关", True, f"{note}；FTP 不加密", "只可在与外界隔开的校内网用；要加密请设 HUIKAN_FTP_CERTIFICATE。"
        )
    if not spool.has_room():
        return Check("网关", False, note, f"{spool.root} 所在的磁盘已满，网关不再收文件，请清理。")
    return Check("网关", True, note)
