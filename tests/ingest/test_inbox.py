"""Events in a storm: repeated, out of order, a fifth lost, some forged. What lies in the bucket is taken in, once."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from archive.catalog import Catalog
from archive.database import now
from archive.errors import Unavailable
from archive.hints import Hint
from ingest.inbox import Inbox, start_hinted
from ingest.intake import take_in
from ingest.runtime import Runtime
from ingest.scan import scan


@dataclass
class TakingRuns:
    """The engine, as far as arrivals go: an intake for each key, at once. A fake at our own port."""

    runtime: Runtime
    begun: list[str] = field(default_factory=list[str])

    def arrived(self, key: str) -> None:
        self.begun.append(key)
        take_in(self.runtime, key)


@pytest.fixture(params=["sqlite", "postgres"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    url = f"sqlite:///{tmp_path / 'c.sqlite'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    opened = Catalog(url)
    opened.migrate()
    yield opened
    opened.close()


class TestTheInbox:
    def test_what_was_acknowledged_is_there_once_and_oldest_first(self, catalog: Catalog) -> None:
        inbox = Inbox(catalog.hints)
        inbox.note("first")
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(inbox.note, [f"k{number % 50}" for number in range(500)]))
        inbox.close()
        assert catalog.hints.count() == 51
        assert catalog.hints.oldest(1)[0].key == "first"

    def test_a_hint_that_comes_again_while_it_is_looked_at_stays(self, catalog: Catalog) -> None:
        catalog.hints.note(["k"])
        (seen,) = catalog.hints.oldest(9)
        catalog.hints.note(["k", "k", "other"])
        catalog.hints.settle([seen])
        assert [hint.key for hint in catalog.hints.oldest(9)] == ["k", "other"]
        catalog.hints.settle([*catalog.hints.oldest(9), Hint("never", now())])
        assert catalog.hints.count() == 0

    @pytest.mark.parametrize("key", ["", "x" * 1025, "a\0b", "\ud800", "课.mp4", "' OR 1=1 --", "x" * 1024])
    def test_whatever_is_named_is_kept_or_dropped_and_no_error(self, catalog: Catalog, key: str) -> None:
        inbox = Inbox(catalog.hints)
        inbox.note(key)
        inbox.close()
        assert catalog.hints.count() <= 1

    def test_whoever_cannot_be_answered_for_is_told(self, tmp_path: Path) -> None:
        broken = Catalog(f"sqlite:///{tmp_path / 'never-migrated.sqlite'}")
        inbox = Inbox(broken.hints)
        with pytest.raises(Unavailable):
            inbox.note("k")
        broken.migrate()
        inbox.note("k")  # and goes on when it can
        inbox.close()
        assert broken.hints.count() == 1
        broken.close()


def test_in_a_storm_none_is_lost_and_none_is_double(runtime: Runtime, put: Callable[[str, bytes], str]) -> None:
    dice = random.Random(20260901)
    hours = [(day, hour) for day in range(1, 11) for hour in range(8, 14)]
    keys = [put(f"xinghuo/301/202609{day:02d}T{hour:02d}00.mp4", b"%d-%d" % (day, hour)) for day, hour in hours]
    keys += [put(f"xinghuo/301/bad name {number}.mp4", b"%d" % number) for number in range(20)]
    told = dice.sample(keys, len(keys) * 8 // 10)  # a fifth of the objects is never heard of
    events = [dice.choice(told) for _ in range(1_700)] + told
    events += [f"forged/{number}/20260901T0800.mp4" for number in range(150)]
    dice.shuffle(events)
    inbox, runs = Inbox(runtime.catalog.hints), TakingRuns(runtime)
    done = threading.Event()

    def worker() -> None:
        while not done.is_set() or runtime.catalog.hints.count():
            start_hinted(runtime, runs)  # pyright: ignore[reportArgumentType]

    working = threading.Thread(target=worker)
    working.start()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(inbox.note, events))
    inbox.close()
    done.set()
    working.join()
    arrivals = runtime.catalog.arrivals
    assert {key for key in keys if arrivals.of_key(key)} == set(told)
    assert scan(runtime, runs) == len(keys) - len(told)  # pyright: ignore[reportArgumentType]
    assert scan(runtime, runs) == 0  # pyright: ignore[reportArgumentType]
    assert all(len(arrivals.of_key(key)) == 1 and arrivals.of_key(key)[0].is_settled for key in keys)
    assert len(runtime.catalog.lessons.every()) == 60
    assert len(arrivals.refused()) == 20
    assert arrivals.waiting() == []
    assert not any(arrivals.of_key(key) for key in events if key.startswith("forged/"))
