"""How long a search takes in a large library, and how soon one is indexed: the embedded engine on this machine.

    python -m bench.search_speed [--passages N] [--seconds S] [--quick] [--keep FOLDER]

Lessons of bench/classroom.py with errors in 8 % of their characters. 60,000 passages are cut into words by two processes and
written as `huikan reindex` does it; that is the indexing rate. The same passages under other lessons' names make the rest of
1,000,000, without cutting them again (two to five minutes in all; `--keep` leaves the index in a folder, and a second run that
finds it there only searches). Then 16 threads ask without a pause (three queries of seven kinds each, as a child types
them, 60 hits each), so each waits for the fifteen others: a school where somebody is always searching, sixteen times over.

Where others work on the machine too (the load is printed), the times of the processor say more than the claims.

The overhead is what a search takes, one at a time, over what the bare engine takes for its part: the same tantivy queries to
the same depth, and the same stored documents read, with nothing looked at.
"""

import argparse
import os
import random
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import tantivy

from bench.classroom import cues_of, lessons, misheard, queries
from search import embedded
from search.embedded import TantivyIndex
from search.embedded_terms import query_of
from search.index import Ready, Tier, answer, ready, warm
from search.passages import Passage, passages_of
from search.query import Plan, Query

SEARCHERS = 16
GOAL_P99_MS, GOAL_OVERHEAD, GOAL_PASSAGES_A_SECOND, GOAL_RSS_MB = 50.0, 1.5, 5000.0, 1500.0
_DISTINCT = 60_000
_LESSONS_A_BATCH = 1000  # of two minutes each: what 50 real lessons hold
_PROCESSES = 2
_SEED = 20260901


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    asked.add_argument("--passages", type=int, default=1_000_000)
    asked.add_argument("--seconds", type=float, default=20.0, help="of searching")
    asked.add_argument("--quick", action="store_true", help="20,000 passages, 4 seconds")
    asked.add_argument("--keep", type=Path, help="a folder for the index, which is used again if it is there")
    chosen = asked.parse_args()
    wanted, seconds = (20_000, 4.0) if chosen.quick else (chosen.passages, chosen.seconds)
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.keep or Path(scratch)
        index = TantivyIndex(folder)
        told_load()
        rate = fill(index, wanted) if index.size() < wanted else None
        warm()
        size_mb = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / 1e6
        print(f"{index.size()} passages of {len(index.seen())} lessons, {size_mb:.0f} MB on disk", flush=True)
        texts = [one.text for one in queries(lessons(_SEED, 300, held_out=True), 1, 20)]
        random.Random(_SEED).shuffle(texts)
        told_load()
        overhead = alone(index, texts)
        waits = sorted(together(index, texts, seconds))
        print(f"{len(waits)} searches by {SEARCHERS} at once: {len(waits) / seconds:.0f} a second, ", end="")
        print(f"p50 {waits[len(waits) // 2]:.1f} ms, p90 {waits[int(len(waits) * 0.9)]:.1f} ms", flush=True)
        good = [
            claim("search_p99_ms_16_searchers", waits[int(len(waits) * 0.99)], GOAL_P99_MS, most=True),
            claim("search_over_bare_engine", overhead, GOAL_OVERHEAD, most=True),
            rate is None or claim("indexed_passages_a_second", rate, GOAL_PASSAGES_A_SECOND, most=False),
            claim("resident_mb", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, GOAL_RSS_MB, most=True),
        ]
    return 0 if all(good) else 1


def told_load() -> None:
    print(f"load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} processors", flush=True)


def claim(name: str, value: float, goal: float, *, most: bool) -> bool:
    good = value <= goal if most else value >= goal
    print(f"CLAIM {name} {value:.2f} {goal:.2f} {'ok' if good else 'SHORT'}", flush=True)
    return good


def fill(index: TantivyIndex, wanted: int) -> float:
    """Fills the index with at least so many passages. Returns how many a second, from cues to findable."""
    made: list[dict[str, list[Ready]]] = []
    with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool:
        list(pool.map(_nothing, range(_PROCESSES), chunksize=1))  # their dictionaries are loaded
        source = list(_spoken(min(wanted, _DISTINCT)))
        started, worked = time.monotonic(), time.process_time()
        for cut_s, batch in pool.map(_cut, source):
            index.replace_many(batch)
            made.append(batch)
            worked -= cut_s
        took_s, worked_s = time.monotonic() - started, time.process_time() - worked
    distinct = sum(len(of_one) for batch in made for of_one in batch.values())
    print(
        f"{distinct} passages indexed in {took_s:.1f} s, {1e6 * worked_s / distinct:.0f} us of processor time each",
        flush=True,
    )
    have, copy = distinct, 0
    while have < wanted:
        copy += 1
        for batch in made:
            index.replace_many({f"{lesson}-{copy}": _as_of(f"{lesson}-{copy}", of) for lesson, of in batch.items()})
            have += sum(map(len, batch.values()))
            if have >= wanted:
                break
        print(f"  {have} passages", flush=True)
    return distinct / took_s


def _spoken(wanted: int) -> Iterator[dict[str, Sequence[Passage]]]:
    """Batches of lessons, as a catalog gives them: passages whose words are not cut yet."""
    have, batch = 0, 0
    while have < wanted:
        heard = misheard(lessons(_SEED + batch, _LESSONS_A_BATCH, held_out=True), 0.08, batch)
        named = [replace(one.lesson, id=f"{batch}-{one.lesson.id}") for one in heard]
        passages = {lesson.id: passages_of(lesson, cues_of(one)) for lesson, one in zip(named, heard, strict=True)}
        yield passages
        have += sum(map(len, passages.values()))
        batch += 1


def _nothing(_number: int) -> None:
    warm()


def _cut(lessons_of: dict[str, Sequence[Passage]]) -> tuple[float, dict[str, list[Ready]]]:
    """The passages' terms, and the processor time that this took."""
    started = time.process_time()
    made = {lesson_id: ready(of_one) for lesson_id, of_one in lessons_of.items()}
    return time.process_time() - started, made


def _as_of(lesson_id: str, made: Sequence[Ready]) -> list[Ready]:
    return [
        one._replace(
            lesson_id=lesson_id,
            id=one.id.replace(one.lesson_id, lesson_id),
            record=one.record.replace(one.lesson_id, lesson_id),
        )
        for one in made
    ]


def alone(index: TantivyIndex, texts: Sequence[str]) -> float:
    """How many times longer our searches take than the engine's part of them, one at a time."""
    searcher = index._searcher()  # pyright: ignore[reportPrivateUsage]
    assert searcher is not None
    ours: list[float] = []
    bare = 0.0
    for text in texts:
        query = Query(text)
        index.search(query)  # once before it counts: both find the same files in memory
        started = time.thread_time()  # of the processor: others on this machine must not count
        index.search(query)
        ours.append(time.thread_time() - started)
        bare += _bare_s(searcher, query)
    mean_ms, longest_ms, bare_ms = (
        1000 * s for s in (sum(ours) / len(ours), sorted(ours)[-len(ours) // 100], bare / len(ours))
    )
    print(
        f"alone: {mean_ms:.2f} ms of processor time a search (p99 {longest_ms:.1f}), the bare engine {bare_ms:.2f}",
        flush=True,
    )
    return sum(ours) / bare


def _bare_s(searcher: tantivy.Searcher, query: Query) -> float:
    asked: list[tuple[tantivy.Query, int, int]] = []

    def propose(plan: Plan, tier: Tier, limit: int) -> Iterator[embedded.Candidate]:
        engine_query = query_of(plan, tier, query)
        asked.append((engine_query, limit, 0))
        found = embedded._candidates(searcher, engine_query, limit, query.sort)  # pyright: ignore[reportPrivateUsage]
        for taken, candidate in enumerate(found, 1):
            asked[-1] = (engine_query, limit, taken)
            yield candidate

    answer(query, propose)
    started = time.thread_time()
    for engine_query, limit, taken in asked:
        for _, address in islice(searcher.search(engine_query, limit, count=False).hits, taken):
            searcher.doc(address)
    return time.thread_time() - started


def together(index: TantivyIndex, texts: Sequence[str], seconds: float) -> list[float]:
    """How long each of the searches took, in milliseconds, of as many as 16 threads make in so many seconds."""
    waits: list[list[float]] = [[] for _ in range(SEARCHERS)]
    ends_at = time.monotonic() + seconds

    def search(number: int) -> None:
        draw = random.Random(number)
        while time.monotonic() < ends_at:
            started = time.perf_counter()
            index.search(Query(draw.choice(texts)))
            waits[number].append(1000 * (time.perf_counter() - started))

    threads = [threading.Thread(target=search, args=(number,)) for number in range(SEARCHERS)]
    worked = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    worked = time.process_time() - worked
    made = sum(map(len, waits))
    mean_ms = statistics.fmean(wait for of_one in waits for wait in of_one)
    print(f"mean {mean_ms:.1f} ms, {1000 * worked / made:.1f} ms of processor time a search")
    return [wait for of_one in waits for wait in of_one]


if __name__ == "__main__":
    sys.exit(main())
