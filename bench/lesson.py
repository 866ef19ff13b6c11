"""The lesson that bench/transcode.py encodes: what recorders send, in three equal parts, the same for ever.

    slides    a drawn lesson, its lines appearing as they are spoken of, with the teacher's window in motion (fixtures.make)
    camera    a classroom filmed from its back wall: a teacher who walks and points, pupils' heads that sway, lamps that
              breathe at 100 Hz, and sensor noise of 3 of 255 (one standard deviation), new in every picture
    screen    a page that is typed, a character every fifth of a second, and scrolled every six seconds

As a recorder stores it: 1080p, 25 pictures a second, H.264 at a constant 4 Mbit/s with a keyframe every 2 s, AAC at 128.
So the noise reaches us through an encoder once, as it does in schools. The speech is the drawn lesson's, over all three.
"""

import subprocess
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from fixtures.figures import INK, PAPER, font
from fixtures.lessons import MATHS
from fixtures.make import make
from fixtures.slides import SIZE_PX, pictures

# Raise it when the lesson changes: a kept file of another edition is another lesson.
EDITION = 2
RATE = 25
SCENES = ("slides", "camera", "screen")

# ffmpeg's noise filter draws from a bell of strength/√3, except that it is told "u".
_NOISE_STRENGTH = 5
_TYPED_A_SECOND = 5
_SCROLL_EVERY_S = 6
_LINE_PX = 72
_SKIN, _HAIR, _CLOTH = (212, 168, 140), (44, 36, 34), (62, 84, 122)


def lesson(folder: Path, seconds: int) -> Path:
    """A lesson of this many seconds in `folder`, made when it is not there yet. About a second of work for each second."""
    path = folder / f"lesson-{EDITION}-{seconds}.mp4"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    drawn = make(MATHS, folder / "sample").media
    stills = _stills(folder / "drawings")
    part = seconds / len(SCENES)
    inputs = ["-stream_loop", "-1", "-i", str(drawn)]
    for still in stills:
        inputs += ["-i", str(still)]
    scenes = [f"[0:v]fps={RATE}", _camera(), _screen()]
    cut = f",trim=duration={part},setpts=PTS-STARTPTS,setsar=1,format=yuv420p"
    # Each drawing is decoded once and repeated in memory.
    graph = [f"[{n}]loop=loop=-1:size=1,setpts=N/{RATE}/TB[still{n}]" for n in range(1, len(stills) + 1)]
    graph += [f"{scene}{cut}[{name}]" for name, scene in zip(SCENES, scenes, strict=True)]
    graph.append("".join(f"[{name}]" for name in SCENES) + f"concat=n={len(SCENES)}[v]")
    fresh = path.with_suffix(".part.mp4")
    argv = ["ffmpeg", "-v", "error", "-nostdin", "-y", *inputs, "-filter_complex", ";".join(graph)]
    argv += ["-map", "[v]", "-map", "0:a", "-t", str(seconds), "-r", str(RATE)]
    argv += ["-c:v", "libx264", "-preset", "veryfast", "-threads", "2", "-g", str(2 * RATE)]
    argv += ["-b:v", "4M", "-minrate", "4M", "-maxrate", "4M", "-bufsize", "4M", "-nal-hrd", "cbr"]
    argv += ["-c:a", "aac", "-b:a", "128k", "-map_metadata", "-1", str(fresh)]
    subprocess.run(argv, check=True)
    fresh.replace(path)
    return path


def _camera() -> str:
    """Room, teacher, arm and pupils are moved by whole pixels, as the filter does; the blur is the lens's."""
    walk = "820+520*sin(t/5)+60*sin(t*1.3)"
    return (
        f"[still1][still2]overlay=x='{walk}':y='300+8*sin(t*2.6)':eval=frame[walked];"
        f"[walked][still3]overlay=x='{walk}-70+30*sin(t*1.9)':y='430+90*sin(t*0.7)':eval=frame[pointed];"
        "[pointed][still4]overlay=x='14*sin(t*0.9)':y='790+6*sin(t*1.7)':eval=frame,"
        "eq=brightness='0.008*sin(t*2*PI*0.37)':eval=frame,gblur=sigma=0.9,"
        f"noise=alls={_NOISE_STRENGTH}:all_seed=20260901:allf=t"
    )


def _screen() -> str:
    """A blank sheet slides off the line that is being typed; at each scroll the page below moves on by a line."""
    scrolled = f"{_LINE_PX}*floor(t/{_SCROLL_EVERY_S})"
    typed = f"120+{SIZE_PX[0] - 240}*mod(floor(t*{_TYPED_A_SECOND})/{_TYPED_A_SECOND * _SCROLL_EVERY_S},1)"
    return (
        f"[still5]crop={SIZE_PX[0]}:{SIZE_PX[1]}:0:'mod({scrolled},ih-{SIZE_PX[1]})'[page];"
        f"[page][still6]overlay=x='{typed}':y={_LINE_PX * 12}:eval=frame"
    )


def _stills(folder: Path) -> list[Path]:
    """Inputs 1 to 6 of the graph: room, teacher, arm, pupils, page, sheet."""
    folder.mkdir(parents=True, exist_ok=True)
    drawings = {
        "room": _room(),
        "teacher": _teacher(),
        "arm": _arm(),
        "pupils": _pupils(),
        "page": _page(),
        "sheet": Image.new("RGB", (SIZE_PX[0], _LINE_PX), PAPER),
    }
    for name, drawing in drawings.items():
        drawing.save(folder / f"{name}.png", compress_level=1)
    return [folder / f"{name}.png" for name in drawings]


def _room() -> Image.Image:
    """A wall with grain and shade, and a board with a slide's writing on it."""
    wall = Image.merge("RGB", [Image.linear_gradient("L").resize(SIZE_PX)] * 3)
    wall = Image.blend(wall, Image.new("RGB", SIZE_PX, (186, 184, 170)), 0.8)
    grain = Image.effect_noise(SIZE_PX, 24).filter(ImageFilter.GaussianBlur(1.5)).convert("RGB")
    room = Image.blend(wall, grain, 0.12)
    board = pictures(MATHS)[-1].resize((1360, 765), Image.Resampling.LANCZOS)
    board = Image.blend(board, Image.new("RGB", board.size, (96, 96, 96)), 0.2)  # what a camera makes of paper white
    room.paste(board, (280, 40))
    ImageDraw.Draw(room).rectangle((280, 40, 1640, 805), outline=(110, 96, 84), width=14)
    return room.filter(ImageFilter.GaussianBlur(0.8))


def _teacher() -> Image.Image:
    person = Image.new("RGBA", (260, 700), (0, 0, 0, 0))
    draw = ImageDraw.Draw(person)
    draw.rounded_rectangle((20, 190, 240, 700), radius=80, fill=_CLOTH)
    for fold in range(8):
        draw.line((50 + 22 * fold, 230, 40 + 24 * fold, 700), fill=(52, 72, 108), width=5)
    draw.ellipse((66, 8, 194, 150), fill=_HAIR)
    draw.ellipse((76, 34, 184, 184), fill=_SKIN)
    for eye in (108, 152):
        draw.ellipse((eye - 7, 96, eye + 7, 108), fill=_HAIR)
    draw.ellipse((114, 142, 146, 158), fill=(160, 84, 78))
    return person


def _arm() -> Image.Image:
    arm = Image.new("RGBA", (150, 130), (0, 0, 0, 0))
    draw = ImageDraw.Draw(arm)
    draw.line((140, 115, 34, 34), fill=_CLOTH, width=44)
    draw.ellipse((4, 4, 56, 56), fill=_SKIN)
    return arm


def _pupils() -> Image.Image:
    row = Image.new("RGBA", (SIZE_PX[0], 300), (0, 0, 0, 0))
    draw = ImageDraw.Draw(row)
    for seat in range(7):
        x, shade = 150 + 270 * seat, 20 * (seat % 3)
        draw.rounded_rectangle((x - 110, 150, x + 110, 300), radius=60, fill=(70 + shade, 60 + 2 * shade, 90))
        draw.ellipse((x - 68, 16, x + 68, 180), fill=(38 + shade // 2, 32, 30))
    return row


def _page() -> Image.Image:
    """A document twice as high as the screen: every sentence of the lesson, again and again."""
    page = Image.new("RGB", (SIZE_PX[0], 3 * SIZE_PX[1]), PAPER)
    draw = ImageDraw.Draw(page)
    said = [step.say for slide in MATHS.slides for step in slide.steps]
    for row in range(page.height // _LINE_PX):
        draw.text((120, _LINE_PX * row + 36), said[row % len(said)], font=font(44), fill=INK, anchor="lm")
    return page
