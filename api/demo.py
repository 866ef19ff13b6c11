"""`huikan demo`: a server of its own, two sample lessons sent as a recorder sends them, and their way made visible.

Each part is a process as in a school: the server, the maker of the samples, the recorder (which has nothing but its own
key). Works again on the same data directory: what is already there is found again, not taken in twice.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from api.demo_board import Board
from api.demo_client import DemoClient, Seen
from api.state import Serving, serving
from archive.errors import HuikanError, Unavailable
from archive.settings import Settings, secret
from archive.timecode import clock_from_ms
from archive.tool import Limits, run_tool, tied_to_us
from ingest.recorder import RecorderKeys, issue
from transcribe.weights import builtin_english_model, builtin_mandarin_model

_CHECKOUT = Path(__file__).resolve().parent.parent
_START_S = 60.0  # 3 s on an idle machine
_STOP_S = 30.0
_ONCE_S = 1800.0  # --once gives up then: some ten times what two busy cores have needed
_POLL_S = 1.0
_MAKE = Limits(wall_s=900)
_SEND = Limits(wall_s=300)
_SEARCHES = ("勾股定理", "周髀算经", "dinosaur")  # the second is misheard, and found by its sound

out = Console(highlight=False)


def run_demo(*, once: bool, home: Path) -> int:
    """0 when the samples are published and what was said in them is searchable; 1, and the reason on screen, if not."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill ends it as Ctrl-C does
    settings = Settings(home=home).with_secrets()  # pyright: ignore[reportCallIssue]
    try:
        samples = _samples(home / "samples")
        with _server(settings) as served:
            client = DemoClient(served.url, settings)
            _send(samples, settings, served)
            reasons = _watch(client, _recordings(samples))
            _show(client, settings, served)
            for reason in reasons:
                out.print(f"[bold red]没有全部完成：[/]{escape(reason)}")
            if not once:
                _stay(served)
            return 1 if reasons else 0
    except HuikanError as error:
        out.print(f"[bold red]演示没有完成：[/]{escape(error.reason_zh)}")
        return 1
    except KeyboardInterrupt:
        out.print("已停止。")
        return 130 if once else 0


def _samples(folder: Path) -> Path:
    """The folder with the sample recordings, laid out as the incoming bucket; made on the first run."""
    whole = folder / "whole"
    if whole.exists():
        return folder
    if not (_CHECKOUT / "fixtures" / "make.py").is_file():
        raise Unavailable("样课", f"{_CHECKOUT} is no checkout", "演示需要在源代码目录里运行：script/demo。")
    with out.status("正在生成两节样课（画幻灯片、合成语音、编码；约一分钟，只做一次）…"):
        folder.mkdir(parents=True, exist_ok=True)
        run_tool([sys.executable, "-m", "fixtures.make", str(folder.resolve())], limits=_MAKE, cwd=_CHECKOUT)
    whole.touch()
    return folder


def _recordings(samples: Path) -> list[str]:
    return sorted(path.relative_to(samples).as_posix() for path in samples.rglob("*.mp4"))


@contextmanager
def _server(settings: Settings) -> Generator[Serving]:
    """A `huikan serve` that lives as long as the block; one that already serves this directory is used and left alone."""
    running = serving(settings.home)
    if running is not None:
        out.print(f"已有服务在运行：{running.url}")
        yield running
        return
    log = settings.home / "serve.log"
    with log.open("ab") as written:
        process = subprocess.Popen(
            tied_to_us([sys.executable, "-m", "api.cli", "serve"]),
            cwd=_CHECKOUT,
            env=os.environ | {"HUIKAN_HOME": str(settings.home.resolve())} | _demo_settings(),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            process_group=0,  # a Ctrl-C at the terminal is ours to handle, in order
        )
    try:
        with out.status("正在启动（对象存储、数据库、索引、任务引擎、网页）…"):
            ready = _ready(process, settings.home, log)
        out.print(f"已启动：{ready.url}　（日志 {log}）")
        yield ready
    finally:
        _stop(process)


def _demo_settings() -> dict[str, str]:
    """What suits a demonstration, each unless the environment says otherwise."""
    wanted = {"HUIKAN_STORE_PORT": "0", "HUIKAN_ENCODE_PRESET": "veryfast", "HUIKAN_LOG_FORMAT": "json"}
    mandarin, english = builtin_mandarin_model(), builtin_english_model()
    if "HUIKAN_SPEECH_MODEL" not in os.environ:  # whoever names a model wants to see that one at work
        wanted |= {"HUIKAN_SPEECH_MODEL": str(mandarin)} if mandarin else {}
        wanted |= {"HUIKAN_SPEECH_MODEL_BY_LANGUAGE": json.dumps({"en": str(english)})} if english else {}
    return {name: value for name, value in wanted.items() if name not in os.environ}


def _ready(process: subprocess.Popen[bytes], home: Path, log: Path) -> Serving:
    deadline = time.monotonic() + _START_S
    while (found := serving(home)) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            raise Unavailable("huikan serve", said[-300:] or "did not start", f"请查看日志 {log}。")
        time.sleep(_POLL_S)
    return found


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()  # its children are tied to it and go too
        process.wait()


def _send(samples: Path, settings: Settings, served: Serving) -> None:
    """Each room's recorder sends its lesson with a key of its own, which is taken back afterwards."""
    keys = RecorderKeys(settings.home / "store")
    for school, room in sorted({tuple(key.split("/")[:2]) for key in _recordings(samples)}):
        key = issue(school, room, settings.incoming_bucket)
        keys.add(key)
        prefix = f"{school}/{room}"
        out.print(f"录播主机 {prefix} 用自己的密钥 {key.access_key[:6]}… 上传到 s3://{served.s3_endpoint}/{key.bucket}")
        run_tool(
            [sys.executable, "-m", "fixtures.recorder", served.s3_endpoint, key.bucket, str(samples.resolve()), prefix],
            limits=_SEND,
            cwd=_CHECKOUT,
            env_extra={
                "HUIKAN_RECORDER_ACCESS_KEY": key.access_key,
                "HUIKAN_RECORDER_SECRET_KEY": key.secret_key,
            },
            on_line=lambda sent: out.print(f"    已上传 {escape(sent)}"),
        )
        keys.revoke(key.access_key)


def _watch(client: DemoClient, wanted: Sequence[str]) -> list[str]:
    """Show every stage until each recording is done or stuck. Returns the reasons of those that are not done."""
    deadline = time.monotonic() + _ONCE_S
    with Board(out, wanted) as board:
        while True:
            seen = client.arrivals()
            board.show(seen)
            if all(key in seen and seen[key].is_settled for key in wanted):
                break
            if time.monotonic() > deadline:
                return [f"{key}：{_ONCE_S / 60:.0f} 分钟内没有完成。{_why(seen.get(key))}" for key in wanted]
            time.sleep(_POLL_S)
    return [f"{key}：{_why(seen[key])}" for key in wanted if not seen[key].is_done]


def _why(seen: Seen | None) -> str:
    return "还没有收到" if seen is None else seen.trouble


def _show(client: DemoClient, settings: Settings, served: Serving) -> None:
    for query in _SEARCHES:
        out.print(f"\n搜索 [bold]{query}[/]")
        for found in client.search(query):
            out.print(f"  《{escape(found.title)}》")
            for hit in found.hits:
                out.print(f"    {clock_from_ms(hit.start_ms):>5}　{hit.marked}", soft_wrap=True)
                out.print(f"           [dim]{served.url}{hit.page}[/]", soft_wrap=True)
    out.print("\n打开网页（链接里带着学生口令）：")
    out.print(f"  [bold]{served.url}/enter#{escape(secret(settings.student_code))}[/]", soft_wrap=True)
    out.print(f"老师与管理员口令在 {settings.home / 'secrets.toml'}（staff_code）。")


def _stay(served: Serving) -> None:
    out.print("\n按 [bold]Ctrl-C[/] 停止。再次运行 script/demo 会从现在的数据继续；删除 .demo 目录则从头开始。")
    while True:
        try:
            os.kill(served.pid, 0)
        except ProcessLookupError as error:
            raise Unavailable("huikan serve", "it ended", "请查看日志 serve.log。") from error
        time.sleep(1)
