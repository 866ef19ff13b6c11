import re
from pathlib import Path

from archive import hardening
from archive.tool import Limits, run_tool


def test_each_allowed_decoder_is_the_one_that_this_ffmpeg_picks() -> None:
    listed = run_tool(["ffmpeg", "-hide_banner", "-codecs"], limits=Limits(wall_s=60)).stdout.decode()
    picked: dict[str, str] = {}
    for codec, description in re.findall(r"^ D\S{5} (\S+)\s+(.*)$", listed, re.MULTILINE):
        decoders = re.search(r"\(decoders: (\S+)", description)
        picked[codec] = decoders[1] if decoders else codec
    wanted = {**hardening.VIDEO_DECODERS, **hardening.AUDIO_DECODERS}
    assert {codec: picked[codec] for codec in wanted} == wanted


def test_a_path_is_never_an_option_or_another_protocol() -> None:
    for name in ("-y", "concat:a|b", "http:x", "a b"):
        *_, flag, url = hardening.media_input(Path(name))
        assert flag == "-i"
        assert url.startswith("file:/")
        assert url.endswith(f"/{name}")


def test_the_whitelists_stand_before_every_input() -> None:
    for arguments in (hardening.media_input(Path("a")), hardening.probe_input(Path("a"))):
        flags = arguments[: arguments.index("-i")][::2]
        assert {"-protocol_whitelist", "-format_whitelist", "-codec_whitelist", "-max_pixels", "-max_streams"} <= {
            *flags
        }
