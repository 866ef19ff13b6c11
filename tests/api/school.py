"""A school for the suites: real catalog, real search index, real object store; only the pipeline behind `Runs` is played.

Lessons are put into the catalog the way the pipeline does it, so that what the pages show is what they will meet.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.app import create_app
from api.deps import Parts
from archive.catalog import Catalog
from archive.keys import poster_key, rendition_prefix, transcript_key
from archive.model import Cue, Lesson, Probe, Rendition, Sidecar, Span, Transcript, VideoTrack
from archive.settings import Settings
from archive.store import ObjectStore
from search.embedded import TantivyIndex
from search.passages import passages_of
from transcribe import webvtt

STUDENT, STAFF = "student-code-of-tests", "staff-code-of-tests"
ORIGIN = "http://127.0.0.1:8000"
LADDER, SPEECH = 1, 1
LANGUAGE = "zh-Hans"
HLS_SEGMENT = bytes(range(256)) * 40

CUES = (Cue(Span(0, 4_000), "同学们好，上课"), Cue(Span(4_000, 9_500), "今天我们来学习勾股定理"))


@dataclass
class PlayedRuns:
    """The pipeline, as far as the web asks anything of it."""

    arrivals: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    alive: bool = True

    def arrived(self, bucket: str, key: str) -> None:
        self.arrivals.append((bucket, key))

    def pulse(self) -> dict[str, bool]:
        return {"worker": self.alive}


@dataclass
class Clock:
    now: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


class School:
    """`app` over real parts. `clock` stands still unless a test moves it."""

    def __init__(self, home: Path, store: ObjectStore, media_bucket: str, **settings: object) -> None:
        self.settings = Settings.model_validate(
            {
                "home": home,
                "media_bucket": media_bucket,
                "signing_key": "signing-key-of-the-tests",
                "webhook_token": "webhook-token-of-the-tests",
                "student_code": STUDENT,
                "staff_code": STAFF,
                "store_secret_key": "store-secret-of-the-tests",
                **settings,
            }
        )
        self.store, self.bucket = store, media_bucket
        self.catalog = Catalog(f"sqlite:///{home / 'catalog.sqlite'}")
        self.catalog.migrate()
        self.index = TantivyIndex(home / "index")
        self.runs = PlayedRuns()
        self.clock = Clock()
        self.parts = Parts(self.settings, self.catalog, store, self.index, self.runs, self.clock)
        self.app: FastAPI = create_app(self.parts)

    def close(self) -> None:
        self.index.close()
        self.catalog.close()

    # --- clients ----------------------------------------------------------------------------------------------------

    def nobody(self) -> TestClient:
        return TestClient(self.app, base_url=ORIGIN, follow_redirects=False, headers={"Origin": ORIGIN})

    def program(self, code: str) -> TestClient:
        """A program with a bearer code."""
        client = TestClient(self.app, base_url=ORIGIN, follow_redirects=False)
        client.headers["Authorization"] = f"Bearer {code}"
        return client

    def browser(self, code: str) -> TestClient:
        """A browser that has entered with a code."""
        client = self.nobody()
        assert client.post("/enter", data={"code": code}).status_code == 303
        return client

    # --- lessons ----------------------------------------------------------------------------------------------------

    def arrive(self, title: str = "勾股定理", *, consent: bool | None = True, day: int = 1, **words: str) -> Lesson:
        """A recording that has been taken in and probed, and nothing else yet."""
        recording_id = sha256(f"{title} {day}".encode()).hexdigest()
        key = f"xinghuo/301/202609{day:02d}T0800.mp4"
        self.catalog.arrivals.note(key, recording_id[:32], 1_000_000)
        said = {"subject": "数学", "grade": "八年级", "teacher": "王老师", **words}
        sidecar = Sidecar(title=title, consent=consent, **said)
        taken = self.catalog.arrivals.accept(key, recording_id[:32], recording_id, 1_000_000, sidecar)
        track = VideoTrack(0, "h264", 1920, 1080, "25/1")
        self.catalog.outputs.keep_probe(recording_id, Probe("mov", 12_000, 1_000_000, (track,), ()))
        assert taken.__class__.__name__ == "Accepted"
        return self.catalog.lessons.get(taken.lesson_id)  # pyright: ignore[reportAttributeAccessIssue]

    def publish(
        self,
        title: str = "勾股定理",
        *,
        consent: bool | None = True,
        day: int = 1,
        cues: Sequence[Cue] | None = CUES,
        **words: str,
    ) -> Lesson:
        """A published lesson of two rungs whose hls_segments are bytes without meaning; `cues` None: no transcript yet."""
        lesson = self.arrive(title, consent=consent, day=day, **words)
        self.put_ladder(lesson)
        if cues is not None:
            self.put_transcript(lesson, cues)
        speech = SPEECH if cues is not None else None
        self.catalog.outputs.publish(lesson.recording_id, ladder_edition=LADDER, speech_edition=speech)
        self.reindex(lesson.id)
        return self.catalog.lessons.get(lesson.id)

    def put_ladder(self, lesson: Lesson) -> None:
        prefix = rendition_prefix(lesson.recording_id, LADDER)
        for rung in ("240p", "audio"):
            playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nseg-00001.m4s\n#EXT-X-ENDLIST\n"
            self.store.put_bytes(self.bucket, f"{prefix}/{rung}/index.m3u8", playlist.encode())
            self.store.put_bytes(self.bucket, f"{prefix}/{rung}/init.mp4", b"init")
            self.store.put_bytes(self.bucket, f"{prefix}/{rung}/seg-00001.m4s", HLS_SEGMENT)
        self.store.put_bytes(self.bucket, poster_key(lesson.recording_id, LADDER), b"\xff\xd8\xff\xe0picture")
        picture = Rendition(
            "240p", "avc1.64000d", 426, 240, "12.5", 110_000, 90_000, 9, 12_000, f"{prefix}/240p/index.m3u8"
        )
        sound = Rendition("audio", "mp4a.40.2", 0, 0, "", 50_000, 48_000, 9, 12_000, f"{prefix}/audio/index.m3u8")
        self.catalog.outputs.keep_renditions(lesson.recording_id, LADDER, [picture, sound])

    def put_transcript(self, lesson: Lesson, cues: Sequence[Cue]) -> None:
        made = Transcript(lesson.recording_id, SPEECH, LANGUAGE, "captions", "", tuple(cues))
        key = transcript_key(lesson.recording_id, SPEECH, LANGUAGE)
        self.store.put_bytes(self.bucket, key, webvtt.write(made.cues).encode())
        self.catalog.transcripts.keep(made)

    def reindex(self, lesson_id: str) -> None:
        lesson = self.catalog.lessons.get(lesson_id)
        made = self.catalog.transcripts.current(lesson.recording_id)
        self.index.replace(lesson.id, passages_of(lesson, made.cues if made else ()))
        if made is not None:
            self.catalog.outputs.mark_searchable(lesson.recording_id, 1)
