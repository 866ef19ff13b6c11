"""Files made to harm: rows 5 to 10 of docs/threat-model.md. Each goes through the real probe, and on to ffmpeg where that
accepts it. What a program could reach once it is taken over is in tests/archive/test_sandbox.py.
"""

import http.server
import io
import json
import random
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from archive import sandbox
from archive.errors import ToolFailed, Unacceptable, Unreadable
from archive.hardening import media_input, media_url
from archive.tool import Confined, Limits, run_tool
from tests.transcode.clips import make, picture, probed, sound, x264
from transcribe.audio import duration_ms, extract

ROOT = Path(__file__).parents[2]
PATIENT = Limits(wall_s=120, memory_bytes=2 * 2**30)
REFUSED_IN_S = 10
REFUSED_IN_BYTES = 600 * 2**20
MUTATIONS = 6  # of each container; tests/transcode/test_mutations.py takes more of them all the way


@dataclass
class Canary:
    """A web server on the loopback that notes who comes, and a real recording that nobody may open."""

    url: str
    file: Path
    hits: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("hostile") / "lesson.mp4", picture(), sound(), x264("-pix_fmt", "yuv420p"))


@pytest.fixture
def canary(tmp_path: Path, lesson: Path) -> Iterator[Canary]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.hits.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(lesson.read_bytes())

        def log_message(self, format: str, *args: object) -> None:
            pass

    (tmp_path / "canary.ts").write_bytes(lesson.read_bytes())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Canary(f"http://127.0.0.1:{server.server_port}/canary.ts", tmp_path / "canary.ts")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


def decode(path: Path) -> str:
    """What ffmpeg says about all of it, decoded as the encoder does it."""
    argv = ["ffmpeg", "-v", "error", "-nostdin", *media_input(path), "-map", "0:v?", "-map", "0:a?", "-f", "null", "-"]
    try:
        return run_tool(argv, limits=PATIENT, confined=Confined((path,))).stderr_tail
    except ToolFailed as error:
        return error.stderr_tail


def refusal(path: Path) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        probed(path)
    assert path.name in str(caught.value)
    assert caught.value.reason_zh
    return caught.value


def playlist(address: str) -> bytes:
    return (
        f'#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:9\n#EXT-X-KEY:METHOD=AES-128,URI="{address}"\n'
        f'#EXT-X-MAP:URI="{address}"\n#EXTINF:2,\n{address}\n#EXT-X-ENDLIST\n'
    ).encode()


def concat(address: str) -> bytes:
    return f"ffconcat version 1.0\nfile '{address}'\n".encode()


def dash(address: str) -> bytes:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S">'
        f'<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{address}</BaseURL>'
        f"</Representation></AdaptationSet></Period></MPD>"
    ).encode()


def session(address: str) -> bytes:
    return (
        f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns={address}\r\nc=IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n".encode()
    )


def drawing(address: str) -> bytes:
    return f'<svg xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="{address}"/></svg>'.encode()


def external_track(address: str, whole: bytes) -> bytes:
    """A QuickTime movie whose media lie in another file, which it names by an alias record and by a URL."""
    path = address.encode() + b"\0" * (len(address) % 2)
    name = Path(address).name.encode()
    alias = bytes(10) + b"\x02hd".ljust(28, b"\0") + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    alias += struct.pack(">HH", 0, 1) + bytes(16) + struct.pack(">HH", 2, len(path)) + path + b"\xff\xff\0\0"
    entries = b"".join(
        struct.pack(">I4sI", 12 + len(body), kind, 0) + body for kind, body in ((b"alis", alias), (b"url ", path))
    )
    own = struct.pack(">I4sII", 28, b"dref", 0, 1) + struct.pack(">I4sI", 12, b"url ", 1)
    other = struct.pack(">I4sII", 16 + len(entries), b"dref", 0, 2) + entries
    assert own in whole
    return _grown(whole, own, other)


def _grown(whole: bytes, old: bytes, new: bytes) -> bytes:
    """With each `old` box replaced by a longer one, and the boxes around it made longer. The index lies at the end."""
    around = (b"moov", b"trak", b"mdia", b"minf", b"dinf")
    content = bytearray(whole)
    at = content.find(old)
    while at >= 0:
        for kind in around:
            start = content.rfind(kind, 0, at) - 4
            size = int.from_bytes(content[start : start + 4])
            content[start : start + 4] = struct.pack(">I", size + len(new) - len(old))
        content[at : at + len(old)] = new
        at = content.find(old, at + len(new))
    return bytes(content)


def playlist_as_captions(address: str, whole_avi: bytes) -> bytes:
    """An AVI whose first picture is a caption chunk (GAB2) that holds a playlist: older ffmpegs opened it as one."""
    text = playlist(address)
    chunk = b"GAB2\0" + struct.pack("<HIHI", 2, 0, 4, len(text)) + text
    at = whole_avi.index(b"00dc", whole_avi.index(b"movi"))
    size = int.from_bytes(whole_avi[at + 4 : at + 8], "little")
    assert len(chunk) <= size
    return whole_avi[: at + 8] + chunk.ljust(size, b"\0") + whole_avi[at + 8 + size :]


@pytest.mark.parametrize("write", [playlist, concat, dash, session, drawing])
@pytest.mark.parametrize("disguise", [b"", b"\0" * 8, b"# a comment\n"])
def test_a_text_that_names_other_files_opens_none(
    tmp_path: Path, canary: Canary, write: Callable[[str], bytes], disguise: bytes
) -> None:
    """Also those that sniffing lets pass, for then ffprobe itself must refuse, and were that passed too, ffmpeg."""
    hostile = tmp_path / "a.mp4"
    for address in (canary.url, f"subfile,,start,0,end,0,,:{canary.file}"):
        hostile.write_bytes(disguise + write(address) + b"\x01" * len(disguise))
        refusal(hostile)
    assert decode(hostile)
    assert canary.hits == []


@pytest.mark.parametrize("kind", ["file", "url"])
def test_a_movie_whose_pictures_lie_elsewhere_opens_nothing(
    tmp_path: Path, lesson: Path, canary: Canary, kind: str
) -> None:
    address = str(canary.file) if kind == "file" else canary.url
    hostile = tmp_path / "a.mov"
    hostile.write_bytes(external_track(address, lesson.read_bytes()))
    assert "另一个文件" in refusal(hostile).reason_zh
    assert decode(hostile)
    assert canary.hits == []


def test_a_playlist_in_the_captions_of_an_avi_opens_nothing(tmp_path: Path, canary: Canary) -> None:
    whole = make(tmp_path / "whole.avi", picture(), sound(), "-c:v", "mpeg4", "-q:v", "2", "-c:a", "libmp3lame")
    hostile = tmp_path / "a.avi"
    hostile.write_bytes(playlist_as_captions(canary.url, whole.read_bytes()))
    probed(hostile)  # a lesson with one bad picture
    decode(hostile)
    assert canary.hits == []


def test_without_the_whitelists_the_sandbox_alone_keeps_a_playlist_from_the_network(
    tmp_path: Path, canary: Canary
) -> None:
    if sandbox.level() == "none":
        pytest.skip("NOT PROVEN HERE: this machine allows no sandbox (huikan doctor)")
    hostile = tmp_path / "a.m3u8"
    hostile.write_bytes(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{canary.url}\n#EXT-X-ENDLIST\n".encode())
    careless = ["ffprobe", "-v", "error", "-protocol_whitelist", "file,http,tcp", media_url(hostile)]
    with pytest.raises(ToolFailed):
        run_tool(careless, limits=PATIENT, confined=Confined((hostile,)))
    assert canary.hits == []
    with suppress(ToolFailed):  # it takes the answer for no transport stream
        run_tool(careless, limits=PATIENT)
    assert canary.hits  # the same, unconfined: this playlist works, and the canary sings


@pytest.mark.parametrize("name", ["a.mov", "a.avi"])
def test_a_decoder_nobody_needs_is_not_opened_by_the_encoder_either(tmp_path: Path, name: str) -> None:
    hostile = make(tmp_path / name, picture(), "-c:v", "magicyuv")
    assert isinstance(refusal(hostile), Unacceptable)
    assert "not on whitelist" in decode(hostile)


def claims(path: Path, hours: int) -> Path:
    """A few kilobytes that say in each of their headers that they last for hours."""
    content = bytearray(make(path, picture("64x64", seconds=0.2), x264()).read_bytes())
    mvhd = content.index(b"mvhd") + 4
    timescale = int.from_bytes(content[mvhd + 12 : mvhd + 16])
    content[mvhd + 16 : mvhd + 20] = struct.pack(">I", hours * 3600 * timescale)
    for box in (b"tkhd", b"mdhd", b"elst", b"stts"):
        at = content.index(box) + 4
        unit = int.from_bytes(content[at + 12 : at + 16]) if box == b"mdhd" else timescale
        offset = {b"tkhd": 20, b"mdhd": 16, b"elst": 8, b"stts": 12}[box]
        value = 2**30 if box == b"stts" else hours * 3600 * unit
        content[at + offset : at + offset + 4] = struct.pack(">I", min(value, 2**32 - 1))
    path.write_bytes(content)
    return path


def hundred_hours(folder: Path) -> Path:
    return claims(folder / "a.mp4", 100)


def huge_jpeg(folder: Path) -> Path:
    """Motion JPEG that says 16000x16000 in its own header and in the container's."""
    content = make(folder / "a.mov", picture("64x48"), "-c:v", "mjpeg", "-frames:v", "1").read_bytes()
    content = content.replace(b"\x08\x00\x30\x00\x40\x03", b"\x08\x3e\x80\x3e\x80\x03")  # SOF0: height, then width
    (folder / "a.mov").write_bytes(content.replace(b"\x00\x40\x00\x30\x00\x48", b"\x3e\x80\x3e\x80\x00\x48"))
    assert content.count(b"\x08\x3e\x80\x3e\x80\x03") == 1
    return folder / "a.mov"


def huge_png(folder: Path) -> Path:
    """A picture of 16000x16000 in 32 KB, the largest that a stock ffprobe unpacks."""
    side = 16_000

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((side // 8 + 1) * side))
    (folder / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    return make(folder / "a.mov", "-i", str(folder / "a.png"), "-c", "copy")


def thousand_tracks(folder: Path) -> Path:
    one = make(folder / "one.mka", sound(0.1), "-c:a", "libmp3lame")
    return make(folder / "a.mkv", "-i", str(one), ["-map", "0"] * 1000, "-c", "copy")


def boxes_without_number(folder: Path) -> Path:
    (folder / "a.mp4").write_bytes(b"\0\0\0\x08free" * 4_000_000)
    return folder / "a.mp4"


REFUSED = [boxes_without_number, hundred_hours, huge_jpeg, huge_png, thousand_tracks]


def captions_of_bold_in_bold(folder: Path) -> Path:
    lines = (f"{n + 1}\n00:00:00,{n:03} --> 00:00:01,000\n{'<b><i>' * 5_000}x\n\n" for n in range(200))
    (folder / "a.srt").write_text("".join(lines))
    return make(folder / "a.mkv", picture(), "-i", str(folder / "a.srt"), x264())


def inflating_tracks(folder: Path) -> Path:
    """Sixteen tracks of pictures just inside what is taken, in one file."""
    blank = ["-f", "lavfi", "-i", "color=s=3840x2160:d=0.04"]
    return make(folder / "a.mov", blank, ["-map", "0"] * 16, "-c:v", "mjpeg", "-frames:v", "1")


def measured(path: Path) -> tuple[str, float, int]:
    """What a process of its own says of the file, in how many seconds, and the bytes of its largest child."""
    code = (
        "import json, resource, sys, time\nfrom pathlib import Path\n"
        "from archive.errors import Unreadable\nfrom ingest.probe import Acceptance, probe\n"
        "began, said = time.monotonic(), ''\n"
        "try: probe(Path(sys.argv[1]), name='a', limits=Acceptance(4 * 3600_000, 2**40))\n"
        "except Unreadable as error: said = error.reason_zh\n"
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024\n"
        "print(json.dumps([said, time.monotonic() - began, peak]))"
    )
    argv = [sys.executable, "-c", code, str(path)]
    said, seconds, peak = json.loads(subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    return said, seconds, peak


@pytest.mark.parametrize("bomb", [*REFUSED, captions_of_bold_in_bold, inflating_tracks])
def test_a_bomb_costs_little(tmp_path: Path, bomb: Callable[[Path], Path]) -> None:
    said, seconds, peak = measured(bomb(tmp_path))
    assert bool(said) == (bomb in REFUSED)
    assert seconds < REFUSED_IN_S
    assert peak < REFUSED_IN_BYTES


@pytest.mark.parametrize(("hours", "kind"), [(100, Unacceptable), (3, Unreadable)])
def test_a_small_file_that_claims_hours_is_refused(tmp_path: Path, hours: int, kind: type[Unreadable]) -> None:
    assert type(refusal(claims(tmp_path / "a.mp4", hours))) is kind


def zipped(inner: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("lesson.ts", inner)
    return out.getvalue()


def tarred(inner: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        told = tarfile.TarInfo("lesson.ts")
        told.size = len(inner)
        file.addfile(told, io.BytesIO(inner))
    return out.getvalue()


NO_MEDIA: dict[str, Callable[[bytes], bytes]] = {
    "zip": zipped,
    "tar": tarred,
    "7z": lambda inner: b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(24) + inner,
    "rar": lambda inner: b"Rar!\x1a\x07\x01\x00" + inner,
    "gzip": lambda inner: b"\x1f\x8b\x08\x00" + inner,
    "xz": lambda inner: b"\xfd7zXZ\x00\x00\x04" + inner,
    "Windows": lambda inner: b"MZ\x90\x00" + bytes(60) + inner,
    "Linux": lambda inner: b"\x7fELF\x02\x01\x01" + bytes(9) + inner,
    "网页": lambda inner: b"<!DOCTYPE html><script>alert(1)</script>" + inner,
    "PDF": lambda inner: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + inner,
}


@pytest.mark.parametrize("what", NO_MEDIA)
def test_a_parcel_is_refused_by_its_name_although_a_recording_lies_in_it(tmp_path: Path, what: str) -> None:
    """ffmpeg would find the transport stream in most of them."""
    inner = make(tmp_path / "lesson.ts", picture(), "-c:v", "mpeg2video").read_bytes()
    parcel = tmp_path / "a.mp4"
    parcel.write_bytes(NO_MEDIA[what](inner))
    assert what in refusal(parcel).reason_zh


@pytest.mark.parametrize(
    "name", ["-y", "$(touch pwned)", "a\nb", "|sh", "%d%s%n", "concat:x|y", "-i", "`id`", "a'b\"c", "第一课 ①.mp4"]
)
def test_a_name_is_only_a_name_to_the_decoder_and_to_the_ear(tmp_path: Path, lesson: Path, name: str) -> None:
    source = tmp_path / name
    source.write_bytes(lesson.read_bytes())
    assert decode(source) == ""
    extract(source, tmp_path / f"{name}.wav", cancelled=lambda: False)
    assert duration_ms(tmp_path / f"{name}.wav") >= 1000
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name}.wav"}


def mutated(whole: bytes, seed: int) -> bytes:
    """Cut, overwritten, bit-flipped or shuffled, at places the seed chooses; headers more often than media."""
    chance = random.Random(seed)
    content = bytearray(whole)
    for _ in range(chance.randint(1, 20)):
        limit = len(content) if chance.random() < 0.5 else min(len(content), 4096)
        at = chance.randrange(limit)
        match chance.randrange(4):
            case 0:
                content[at] ^= 1 << chance.randrange(8)
            case 1:
                content[at : at + 4] = chance.choice([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\x80\0\0\0"])
            case 2:
                del content[at : at + chance.randint(1, 64)]
            case _:
                content[at:at] = chance.randbytes(chance.randint(1, 64))
    return bytes(content[: chance.randrange(len(content))] if chance.random() < 0.2 else content)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.flv", "a.avi"])
def test_every_damaged_file_is_described_or_refused_in_words(tmp_path: Path, name: str) -> None:
    codecs = ["-c:v", "mpeg4", "-c:a", "libmp3lame"] if name == "a.avi" else x264("-c:a", "aac", "-pix_fmt", "yuv420p")
    faststart = ["-movflags", "+faststart"] if name == "a.mp4" else []
    whole = make(tmp_path / f"whole{Path(name).suffix}", picture(), sound(), codecs, faststart).read_bytes()
    ends = {"described": 0, "refused": 0}
    for seed in range(MUTATIONS):
        damaged = tmp_path / name
        damaged.write_bytes(mutated(whole, seed))
        try:
            found = probed(damaged)
        except Unreadable as error:
            assert error.reason_zh
            ends["refused"] += 1
        else:
            assert found.duration_ms > 0
            assert found.video or found.audio
            ends["described"] += 1
    assert sum(ends.values()) == MUTATIONS
