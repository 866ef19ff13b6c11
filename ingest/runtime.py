"""The composition root of the pipeline: the settings become the parts that steps work with. Opened once per process."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from archive.catalog import Catalog
from archive.settings import Settings, secret
from archive.store import ObjectStore
from ingest.indexes import LiveIndex
from search.embedded import TantivyIndex
from search.index import SearchIndex
from search.meili import MeiliIndex
from transcribe.choice import EngineChoice
from transcribe.ears import Ears
from transcribe.process import ChildEngine


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a step may use. `stopping` turns True when the process is asked to end: long work then gives up."""

    settings: Settings
    catalog: Catalog
    store: ObjectStore
    index: LiveIndex
    speech: Ears
    stopping: Callable[[], bool] = lambda: False

    @property
    def media(self) -> str:
        return self.settings.media_bucket

    @property
    def incoming(self) -> str:
        return self.settings.incoming_bucket

    def close(self) -> None:
        self.index.close()
        self.catalog.close()


def open_catalog(settings: Settings) -> Catalog:
    return Catalog(settings.catalog_address)


def open_store(settings: Settings, endpoint: str = "") -> ObjectStore:
    """The configured store, or the embedded one at the endpoint it was started on."""
    return ObjectStore(
        endpoint or settings.store_endpoint,
        settings.store_access_key,
        secret(settings.store_secret_key),
        secure=settings.store_secure,
        region=settings.store_region,
    )


def open_index(settings: Settings, catalog: Catalog) -> LiveIndex:
    return LiveIndex(lambda name: _index_of(settings, name), catalog.indexing)


def _index_of(settings: Settings, name: str) -> SearchIndex:
    if settings.meili_url:
        key = settings.meili_key.get_secret_value() if settings.meili_key else ""
        return MeiliIndex(settings.meili_url, key, settings.meili_index, name=name)
    return TantivyIndex(settings.home / "index", name=name)


def open_speech(settings: Settings) -> Ears:
    """The engines, with nothing loaded yet: each is a process of its own, begun when there is something to hear."""
    usual = EngineChoice(
        model=settings.speech_model,
        models_dir=str(Path(settings.home).absolute() / "models"),
        engine=settings.speech_engine,
        device=settings.speech_device,
        compute_type=settings.speech_compute_type,
        threads=settings.speech_threads,
        at_once=settings.speech_at_once,
        download=settings.speech_download,
    )
    others = settings.speech_model_by_language.items()
    return Ears(ChildEngine(usual), {code: ChildEngine(replace(usual, model=model)) for code, model in others})


def open_runtime(settings: Settings, *, endpoint: str = "", stopping: Callable[[], bool] = lambda: False) -> Runtime:
    catalog = open_catalog(settings)
    return Runtime(
        settings=settings,
        catalog=catalog,
        store=open_store(settings, endpoint),
        index=open_index(settings, catalog),
        speech=open_speech(settings),
        stopping=stopping,
    )
