"""How log lines are rendered: text on a terminal, one JSON object a line elsewhere.

Whatever a stranger sent stays inside its line: control characters are escaped in both forms.
"""

import logging
import re
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# C0, DEL, C1, line and paragraph separators, bidirectional controls.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def configure(format_: Literal["auto", "text", "json"], level: str) -> None:
    """Sends everything logged in this process to standard error."""
    text = format_ == "text" or (format_ == "auto" and sys.stderr.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
        if text
        else structlog.processors.JSONRenderer()
    )
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    rendering += [_escaped] if text else [structlog.processors.format_exc_info]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[*rendering, renderer]
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("asyncio", "aiosmtpd", "mail.log", "mail.error", "alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


def _escaped(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Control characters as \\xNN; a traceback keeps its lines, as it is ours."""
    event["event"] = _CONTROL.sub(_escape, str(event["event"]))
    return event


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
