"""One school a test, over the session's object store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.store import ObjectStore
from tests.api.school import School


@pytest.fixture
def school(tmp_path: Path, store: ObjectStore, media_bucket: str) -> Iterator[School]:
    opened = School(tmp_path, store, media_bucket)
    yield opened
    opened.close()
