"""A lesson that is still being taught: watched from its beginning, whole in the end, and never what nobody sent."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

import m3u8
import pytest
from sqlalchemy import update

from archive.keys import live_key
from archive.model import Lesson, Scope, Slot
from archive.schema import live as live_table
from ingest import encoding, live, steps
from ingest.intake import TakenIn, take_in
from ingest.runtime import Runtime
from ingest.scan import scan
from ingest.verify import verify
from tests.transcode.clips import make, picture, sound, x264
from transcode import plan
from transcode.fmp4 import reached_ms
from transcode.ladder import EDITION

Put = Callable[[str, bytes], str]
STEM = "20260901T0800"
TICKET = "t" * 64
SECONDS = 22


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Twenty-two seconds as `huikan record` writes them."""
    path = tmp_path_factory.mktemp("taught") / "taught.mp4"
    moves = ["-movflags", "+empty_moov+default_base_moof", "-frag_duration", "500000"]
    return make(path, picture("640x360", seconds=SECONDS), sound(SECONDS), x264("-g", "50"), moves).read_bytes()


@pytest.fixture(autouse=True)
def _short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LIVE_PART_S", 6)


def opening(**said: object) -> bytes:
    told = {"title": "勾股定理", "consent": True, "receipt": sha256(TICKET.encode()).hexdigest(), **said}
    return json.dumps({"format": 1, "nonce": "ab" * 16, "sidecar": told}).encode()


def closing(data: bytes, pieces: int, **said: object) -> bytes:
    told = {"receipt": sha256(TICKET.encode()).hexdigest(), **said}
    whole = {"pieces": pieces, "size_bytes": len(data), "sha256": sha256(data).hexdigest()}
    return json.dumps({"format": 1, "sidecar": told, **whole}).encode()


def key(name: str) -> str:
    return live_key("xinghuo", "301", STEM, name)


def pieces_of(data: bytes, count: int) -> list[bytes]:
    size = -(-len(data) // count)
    return [data[at : at + size] for at in range(0, len(data), size)]


def lesson(runtime: Runtime) -> Lesson:
    (found,) = runtime.catalog.lessons.every()
    return found


def state(runtime: Runtime) -> str:
    found = runtime.catalog.receipts.of(sha256(TICKET.encode()).hexdigest())
    assert found is not None
    return found.state


def encoded(runtime: Runtime, recording_id: str) -> list[str]:
    """The usual way, as far as pictures go; returns the tasks that were left to do."""
    steps.probe_recording(runtime, recording_id)
    tasks = encoding.survey_recording(runtime, recording_id)
    for task in tasks:
        encoding.encode_task(runtime, recording_id, task.name)
    encoding.finish_encoding(runtime, recording_id)
    return [task.name for task in tasks]


def playlist(runtime: Runtime, rung: str) -> m3u8.M3U8:
    made = runtime.catalog.outputs.renditions(lesson(runtime).recording_id, EDITION)
    mine = next(each for each in made if each.rung == rung)
    return m3u8.loads(runtime.store.get_bytes(runtime.media, mine.playlist_key).decode())


def test_a_lesson_is_watched_while_it_goes_on_and_whole_in_the_end(
    runtime: Runtime, put: Put, taught: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third, fourth = pieces_of(taught, 4)
    assert take_in(runtime, put(key("open.json"), opening())) == TakenIn()
    assert lesson(runtime).published_at is None
    assert state(runtime) == "receiving"
    assert runtime.catalog.outputs.unfinished() == []  # nothing is run before it is whole
    live.advance_all(runtime, "w")
    put(key("000000.part"), first)
    put(key("000001.part"), second)
    assert take_in(runtime, key("000000.part")) == TakenIn()
    live.advance_all(runtime, "w")
    recording_id = lesson(runtime).recording_id
    assert [found.id for found in runtime.catalog.lessons.published(Scope())[0]] == [lesson(runtime).id]
    growing = playlist(runtime, "240p")
    assert (growing.playlist_type, growing.is_endlist, len(growing.segments)) == ("event", False, 1)
    assert growing.start.time_offset == 0
    before = runtime.catalog.encodings.made(recording_id, EDITION)
    put(key("000002.part"), third)
    live.advance_all(runtime, "w")
    longer = playlist(runtime, "240p")
    assert [segment.uri for segment in longer.segments][:1] == [segment.uri for segment in growing.segments]
    assert len(longer.segments) == 2
    assert len(playlist(runtime, "audio").segments) >= 1
    assert verify(runtime).findings == ()
    put(key("000003.part"), fourth)
    taken = take_in(runtime, put(key("close.json"), closing(taught, 4)))
    assert taken == TakenIn(recording_id)
    assert state(runtime) == "received"
    assert runtime.store.get_bytes(runtime.media, f"source/{recording_id}.mp4") == taught
    assert runtime.catalog.outputs.unfinished() == [recording_id]
    left = encoded(runtime, recording_id)
    assert "240p-000" not in left
    assert "240p-001" not in left
    assert {"240p-002", "240p-003", "sound", "sound-more", "360p-000"} <= set(left)
    assert runtime.catalog.encodings.made(recording_id, EDITION)["240p-000"] == before["240p-000"]
    steps.publish_recording(runtime, recording_id)
    whole = playlist(runtime, "240p")
    assert (whole.playlist_type, whole.is_endlist) == ("vod", True)
    assert abs(sum(segment.duration for segment in whole.segments) - SECONDS) < 0.1
    assert [segment.uri for segment in whole.segments][:2] == [segment.uri for segment in longer.segments]
    assert verify(runtime).findings == ()
    assert take_in(runtime, key("close.json")) == TakenIn(recording_id)
    assert lesson(runtime).title == "勾股定理"
    assert live.tidy(runtime) == 0
    monkeypatch.setattr(live, "TIDY_AFTER", timedelta(seconds=-1))
    assert live.tidy(runtime) == 1
    assert [found.key for found in runtime.store.list(runtime.incoming)] == [key("close.json"), key("open.json")]
    assert live.tidy(runtime) == 0


def test_a_lesson_that_begins_is_called_what_the_timetable_says(runtime: Runtime, put: Put) -> None:
    day = date(2026, 9, 1)
    slot = Slot("301", day, day, day.weekday(), 480, 525, subject="物理", teacher="赵老师")
    runtime.catalog.timetables.keep("xinghuo", "课表.csv", [slot], first_day=day, last_day=day, is_addition=False)
    take_in(runtime, put(key("open.json"), opening(title=None)))
    assert (lesson(runtime).subject, lesson(runtime).title) == ("物理", "物理 09月01日 08:00")


def test_the_sound_so_far_is_the_beginning_of_the_whole(runtime: Runtime, put: Put, taught: bytes) -> None:
    pieces = pieces_of(taught, 2)
    take_in(runtime, put(key("open.json"), opening()))
    put(key("000000.part"), pieces[0])
    live.advance_all(runtime, "w")
    recording_id = lesson(runtime).recording_id
    prefix = f"rendition/{recording_id}/e{EDITION}/audio"
    early = (
        runtime.store.get_bytes(runtime.media, f"{prefix}/seg-00000.m4s")
        if len(playlist(runtime, "audio").segments)
        else b""
    )
    put(key("000001.part"), pieces[1])
    live.advance_all(runtime, "w")
    again = runtime.store.get_bytes(runtime.media, f"{prefix}/seg-00000.m4s")
    take_in(runtime, put(key("close.json"), closing(taught, 2)))
    encoded(runtime, recording_id)
    assert runtime.store.get_bytes(runtime.media, f"{prefix}/seg-00000.m4s") == again
    assert early in (b"", again)


def test_a_piece_that_is_missing_is_waited_for_and_a_torn_one_is_read_again(
    runtime: Runtime, put: Put, taught: bytes
) -> None:
    pieces = pieces_of(taught, 3)
    assert take_in(runtime, put(key("close.json"), closing(taught, 3))).early  # before its opening
    take_in(runtime, put(key("open.json"), opening()))
    put(key("000000.part"), pieces[0])
    put(key("000002.part"), pieces[2])
    assert take_in(runtime, key("close.json")).early
    (growing,) = (runtime.settings.work_dir / "live").glob("*.mp4")
    with growing.open("r+b") as file:
        file.truncate(len(pieces[0]) - 7)  # we died in the midst of it
    put(key("000001.part"), pieces[1])
    recording_id = take_in(runtime, key("close.json")).recording_id
    assert recording_id
    assert runtime.store.get_bytes(runtime.media, f"source/{recording_id}.mp4") == taught


def test_what_contradicts_its_manifest_is_no_lesson_and_the_sender_keeps_it(
    runtime: Runtime, put: Put, taught: bytes
) -> None:
    take_in(runtime, put(key("open.json"), opening()))
    put(key("000000.part"), taught[:-1] + b"x")
    assert take_in(runtime, put(key("close.json"), closing(taught, 1))) == TakenIn()
    assert state(runtime) == "refused"
    assert "校验和" in runtime.catalog.arrivals.refused()[0].reason_zh
    assert runtime.catalog.lessons.published(Scope())[0] == []
    assert verify(runtime).findings == ()


NO_MANIFESTS = [
    b"",
    b"[]",
    b"{}",
    b'{"format": 2}',
    opening().replace(b'"sidecar": {', b'"sidecar": [{').replace(b"}}", b"}]}"),
]


@pytest.mark.parametrize("data", NO_MANIFESTS)
def test_a_manifest_that_is_none_is_refused(runtime: Runtime, put: Put, data: bytes) -> None:
    assert take_in(runtime, put(key("open.json"), data)) == TakenIn()
    assert len(runtime.catalog.arrivals.refused()) == 1
    assert runtime.catalog.lessons.every() == []


def test_a_recorder_that_is_gone_leaves_what_it_sent_and_the_rest_becomes_another_take(
    runtime: Runtime, put: Put, taught: bytes
) -> None:
    pieces = pieces_of(taught, 2)
    take_in(runtime, put(key("open.json"), opening()))
    put(key("000000.part"), pieces[0])
    live.advance_all(runtime, "w")
    long_ago = live_table.c.grown_at.type.python_type(2020, 1, 1)
    with runtime.catalog.database.writing() as tx:
        tx.execute(update(live_table).values(grown_at=long_ago))
    (recording_id,) = live.advance_all(runtime, "w")
    assert state(runtime) == "receiving"
    assert runtime.store.get_bytes(runtime.media, f"source/{recording_id}.mp4") == pieces[0]
    put(key("000001.part"), pieces[1])
    taken = take_in(runtime, put(key("close.json"), closing(taught, 2, title="勾股定理")))
    assert taken.recording_id == sha256(taught).hexdigest()
    assert state(runtime) == "received"
    assert {found.title for found in runtime.catalog.lessons.every()} == {"勾股定理", "勾股定理（重录 2）"}


def test_what_cannot_be_played_waits_quietly_for_its_end(
    runtime: Runtime, put: Put, taught: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reaches far enough, but its codec is none of ours: nothing is tried every two seconds."""
    take_in(runtime, put(key("open.json"), opening()))
    put(key("000000.part"), taught.replace(b"avc1", b"zzzz").replace(b"mp4a", b"zzzz"))
    live.advance_all(runtime, "w")
    (held,) = runtime.catalog.lives.claim("w", live.STALE)
    assert held.survey is not None
    assert "rejected" in held.survey
    monkeypatch.setenv("PATH", "/nowhere")  # no ffprobe to be found: it must not be asked again
    live.advance_all(runtime, "w")
    assert lesson(runtime).published_at is None


def test_one_worker_at_a_time_holds_a_lesson(runtime: Runtime, put: Put) -> None:
    take_in(runtime, put(key("open.json"), opening()))
    lives = runtime.catalog.lives
    assert len(lives.claim("a", live.STALE)) == 1
    assert lives.claim("b", live.STALE) == []
    assert len(lives.claim("b", timedelta(seconds=-1))) == 1  # the first has been silent
    assert lives.claim("a", live.STALE) == []


def test_lessons_that_begin_together_are_shared_out(runtime: Runtime, put: Put) -> None:
    for room in range(4):
        name = f"xinghuo/{room}/{STEM}.live/open.json"
        take_in(runtime, put(name, opening().replace(b"abab", b"%04d" % room)))
    lives = runtime.catalog.lives
    assert [len(lives.claim(worker, live.STALE)) for worker in "abab"] == [1, 1, 2, 2]
    assert [len(lives.claim(worker, live.STALE)) for worker in "ab"] == [2, 2]


def test_pieces_are_no_arrivals(runtime: Runtime, put: Put) -> None:
    class Told:
        def __init__(self) -> None:
            self.keys: list[str] = []

        def arrived(self, key: str) -> None:
            self.keys.append(key)

    put(key("open.json"), opening())
    for n in range(3):
        put(key(f"{n:06d}.part"), b"x")
    runs = Told()
    assert scan(runtime, runs) == 1  # pyright: ignore[reportArgumentType]
    assert runs.keys == [key("open.json")]


def test_how_far_a_growing_file_reaches_is_read_from_its_fragments(tmp_path: Path, taught: bytes) -> None:
    path = tmp_path / "growing.mp4"
    reached: list[int] = []
    for size in range(0, len(taught), len(taught) // 8):
        path.write_bytes(taught[:size])
        reached.append(reached_ms(path))
    assert reached == sorted(reached)
    assert reached[0] == 0
    assert (SECONDS - 4) * 1000 < reached[-1] < SECONDS * 1000
