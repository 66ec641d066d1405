"""How log lines are rendered: text on a terminal, one JSON object a line elsewhere.

Whatever a stranger sent stays inside its line: control characters are escaped in both forms.
JSON lines are made here and not by structlog: there are two of them for each message.
"""

import asyncio
import contextlib
import logging
import re
import sys
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quoted
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# C0, DEL, C1, line and paragraph separators, bidirectional controls and marks.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)


def configure(format_: Literal["auto", "text", "json"], level: str) -> None:
    """Sends everything logged in this process to standard error."""
    text = format_ == "text" or (format_ == "auto" and sys.stderr.isatty())
    handler = _Handler(sys.stderr)
    handler.setFormatter(_text() if text else _Json())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # What a record would carry of where it was made: no line says it, and it costs more than one.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    for chatty in ("asyncio", "aiosmtpd", "mail.log", "mail.error", "alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


class _Handler(logging.StreamHandler[TextIO]):
    """Writes the lines of one turn of the event loop together, warnings and worse at once."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(self.format(record) + self.terminator)
            if record.levelno >= logging.WARNING or not self._flushed_later():
                self.flush()
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        with self.lock or contextlib.nullcontext():
            lines, self._lines = self._lines, []
            self.stream.write("".join(lines))
            self.stream.flush()

    def _flushed_later(self) -> bool:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if len(self._lines) == 1:
            loop.call_soon(self._flush_quietly)
        return True

    def _flush_quietly(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads them any more
            self.flush()


class _Json(logging.Formatter):
    """One object a line, ASCII only."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        line = (
            f'{{"event": {quoted(record.getMessage())}, "level": "{record.levelname.lower()}", '
            f'"logger": {quoted(record.name)}, "timestamp": "{at[:-6]}Z"'
        )
        if record.exc_info:
            line += f', "exception": {quoted(self.formatException(record.exc_info))}'
        if record.stack_info:
            line += f', "stack": {quoted(record.stack_info)}'
        return line + "}"


def _text() -> logging.Formatter:
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _escaped,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0),
        ],
    )


def _escaped(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Control characters as \\xNN; a traceback keeps its lines, as it is ours."""
    event["event"] = _CONTROL.sub(_escape, str(event["event"]))
    return event


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
