"""A Runtime with real parts (store, catalog, index, ffmpeg) and a speech engine of the tests' own at its port."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from archive.catalog import Catalog
from archive.errors import ModelMissing
from archive.model import Span
from archive.settings import Settings
from archive.store import ObjectStore
from ingest.runtime import Runtime, open_index
from transcribe.ears import Ears
from transcribe.engine import EngineDescription
from transcribe.utterance import Heard, Utterance

KEY = "xinghuo/301/20260901T0800.mp4"
SIDECAR = '{"title": "勾股定理", "subject": "数学", "grade": "八年级", "teacher": "王老师", "consent": true}'.encode()
VTT = "WEBVTT\n\n00:00.000 --> 00:01.500\n今天学习勾股定理\n\n00:01.500 --> 00:03.000\n大家看黑板\n".encode()


@dataclass
class FakeEar:
    """A speech engine that hears what the test says, or lacks its model."""

    heard: str = "同学们好"
    missing: bool = False
    asked: list[str | None] = field(default_factory=list)
    name: str = "fake ear"

    def describe(self) -> EngineDescription:
        return EngineDescription(self.name, None, True)

    def transcribe(
        self,
        wav: Path,
        *,
        language: str | None,
        hotwords: tuple[str, ...] = (),
        stretch: Span | None = None,
        on_progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> Heard:
        self.asked.append(language)
        if self.missing:
            raise ModelMissing("语音模型 small", "不在本机", "请把模型放到 models 目录。")
        assert wav.stat().st_size > 44
        assert not cancelled()
        on_progress(1.0)
        if not self.heard:
            return Heard()
        start_ms = stretch.start_ms if stretch else 0
        return Heard((Utterance(Span(start_ms, start_ms + 2000), self.heard, (), -0.2, 0.01, language or "zh"),))


@pytest.fixture
def ear() -> FakeEar:
    return FakeEar()


@pytest.fixture
def runtime(
    tmp_path: Path, store: ObjectStore, incoming_bucket: str, media_bucket: str, ear: FakeEar
) -> Iterator[Runtime]:
    settings = Settings(
        home=tmp_path / "home",
        incoming_bucket=incoming_bucket,
        media_bucket=media_bucket,
        encode_preset="ultrafast",
        disk_reserve_bytes=0,
    ).with_secrets()
    catalog = Catalog(settings.catalog_address)
    catalog.migrate()
    opened = Runtime(settings, catalog, store, open_index(settings, catalog), Ears(ear))
    yield opened
    opened.close()


@pytest.fixture
def put(runtime: Runtime) -> Callable[[str, bytes], str]:
    """Puts bytes into the incoming bucket as a recorder would; returns the key."""

    def put_bytes(key: str, data: bytes) -> str:
        runtime.store.put_bytes(runtime.incoming, key, data)
        return key

    return put_bytes
