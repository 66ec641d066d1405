"""A log line is one line, whatever a stranger wrote into it."""

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest

from bouncer import log

NASTY = 'a\r\n{"level":"error"}\x1b[2J\x00\u2028\u202e\x85\u200e\u200f\u061c'


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_stranger_cannot_add_a_line_or_a_colour(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure("json" if form == "json" else "text", "info")
    logging.getLogger("bouncer.test").info("took mail from %s", NASTY)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert len(err.splitlines()) == 1
    assert not any(c in err for c in "\r\x1b\x00\u2028\u202e\x85\u200e\u200f\u061c")


def test_json_lines_carry_level_logger_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("auto", "info")
    logging.getLogger("bouncer.test").warning("the store is %s", "away")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("the store is away", "warning")
    assert line["logger"] == "bouncer.test"
    assert line["timestamp"].endswith("Z")


def test_a_traceback_is_part_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("json", "info")
    try:
        raise ValueError(NASTY)
    except ValueError:
        logging.getLogger("bouncer.test").exception("it broke")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError" in json.loads(line)["exception"]


async def test_lines_of_a_running_loop_are_written_in_its_next_turn(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure("json", "info")
    for number in range(3):
        logging.getLogger("bouncer.test").info("message %d", number)
    assert capsys.readouterr().err == ""
    await asyncio.sleep(0)
    lines = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["message 0", "message 1", "message 2"]


async def test_a_warning_is_written_at_once_and_after_what_came_before_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure("json", "info")
    logging.getLogger("bouncer.test").info("first")
    logging.getLogger("bouncer.test").warning("second")
    lines = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["first", "second"]
