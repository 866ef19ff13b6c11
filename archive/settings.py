"""Everything an operator can set: environment `HUIKAN_…`, or one TOML file, or the default. Read once, passed down.

Unset store, catalog, engine and search mean the embedded parts. Secrets that are unset are generated on first start into
`<home>/secrets.toml` (mode 0600). docs/settings.md is generated from the descriptions here.
"""

import os
import secrets
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from archive.errors import Misconfigured

_SECRETS = ("signing_key", "webhook_token", "student_code", "staff_code", "store_secret_key")
_WEAK = {"minioadmin", "password", "admin", "changeme", "huikan", "12345678", "secret"}


class Settings(BaseSettings):
    """The one settings object. `Settings().with_secrets()` reads it; tests pass keyword arguments."""

    model_config = SettingsConfigDict(env_prefix="HUIKAN_", extra="forbid", frozen=True, validate_default=True)

    home: Path = Field(Path("huikan-data"), description="数据目录：数据库、索引、内置对象存储、临时文件都在这里。")
    host: str = Field("127.0.0.1", description="网页与接口监听的地址。")
    port: int = Field(8000, ge=0, le=65535, description="监听端口；0 表示自动寻找空闲端口。")
    public_url: str = Field("", description="用户看到的地址，例如 https://huikan.example.edu.cn；留空则用监听地址。")

    store_endpoint: str = Field("", description="S3 对象存储的 主机:端口；留空则启动内置 SeaweedFS。")
    store_access_key: str = Field("huikan", description="对象存储的 access key。")
    store_secret_key: SecretStr | None = Field(None, description="对象存储的 secret key；内置存储时自动生成。")
    store_secure: bool = Field(False, description="对象存储是否使用 HTTPS。")
    store_region: str = Field("us-east-1", description="对象存储的区域名。")
    store_keys: Literal["operator", "minio"] = Field(
        "operator",
        description="外部 S3 的录播密钥由谁发放：operator 由管理员用该存储的工具；minio 由回看经 MinIO 管理接口发放与收回。",
    )
    store_public_url: str = Field(
        "",
        description="录播主机与浏览器连接对象存储的地址，例如 https://s3.example.edu.cn；留空则用存储监听的地址（只限本机）。",
    )
    store_port: int = Field(8333, ge=0, le=65535, description="内置对象存储的 S3 端口（录播主机连接它）；0 为自动。")
    incoming_bucket: str = Field("incoming", description="录播主机上传到的桶。")
    media_bucket: str = Field("media", description="回看写成品的桶。")

    catalog_url: str = Field("", description="SQLAlchemy 数据库地址；留空则用 <home>/catalog.sqlite。")
    engine_url: str = Field(
        "", description="DBOS 系统库地址；留空则用 <home>/engine.sqlite，或与 PostgreSQL 目录库同库。"
    )
    meili_url: str = Field("", description="Meilisearch 地址；留空则用内置 tantivy 索引。")
    meili_key: SecretStr | None = Field(None, description="Meilisearch 的 API key。")
    meili_index: str = Field("huikan", description="Meilisearch 索引名。")

    speech_engine: Literal["faster-whisper", "sherpa-onnx"] = Field(
        "faster-whisper", description="语音识别引擎；sherpa-onnx 需另装，见 docs/transcription.md。"
    )
    speech_model: str = Field("small", description="faster-whisper 模型名，或本地模型目录。")
    speech_model_by_language: dict[str, str] = Field(
        {}, description='某种语言的课另用一个模型（JSON），例如 {"en": "small.en"}；双语课仍用 speech_model。'
    )
    speech_device: Literal["auto", "cpu", "cuda"] = Field("auto", description="语音识别用的设备。")
    speech_compute_type: str = Field("default", description="CTranslate2 计算类型，例如 int8、float16。")
    speech_threads: int = Field(0, ge=0, description="语音识别线程数；0 为自动。")
    speech_at_once: int = Field(0, ge=0, description="语音识别一次解码几段；0 按内存自动，显存不足时自动减半。")
    speech_download: bool = Field(True, description="模型不在本机时是否允许联网下载。")
    speech_instead_of_captions: bool = Field(False, description="即使录像带有字幕文件，也用语音识别。")

    encode_preset: str = Field("medium", description="x264 预设；积压多时可用 veryfast。")
    encoder: Literal["x264", "nvenc", "vaapi"] = Field(
        "x264", description="视频编码器；nvenc 与 vaapi 需要显卡，先用 huikan doctor 检查。"
    )
    encode_at_once: int = Field(0, ge=0, description="一个工作进程同时编码几段；0 按核数与内存自动。")
    encode_threads: int = Field(0, ge=0, description="编码线程数；0 为自动。")
    max_duration_min: int = Field(240, ge=1, description="接收的最长录像，分钟。")
    max_recording_bytes: int = Field(20 * 2**30, ge=1, description="接收的最大录像，字节。")
    disk_reserve_bytes: int = Field(512 * 2**20, ge=0, description="工作盘上始终留空的字节数；不足时任务等待。")

    join_after_min: float = Field(
        10,
        ge=0,
        description="一节课的几段或几个画面多久没有新的到，就接成一节课，分钟；说明文件写了 parts 的，到齐就接。",
    )

    sandbox: Literal["auto", "required"] = Field(
        "auto",
        description="处理录像的程序（ffmpeg）在隔离中运行。auto 用本机能做到的最强一级；required 在完全不能隔离时拒绝启动。",
    )

    recorder_daily_bytes: int = Field(
        200 * 2**30, ge=0, description="一台录播主机每天最多上传多少字节；0 为不限，可用 huikan recorder quota 单独设。"
    )
    recorder_daily_recordings: int = Field(
        100, ge=0, description="一台录播主机每天最多上传多少个录像；0 为不限，可单独设。"
    )
    abandoned_upload_h: float = Field(24, gt=0, description="没有传完的分段上传多久后清理，小时。")

    ftp_port: int | None = Field(None, ge=0, le=65535, description="FTP 网关的端口；留空则不开，0 为自动。")
    ftp_host: str = Field("127.0.0.1", description="FTP 网关监听的地址。")
    ftp_public_address: str = Field("", description="FTP 网关在 NAT 之后时告诉主机的 IPv4 地址。")
    ftp_passive_ports: str = Field("", description="FTP 被动方式的端口范围，例如 50000-50100；留空则由系统选。")
    ftp_certificate: Path | None = Field(
        None, description="FTPS 的证书与私钥（一个 PEM 文件）；设了就只接受加密的登录与传输。"
    )
    watched_folder: Path | None = Field(
        None, description="监视的文件夹：放进 <学校>/<教室>/ 的录像会被收走；留空则不监视。"
    )

    scan_interval_s: float = Field(15, gt=0, description="多久扫描一次上传桶，秒。")
    lease_ttl_s: float = Field(30, gt=1, description="工作进程多久没有心跳就算失效，秒。")
    log_format: Literal["auto", "json", "pretty"] = Field("auto", description="日志格式。")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="日志级别。")

    signing_key: SecretStr | None = Field(None, description="给播放地址签名的密钥；自动生成。")
    webhook_token: SecretStr | None = Field(None, description="对象存储通知用的口令；自动生成。")
    student_code: SecretStr | None = Field(None, description="学生入口的口令；自动生成。")
    staff_code: SecretStr | None = Field(None, description="老师与管理员入口的口令；自动生成。")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = Path(os.environ["HUIKAN_CONFIG"]) if "HUIKAN_CONFIG" in os.environ else None
        toml = TomlConfigSettingsSource(settings_cls, file)
        return init_settings, env_settings, toml

    @property
    def work_dir(self) -> Path:
        return self.home / "work"

    @property
    def catalog_address(self) -> str:
        return self.catalog_url or f"sqlite:///{self.home.absolute() / 'catalog.sqlite'}"

    @property
    def engine_address(self) -> str:
        if self.engine_url:
            return self.engine_url
        if self.catalog_url.startswith("postgresql"):
            return self.catalog_url
        return f"sqlite:///{self.home.absolute() / 'engine.sqlite'}"

    @property
    def embedded_store(self) -> bool:
        return not self.store_endpoint

    def with_secrets(self) -> "Settings":
        """These settings with every unset secret filled from `<home>/secrets.toml`, which is made when missing.

        Raises Misconfigured when a secret is empty, short or well known.
        """
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = _kept_secrets(self.home / "secrets.toml")
        filled = {name: SecretStr(kept[name]) for name in _SECRETS if getattr(self, name) is None}
        whole = self.model_copy(update=filled)
        for name in _SECRETS:
            value = secret(getattr(whole, name))
            if len(value) < 8 or value.lower() in _WEAK:
                raise Misconfigured(
                    f"HUIKAN_{name.upper()} is weak or well known: use at least 8 characters of your own"
                )
        return whole


def secret(value: SecretStr | None) -> str:
    """The text of a secret that must be there by now; `with_secrets` guarantees it."""
    if value is None:
        raise Misconfigured("a secret is unset: load settings with Settings().with_secrets()")
    return value.get_secret_value()


def _kept_secrets(file: Path) -> dict[str, str]:
    """The generated secrets, made in one atomic step so that two processes starting together agree."""
    known: dict[str, str] = {}
    if file.exists():
        known = tomllib.loads(file.read_text(encoding="utf-8"))
        if all(name in known for name in _SECRETS):
            return known
    whole = {name: known.get(name) or secrets.token_urlsafe(24) for name in _SECRETS}
    fresh = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.writelines(f'{name} = "{value}"\n' for name, value in whole.items())
    if known:
        fresh.replace(file)
        return whole
    try:
        os.link(fresh, file)  # fails if another process was first: then theirs count
    except FileExistsError:
        whole = tomllib.loads(file.read_text(encoding="utf-8"))
    fresh.unlink()
    return whole
