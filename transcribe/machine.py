"""What this process really has of the machine: a container's share of cores and memory, not the host's."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def cores(cgroup: Path = _CGROUP) -> int:
    """Whole cores that may be used at once: those we may run on, within the container's quota; at least one."""
    allowed = len(os.sched_getaffinity(0))
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")  # cgroup v2: "150000 100000", or "max 100000"
    if quota.isdigit() and period.isdigit() and int(period):
        allowed = min(allowed, int(quota) // int(period))
    return max(1, allowed)


def available_bytes(cgroup: Path = _CGROUP) -> int:
    """Memory that can still be had: the kernel's estimate, or what the container's limit leaves if that is less."""
    free = 0
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    limit, used = _read(cgroup / "memory.max"), _read(cgroup / "memory.current")
    if limit.isdigit() and used.isdigit():
        free = min(free, max(0, int(limit) - int(used)))
    return free


def resident_bytes() -> int:
    """What this process holds in memory."""
    pages = _read(Path("/proc/self/statm")).split()
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
