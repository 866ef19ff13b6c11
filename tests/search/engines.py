"""The search engines that the suites run over, and what they are filled with.

tantivy, a stand-in for Meilisearch, and a real one if HUIKAN_TEST_MEILI_URL (and _KEY) name it: there each test gets an
index of its own and drops it afterwards.
"""

import os
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from meilisearch import Client

from archive.model import Lesson, Programme
from search.embedded import TantivyIndex
from search.index import NAME, SearchIndex
from search.meili import MeiliIndex
from search.passages import Kind, Passage
from tests.search.meili_stand_in import KEY, stand_in

# For properties: a busy machine is no fault of the code's.
patiently = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

MEILI_URL = os.environ.get("HUIKAN_TEST_MEILI_URL", "")
MEILI_KEY = os.environ.get("HUIKAN_TEST_MEILI_KEY", "")
ENGINES = ["tantivy", "meili-stand-in", *(["meili"] if MEILI_URL else [])]


@contextmanager
def opened(engine: str, folder: Path) -> Generator[SearchIndex]:
    """An empty index."""
    if engine == "tantivy":
        yield TantivyIndex(folder / "index")
        return
    if engine == "meili-stand-in":
        with stand_in() as (_, url):
            yield MeiliIndex(url, KEY, "test")
        return
    name = f"test-{uuid.uuid4().hex}"
    try:
        yield MeiliIndex(MEILI_URL, MEILI_KEY, name)
    finally:
        client = Client(MEILI_URL, MEILI_KEY or None)
        for index in client.get_raw_indexes({"limit": 1000})["results"]:
            if index["uid"].startswith(name):
                client.delete_index(index["uid"])


def lesson_ids(index: SearchIndex) -> set[str]:
    return {one.lesson_id for one in index.seen()}


def reopened(index: SearchIndex, name: str = NAME) -> SearchIndex:
    """Another object over the same index, as another process has it, or over one beside it."""
    if isinstance(index, TantivyIndex):
        return TantivyIndex(index._path, name=name)  # pyright: ignore[reportPrivateUsage]
    assert isinstance(index, MeiliIndex)
    return MeiliIndex(index._url, index._key, index._family.removesuffix("-"), name=name)  # pyright: ignore[reportPrivateUsage]


def passage(
    text: str,
    *,
    lesson: str = "lesson",
    number: int = 1,
    kind: Kind = "said",
    subject: str = "",
    grade: str = "",
    school: str = "",
    programme: Programme = Programme.LIVE,
    consent: bool = True,
    **more: Any,
) -> Passage:
    """A passage that starts at `number` times ten seconds."""
    return Passage(
        id=f"{lesson}-{number}",
        lesson_id=lesson,
        kind=kind,
        start_ms=number * 10_000,
        end_ms=number * 10_000 + 9_000,
        text=text,
        subject=subject,
        grade=grade,
        school=school,
        programme=programme,
        consent=consent,
        **more,
    )


def said(lesson: str, *texts: str) -> list[Passage]:
    return [passage(text, lesson=lesson, number=number) for number, text in enumerate(texts, 1)]


def lesson(**changed: object) -> Lesson:
    known: dict[str, object] = {
        "id": "abc",
        "title": "勾股定理",
        "subject": "数学",
        "grade": "八年级",
        "teacher": "李老师",
        "programme": Programme.MASTER,
        "language": "zh",
        "school": "xinghuo",
        "room": "301",
        "started_at": datetime(2026, 9, 1, 8, 0),  # noqa: DTZ001 - a room's wall clock knows no zone
        "consent": True,
        "recording_id": "f" * 64,
        "duration_ms": 60_000,
    }
    return Lesson(**{**known, **changed})  # type: ignore[arg-type]
