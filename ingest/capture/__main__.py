"""`python -m ingest.capture`: the recorder without the rest of Huikan, for a small PC. `huikan record` is the same."""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from archive.errors import HuikanError, Misconfigured
from ingest.capture.config import read_config
from ingest.capture.recorder import Recorder, dry_run, status_line, unit_text


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="huikan record", description="按课表录课，边录边传。见 docs/recorder.md。")
    parser.add_argument("--config", type=Path, required=True, help="配置文件（TOML）。")
    parser.add_argument("--for", dest="minutes", type=float, help="不按课表，现在就录这么多分钟。")
    parser.add_argument("--dry-run", action="store_true", help="只试一遍：课表、画面、对象存储、时钟、磁盘。")
    parser.add_argument("--status", action="store_true", help="说一句现在在做什么。")
    parser.add_argument("--unit", action="store_true", help="输出 systemd 单元。")
    asked = parser.parse_args(argv)
    try:
        return run(asked.config, minutes=asked.minutes, what=_what(asked))
    except Misconfigured as error:
        sys.stderr.write(f"设置有误：{error}\n")
        return 78
    except HuikanError as error:
        sys.stderr.write(f"{error.reason_zh}\n")
        return 1


def _what(asked: argparse.Namespace) -> str:
    return next((name for name in ("dry_run", "status", "unit") if getattr(asked, name)), "record")


def run(path: Path, *, minutes: float | None, what: str) -> int:
    """`what` is record, dry_run, status or unit. The exit code. Raises HuikanError."""
    config = read_config(path)
    if what == "status":
        _say(status_line(config.spool.folder))
        return 0
    if what == "unit":
        whole = Path(sys.prefix) / "bin" / "huikan"
        command = [str(whole), "record"] if whole.exists() else [sys.executable, "-m", "ingest.capture"]
        _say(unit_text(path, command, Path(__file__).parents[2]))
        return 0
    if what == "dry_run":
        found = dry_run(config)
        for each in found:
            _say(f"{'✓' if each.ok else '✗'} {each.name_zh}：{each.note_zh}")
        return 0 if all(each.ok for each in found) else 1
    if config.timetable is None and minutes is None:
        raise Misconfigured(f"{path}：没有 [timetable]，请用 --for 分钟 手动录")
    recorder = Recorder(config, minutes=minutes)

    def ask(_number: int, _frame: FrameType | None) -> None:
        recorder.stop()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    recorder.run()
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
