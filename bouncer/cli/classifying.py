"""`bouncer classify`: reads messages from files and prints what they are. Needs no store."""

import json
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.progress import Progress

from bouncer.classify import rules
from bouncer.classify.rules import Ruleset
from bouncer.cli.configuration import ConfigOption, loaded
from bouncer.cli.output import Format, FormatOption, chosen, fail, print_table
from bouncer.clock import now
from bouncer.errors import ConfigurationError
from bouncer.events import Event, Source
from bouncer.reading import Arrival, read_arrival
from bouncer.records import digest_of, item_id
from bouncer.reports.report import Format as ReportFormat

_SINGLE = (".eml", ".msg")  # what is named so is one message, whatever stands in it
_MANY = 100  # messages, from which on a person wants to see how far it is
_MAILDIR = ("cur", "new", "tmp")
_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
# A separator of an mbox (RFC 4155), with a header or a quoted separator after it.
_FROM_LINE = re.compile(
    rb"^From \S{1,320} +%b %b [ \d]\d [\d:]{4,8}(?: [A-Z0-9+-]{1,5})? \d{4}[^\n]{0,40}\r?\n"
    rb"(?=[!-9;-~]{1,60}:|>From )" % (_DAY, _MONTH),
    re.MULTILINE,
)
_COLUMNS = ("path", "kind", "class", "category", "recipient", "status", "smtp_code", "diagnostic")


@dataclass(frozen=True, slots=True)
class Found:
    """One message of the paths given; `octets` None when it cannot be read."""

    path: str
    octets: bytes | None
    modified: datetime
    error: str | None = None


class Answer(BaseModel):
    """What one message is, as it is printed."""

    model_config = ConfigDict(serialize_by_alias=True)

    path: str
    format: ReportFormat | None = None
    events: tuple[Event, ...] = ()
    defects: tuple[str, ...] = ()
    error: str | None = None


def classify(
    paths: Annotated[
        list[str],
        typer.Argument(help="Files, directories, Maildirs, mboxes; - for standard input."),
    ],
    format_: FormatOption = None,
    config: ConfigOption = None,
) -> None:
    """Says what messages are: bounces, complaints, auto-replies; whose, hard or soft, and why.

    Exit status 1 when a file could not be read.
    """
    for path in paths:
        if path != "-" and not Path(path).exists():
            fail(f"{path}: there is no such file")
    answers = _answers(_progress(list(_sources(paths))), _ruleset(config))
    form = chosen(format_)
    rows: list[Answer] = []
    failed = False
    for answer in answers:
        failed = failed or answer.error is not None
        if form is Format.JSONL:
            sys.stdout.write(answer.model_dump_json() + "\n")
        else:
            rows.append(answer)
    if form is Format.JSON:
        print(json.dumps([r.model_dump(mode="json") for r in rows], indent=2, ensure_ascii=False))
    elif form is Format.TABLE:
        lines = [line for answer in rows for line in _table_lines(answer)]
        print_table(lines, _COLUMNS, nothing="no messages")
    raise typer.Exit(1 if failed else 0)


def _table_lines(answer: Answer) -> list[dict[str, Any]]:
    events = [event.model_dump(mode="json") for event in answer.events]
    return [{"path": answer.path, "kind": answer.error, **event} for event in events or [{}]]


def _ruleset(config: Path | None) -> Ruleset:
    try:
        return rules.load(loaded(config).rules.directories)
    except ConfigurationError as error:
        fail(*error.faults)


def _answers(sources: Iterable[str], ruleset: Ruleset) -> Iterator[Answer]:
    for path in sources:
        for found in _messages(path):
            yield _answer(found, ruleset)


def _answer(found: Found, ruleset: Ruleset) -> Answer:
    if found.octets is None:
        return Answer(path=found.path, error=found.error)
    arrival = Arrival(
        id=item_id("", digest_of(found.octets)),
        recipient="",
        source=Source.FILE,
        received_at=found.modified,
    )
    reading = read_arrival(found.octets, arrival, {}, ruleset)
    return Answer.model_construct(
        path=found.path,
        format=reading.format,
        events=reading.events,
        defects=reading.defects,
        error=None,
    )


def _printable(path: str) -> str:
    """A file's name may be no UTF-8; JSON has to be."""
    return os.fsencode(path).decode("utf-8", "replace")


def _sources(paths: list[str]) -> Iterator[str]:
    """Each file: as given, joined with what is below it, in order."""
    for given in paths:
        if given != "-" and Path(given).is_dir():
            yield from _files(str(Path(given)))
        else:
            yield given


def _files(top: str) -> Iterator[str]:
    """Every file of a tree, in order; of a Maildir only what is in cur and new.

    Not pipes, sockets and devices: to read one could take for ever.
    """
    for name, folders, files in os.walk(top):
        folders.sort()
        if set(_MAILDIR) <= set(folders):
            folders.remove("tmp")
            continue  # beside them there are only indexes
        for file in sorted(files):
            path = os.path.join(name, file)  # noqa: PTH118  a Path costs as much as reading it
            if not file.startswith(".") and not _is_special(path):
                yield path


def _is_special(path: str) -> bool:
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116  as above
    except OSError:
        return False  # said when it is read


def _messages(path: str) -> Iterator[Found]:
    shown = _printable(path)
    try:
        octets, modified = _contents(path)
    except OSError as error:
        yield Found(shown, None, now(), error.strerror)
        return
    parts = [octets] if path.lower().endswith(_SINGLE) else _mbox(octets)
    if len(parts) < 2:
        yield Found(shown, octets, modified)
        return
    for number, part in enumerate(parts, start=1):
        yield Found(f"{shown}#{number}", part, modified)


def _contents(path: str) -> tuple[bytes, datetime]:
    """What stands in a file, and since when."""
    if path == "-":
        return sys.stdin.buffer.read(), now()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  as above
        modified = os.fstat(file.fileno()).st_mtime
        return file.readall(), datetime.fromtimestamp(modified, UTC)


def messages_of(path: str) -> Iterator[Found]:
    """The messages of one file, or of standard input."""
    if path != "-" and Path(path).is_dir():
        fail(f"{path}: this is a directory: name one message")
    if path != "-" and not Path(path).is_file():
        fail(f"{path}: there is no such file")
    yield from _messages(path)


def _mbox(octets: bytes) -> list[bytes]:
    """The messages of an mbox; one message where it is not an mbox, or holds only one."""
    if not octets.startswith(b"From "):
        return [octets]
    starts = [
        m.start()
        for m in _FROM_LINE.finditer(octets)
        if m.start() == 0
        or octets[max(0, m.start() - 4) : m.start()].endswith((b"\n\n", b"\r\n\r\n"))
    ]
    if starts[:1] != [0]:
        return [octets]
    ends = [*starts[1:], len(octets)]
    return [octets[start:end] for start, end in zip(starts, ends, strict=True)]


def _progress(sources: list[str]) -> Iterable[str]:
    """A bar on a terminal, when there is enough to wait for and the output goes elsewhere."""
    if not sys.stderr.isatty() or sys.stdout.isatty() or len(sources) < _MANY:
        yield from sources
        return
    with Progress(console=Console(stderr=True)) as bar:
        yield from bar.track(sources, description="reading")
