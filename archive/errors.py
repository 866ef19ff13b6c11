"""Every error Huikan raises on purpose. Two families matter, and retries ask only which:

    HuikanError
    ├── Rejected        can never work: the bytes, the name or the request are wrong
    │   ├── Unreadable        the bytes are no recording
    │   │   └── Unacceptable  a recording, but outside what we take (too long, too large, too many pixels, bad key)
    │   ├── ToolTimeout       a child process used up the time this input was given
    │   ├── Unsupported       a language that no model of the speech engine knows
    │   └── Absent            what was asked for does not exist
    ├── Unavailable     may work later: a disk, a server or a model is missing or full just now
    │   ├── DiskFull
    │   └── ModelMissing
    ├── ToolFailed      a child process said no; whoever started it knows what that means and translates it
    ├── Cancelled       somebody asked us to stop
    └── Misconfigured   the settings contradict themselves; the process must not start

All take positional arguments and pass them to `super().__init__`: the workflow engine pickles errors.
`str(error)` is for a log line (English); `reason_zh` is for a school's technician.
"""


class HuikanError(Exception):
    """The root. `code` is stable and machine-readable; it appears in problems, metrics and the catalog."""

    code = "error"

    @property
    def reason_zh(self) -> str:
        """What happened and what to do about it, for the person who reads our pages."""
        return str(self)


class Rejected(HuikanError):
    """Can never work, however often it is tried."""

    code = "rejected"


class Unreadable(Rejected):
    """The bytes are no recording. Nothing will change that; the object stays where it is for a person to look at."""

    code = "unreadable"

    def __init__(self, name: str, reason: str, reason_zh: str) -> None:
        super().__init__(name, reason, reason_zh)  # positional: the engine pickles errors
        self.name, self.reason, self._reason_zh = name, reason, reason_zh

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"

    @property
    def reason_zh(self) -> str:
        return self._reason_zh


class Unacceptable(Unreadable):
    """A real recording, or a real name, that is outside what Huikan takes."""

    code = "unacceptable"


class ToolTimeout(Rejected):
    """A child process used up its wall or CPU seconds. The same input would use them up again."""

    code = "tool-timeout"

    def __init__(self, name: str, limit_s: float) -> None:
        super().__init__(name, limit_s)
        self.name, self.limit_s = name, limit_s

    def __str__(self) -> str:
        return f"{self.name}: not done after {self.limit_s:g} s"

    @property
    def reason_zh(self) -> str:
        return f"处理超时：{self.name} 用了 {self.limit_s:g} 秒仍未完成。这个文件可能已损坏。"


class ToolFailed(HuikanError):
    """A child process ended with an error. Whether that blames the input or the machine, only its caller knows."""

    code = "tool-failed"

    def __init__(self, name: str, returncode: int, stderr_tail: str) -> None:
        super().__init__(name, returncode, stderr_tail)
        self.name, self.returncode, self.stderr_tail = name, returncode, stderr_tail

    def __str__(self) -> str:
        return f"{self.name}: exit {self.returncode}: {self.last_line}"

    @property
    def last_line(self) -> str:
        """The last thing it said, on one line of at most 300 characters."""
        lines = self.stderr_tail.strip().splitlines() or [""]
        return "".join(c if c.isprintable() else " " for c in lines[-1])[:300]

    @property
    def reason_zh(self) -> str:
        return f"{self.name} 出错（退出码 {self.returncode}）：{self.last_line}"


class Unsupported(Rejected):
    """Spoken in a language that this speech engine knows with no model at all: it would invent another."""

    code = "unsupported"

    def __init__(self, what: str, language: str) -> None:
        super().__init__(what, language)
        self.what, self.language = what, language

    def __str__(self) -> str:
        return f"{self.what}: no model knows {self.language}"

    @property
    def reason_zh(self) -> str:
        return f"{self.what} 不支持这节课的语言（{self.language}），没有字幕。可以上传字幕文件。"


class Absent(Rejected):
    """Nothing by that name (or nothing this viewer may know of: the two look alike)."""

    code = "absent"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"{self.name}: not found"

    @property
    def reason_zh(self) -> str:
        return f"没有找到：{self.name}"


class Unavailable(HuikanError):
    """May work later. `remedy_zh` says what a person can do; the run itself tries again or waits."""

    code = "unavailable"

    def __init__(self, what: str, reason: str, remedy_zh: str = "") -> None:
        super().__init__(what, reason, remedy_zh)
        self.what, self.reason, self.remedy_zh = what, reason, remedy_zh

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"

    @property
    def reason_zh(self) -> str:
        return f"{self.what} 暂时不可用（{self.reason}）。{self.remedy_zh}"


class DiskFull(Unavailable):
    """There is no room to work; nothing was half-written."""

    code = "disk-full"


class ModelMissing(Unavailable):
    """The speech model is not on this machine and cannot be fetched now."""

    code = "model-missing"


class Cancelled(HuikanError):
    """Somebody asked us to stop; never retried."""

    code = "cancelled"


class Misconfigured(HuikanError):
    """The settings contradict themselves or are unsafe. Exit code 78 (EX_CONFIG of sysexits.h)."""

    code = "misconfigured"
