"""Logging for every process: structlog, one JSON object a line, or pretty on a terminal. Standard-library logs join in.

Bind `recording=<id>` around work on a recording. Secrets never reach a line: values under telling names are masked.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_TELLING = ("secret", "token", "password", "code", "authorization", "signing_key", "cookie")
# "code" alone would hide error codes, which operators need.
_HARMLESS = frozenset({"code", "status_code", "returncode"})


def configure(log_format: str, level: str) -> None:
    """Call once per process, before anything logs. `log_format` is auto, json or pretty."""
    pretty = log_format == "pretty" or (log_format == "auto" and sys.stderr.isatty())
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        masked,
    ]
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Their info lines are about themselves, and uvicorn's access log would print signed paths.
    for noisy in ("uvicorn.access", "dbos", "urllib3", "alembic", "faster_whisper", "httpx", "jieba"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def masked(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: hides values whose key says that they are secret."""
    for key in event:
        if key not in _HARMLESS and any(word in key.lower() for word in _TELLING):
            event[key] = "***"
    return event
