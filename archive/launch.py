"""The last step before a tool: run as a script by archive.tool, never imported, and replaced by the tool itself.

    python -I -S launch.py PARENT_PID CPU_S MEMORY_BYTES FILE_BYTES PROGRAM ARGUMENT…     ("-" where there is no limit)

It ties the tool's life to its parent's and sets the resource limits. A process of its own, because Python code between
fork and exec (`preexec_fn`) may deadlock in a process with threads, and our workers have many.
"""

import ctypes
import os
import resource
import signal
import sys

EXIT_PARENT_GONE = 125
EXIT_NOT_EXECUTABLE = 126  # as shells and env(1) say it
_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Never returns: becomes PROGRAM, or exits with one of the codes above."""
    parent_pid, cpu_s, memory_bytes, file_bytes, *command = argv
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent_pid):  # it died before the line above: no signal would ever come
        sys.exit(EXIT_PARENT_GONE)
    _limit(resource.RLIMIT_CPU, cpu_s)
    _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_CORE, "0")  # a core file would be a copy of the lesson that nobody erases
    # Python ignores both, and a program inherits that. SIGXFSZ stays ignored: a write past the limit then fails with
    # "File too large", which the tool can report, instead of killing it without a word.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execv(command[0], command)  # noqa: S606 — that is what this file is for
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(EXIT_NOT_EXECUTABLE)


def _limit(which: int, value: str) -> None:
    """Soft and hard alike. At the hard CPU limit the kernel kills; the soft one's signal ffmpeg would catch."""
    if value == "-":
        return
    _, hard = resource.getrlimit(which)
    wanted = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
    resource.setrlimit(which, (wanted, wanted))


if __name__ == "__main__":
    main(sys.argv[1:])
