"""The lesson that bench/transcode.py encodes: what recorders send, in three equal parts, the same for ever.

    slides    a drawn lesson with the teacher's window in motion (fixtures.make)
    camera    a board filmed with sensor noise, a figure that walks before it, and light that breathes
    screen    a page that scrolls

As a recorder would store it: 1080p, 25 pictures a second, H.264 at a constant 4 Mbit/s, a keyframe every 2 s.
"""

import subprocess
from pathlib import Path

from fixtures.lessons import MATHS
from fixtures.make import make
from fixtures.slides import pictures

_RATE = 25
_RECORDER = [
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-b:v",
    "4M",
    "-minrate",
    "4M",
    "-maxrate",
    "4M",
    "-bufsize",
    "4M",
]


def lesson(folder: Path, seconds: int) -> Path:
    """A lesson of this many seconds in `folder`, made when it is not there yet."""
    path = folder / f"lesson-{seconds}.mp4"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    make(MATHS, folder / "sample")
    drawn, part = folder / "sample" / MATHS.key, seconds / 3
    board, page = folder / "board.png", folder / "page.png"
    slides = pictures(MATHS)
    slides[-1].save(board)
    slides[len(slides) // 2].save(page)
    camera = (
        f"[1]fps={_RATE},format=yuv420p,eq=brightness='0.02*sin(t*3)':eval=frame,"
        "drawbox=x='700+500*sin(t/4)':y=380:w=220:h=700:c=0x6b4a3a:t=fill,"
        "drawbox=x='750+500*sin(t/4)':y=240:w=120:h=140:c=0xd9a184:t=fill,"
        f"gblur=sigma=1.2,noise=alls=7:allf=t+u,trim=duration={part},setpts=PTS-STARTPTS[camera]"
    )
    screen = f"[2]fps={_RATE},format=yuv420p,scroll=vertical=0.0007,trim=duration={part},setpts=PTS-STARTPTS[screen]"
    slide = f"[0:v]trim=duration={part},setpts=PTS-STARTPTS,fps={_RATE},format=yuv420p[slides]"
    graph = ";".join([slide, camera, screen, "[slides][camera][screen]concat=n=3[v]"])
    inputs = ["-stream_loop", "-1", "-i", str(drawn), "-loop", "1", "-i", str(board), "-loop", "1", "-i", str(page)]
    fresh = path.with_suffix(".part.mp4")
    output = [
        "-map",
        "[v]",
        "-map",
        "0:a",
        "-t",
        str(seconds),
        *_RECORDER,
        "-g",
        str(2 * _RATE),
        "-c:a",
        "aac",
        "-b:a",
        "128k",
    ]
    subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-y", *inputs, "-filter_complex", graph, *output, str(fresh)], check=True
    )
    fresh.replace(path)
    return path
