"""One event, one line, no secret."""

import json
import logging

import pytest
import structlog

from archive.log import configure


@pytest.fixture(autouse=True)
def _restored() -> object:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_line_is_one_json_object_whatever_the_title_holds(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    with structlog.contextvars.bound_contextvars(recording="abc"):
        structlog.get_logger().info("taken in", title="勾股\n定理\x1b[31m")
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert told["recording"] == "abc"
    assert told["title"] == "勾股\n定理\x1b[31m"
    assert "\x1b" not in line


def test_secrets_and_codes_are_masked_and_error_codes_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    structlog.get_logger().info("x", staff_code="hush", signing_key="hush", webhook_token="hush", code="unreadable")
    line = capsys.readouterr().err
    assert "hush" not in line
    assert "unreadable" in line


def test_the_standard_library_joins_in_and_signed_paths_do_not(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    logging.getLogger("somebody").warning("hello %s", "there")
    logging.getLogger("uvicorn.access").info("GET /v/TOKEN/x")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "hello there"
