"""What a program that reads foreign bytes may see, and how far this machine can hold it to that.

A decoder with a hole runs an attacker's code: this bounds what that code reaches. `level` finds once, by really trying,
the strongest that works here:

    bubblewrap  only the files named in Confined, no network, no other process, no capability, nothing to write but `writes`
    unshare     no network; files and processes are visible as they are to us
    none        limits only (containers that forbid user namespaces). `huikan doctor` warns, `demand` may refuse to start

At every level the limits and the clean environment of archive.tool hold. Nothing here starts a recording's tool: it
makes the command line, and archive.tool runs it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import structlog

from archive.errors import Misconfigured, Unavailable

log = structlog.get_logger()

Level = Literal["bubblewrap", "unshare", "none"]
Mode = Literal["service", "tool", "offline"]

REMEDY_ZH = (
    "请安装：apt install bubblewrap。仍不行时，看系统是否禁止普通用户的 user namespace"
    "（sysctl kernel.unprivileged_userns_clone=1；Ubuntu 24.04 起还有 kernel.apparmor_restrict_unprivileged_userns=0）；"
    "在容器里运行时，请给容器加 --security-opt seccomp=unconfined --security-opt systempaths=unconfined，或直接装在主机上。"
)
TMP_BYTES = 64 * 2**20  # ffmpeg needs none; memory that RLIMIT_AS does not count must not be had for nothing
_TRIAL_S = 30

_LAUNCHER = Path(__file__).with_name("launch.py")
# Programs and their libraries. Of /etc only what the dynamic linker reads: libblas is found through alternatives.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
_LINKER = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives")
_PROCESSORS = "/sys/devices/system/cpu"  # how many there are: encoders choose their threads by it
_GPU_DESCRIPTIONS = ("/sys/dev/char", "/sys/class/drm", "/sys/devices")  # libdrm looks a node's driver up there


@dataclass(frozen=True, slots=True)
class Confined:
    """What a tool that reads foreign bytes may see: these files read-only, that directory read-write, no network,
    no other process. A tool's `cwd` must lie in one of them. Encoders' device nodes are there where the machine has them.
    """

    reads: tuple[Path, ...]
    writes: Path | None = None


@cache
def level() -> Level:
    """The strongest level that works here. Raises Unavailable when trying it failed for want of memory or time."""
    bwrap = shutil.which("bwrap")
    if bwrap and _works("tool", _bubblewrap(bwrap, _true(), Confined(()), None)):
        return "bubblewrap"
    if _works("offline", _true()):
        return "unshare"
    log.warning("foreign files are decoded without a sandbox", remedy="run huikan doctor")
    return "none"


def demand(wanted: Literal["auto", "required"]) -> None:
    """For start-up, with the setting `sandbox`. Raises Misconfigured when it is `required` and there is none to be had."""
    if wanted == "required" and level() == "none":
        raise Misconfigured(f"HUIKAN_SANDBOX=required, but this machine allows no sandbox at all. {REMEDY_ZH}")


def launched(argv: Sequence[str], mode: Mode, limits: Sequence[int | None] = (None, None, None)) -> list[str]:
    """The command line that runs `argv` (an absolute program first) through launch.py.

    `limits` are CPU seconds, bytes of address space and bytes of any file.
    """
    words = ["-" if value is None else str(value) for value in limits]
    return [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), mode, *words, *argv]


def enclosed(argv: Sequence[str], confined: Confined, cwd: Path | None) -> tuple[Mode, list[str]]:
    """How `argv` (an absolute program first) is run at this machine's level: launch.py's mode, and the command line."""
    strength = level()
    if strength == "bubblewrap":
        return "tool", _bubblewrap(shutil.which("bwrap") or "/usr/bin/bwrap", argv, confined, cwd)
    return ("offline" if strength == "unshare" else "tool"), list(argv)


def _works(mode: Mode, argv: Sequence[str]) -> bool:
    try:
        tried = subprocess.run(
            launched(argv, mode),
            check=False,
            timeout=_TRIAL_S,
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:  # says nothing about what is allowed here
        raise Unavailable("sandbox", f"cannot be tried: {error}", "请检查内存与进程数限制。") from error
    return tried.returncode == 0


def _true() -> list[str]:
    return [shutil.which("true") or "/bin/true"]


def _bubblewrap(bwrap: str, argv: Sequence[str], confined: Confined, cwd: Path | None) -> list[str]:
    """The tool becomes process 1 of its namespace: when it ends the kernel ends all it started, and bwrap, which waits
    for it itself, passes on what it cost. No `--new-session`: the process group is how archive.tool ends it.
    """
    found = [bwrap, "--unshare-all", "--die-with-parent", "--as-pid-1", "--cap-drop", "ALL", *_surroundings(bwrap)]
    for path in _programs(argv[0]):
        found += ["--ro-bind", str(path), str(path)]
    binds = [(path.absolute(), "--ro-bind") for path in confined.reads]
    if confined.writes is not None:
        binds.append((confined.writes.absolute(), "--bind"))
    for path, bind in sorted(binds, key=lambda entry: len(entry[0].parts)):  # a folder before what lies in it
        found += [bind, str(path), str(path)]
    found += ["--remount-ro", "/"]  # last: the mount points above are made in it
    return [*found, "--chdir", str(cwd.absolute() if cwd else "/"), "--", *argv]


@cache
def _surroundings(bwrap: str) -> tuple[str, ...]:
    """What every confined tool sees."""
    found: list[str] = []
    for name in _SYSTEM:
        if Path(name).is_symlink():
            found += ["--symlink", str(Path(name).readlink()), name]  # /bin -> usr/bin
        elif Path(name).exists():
            found += ["--ro-bind", name, name]
    for name in (*_LINKER, _PROCESSORS):
        found += ["--ro-bind-try", name, name]
    # Under root's number, which a worker in a container has, /proc/sys would take writes: no capability is asked there.
    found += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--dev", "/dev"]
    nodes = [node for pattern in ("nvidia*", "dri") for node in sorted(Path("/dev").glob(pattern))]
    for node in nodes:
        found += ["--dev-bind", str(node), str(node)]
    for name in _GPU_DESCRIPTIONS if nodes else ():
        found += ["--ro-bind-try", name, name]
    options = _options(bwrap)
    found += ["--remount-ro", "/dev"]
    found += ["--size", str(TMP_BYTES)] if "--size" in options else []
    found += ["--tmpfs", "/tmp"]  # noqa: S108 — the tool's own, gone with it
    if "--disable-userns" in options:  # namespaces within it would show an attacker more of the kernel
        found += ["--unshare-user", "--disable-userns"]
    return tuple(found)


def _options(bwrap: str) -> set[str]:
    """Those that this release knows: Ubuntu 22.04 has 0.6, Debian 12 has 0.8."""
    told = subprocess.run([bwrap, "--help"], check=False, capture_output=True, text=True, timeout=_TRIAL_S, env={})
    return {word for word in (told.stdout + told.stderr).split() if word.startswith("--")}


def _programs(program: str) -> list[Path]:
    """The program's own files where they lie outside the system's folders; its libraries must lie inside."""
    paths = {Path(program).absolute(), Path(program).resolve()}
    return [path for path in sorted(paths) if not any(path.is_relative_to(folder) for folder in _SYSTEM)]
