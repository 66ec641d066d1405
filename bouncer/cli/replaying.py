"""`bouncer replay`: stored messages read again under the rules of today."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bouncer import log
from bouncer.classify import rules
from bouncer.cli.configuration import ConfigOption, loaded
from bouncer.cli.output import Format, FormatOption, chosen, fail, print_table
from bouncer.clock import now
from bouncer.config import Config, Duration
from bouncer.errors import BouncerError, ConfigurationError
from bouncer.records import Subscriber

if TYPE_CHECKING:  # imported where it is used: help need not wait for the database library
    from bouncer.replay import Difference, Replay, Replayed, Said, Scope

_AGE: TypeAdapter[timedelta] = TypeAdapter(Duration)
_SUPPRESSION_COLUMNS = ("address", "sending_domain", "reason", "since", "events")


def replay(
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="Received at or after: 2026-03-01, 2026-03-01T12:00 (UTC), or an age such as 7d.",
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Received before; default: now.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")
    ] = False,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="Only messages that readers died over.")
    ] = False,
    format_: FormatOption = None,
    config: ConfigOption = None,
) -> None:
    """Reads stored messages again under the rules of today, and says what that changes.

    Events keep their ids; what they said before is kept. Suppressions follow, and those that fall
    away are named. Exit status 1 when a message could not be read or it stopped before the end.
    """
    from bouncer.replay import Scope

    at = now()
    scope = Scope(
        until=_moment("--until", until, at) if until else at,
        since=_moment("--since", since, at) if since else None,
        quarantined_only=quarantined,
    )
    settings = loaded(config)
    log.configure(settings.log.format, "error")  # what is warned of stands in the report
    try:
        rules.load(settings.rules.directories)
        replayed = asyncio.run(_replayed(settings, scope, dry_run=dry_run))
    except ConfigurationError as error:
        fail(*error.faults)
    except BouncerError as error:
        fail(*(str(error) or type(error).__name__).splitlines())
    _print(replayed, chosen(format_))
    if not replayed.complete:
        print("bouncer: stopped before the end; run it again for the rest", file=sys.stderr)
    raise typer.Exit(1 if replayed.unread or not replayed.complete else 0)


async def _replayed(settings: Config, scope: "Scope", *, dry_run: bool) -> "Replayed":
    from bouncer.reader import ReaderPool
    from bouncer.replay import Replay
    from bouncer.store.store import Store

    subscribers = tuple(Subscriber(n, e.events, e.domains) for n, e in settings.endpoints())
    async with contextlib.AsyncExitStack() as stack:
        store = await Store.open(
            settings.store.url.get_secret_value(),
            subscribers,
            migrate=False,
            reserve_bytes=settings.store.reserve_bytes,
        )
        stack.push_async_callback(store.close)
        readers = ReaderPool.of(settings)
        stack.push_async_callback(readers.close)
        replay = Replay(
            store.stored,
            store.history,
            readers,
            parallel=settings.pipeline.readers,
            dry_run=dry_run,
        )
        stack.enter_context(_stopped_by_signals(replay))
        progress = stack.enter_context(_progress())
        return await replay.run(scope, progress)


@contextlib.contextmanager
def _stopped_by_signals(replay: "Replay") -> Iterator[None]:
    """The first signal ends it after the page it is at, with a report; the second at once."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def let_go() -> None:
        for number in signals:
            loop.remove_signal_handler(number)

    def stop() -> None:
        replay.stop.set()
        let_go()

    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        let_go()


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, on standard error."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    columns = (
        TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _moment(option: str, written: str, at: datetime) -> datetime:
    """A date, a time, or an age before now."""
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        pass
    else:
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return at - _AGE.validate_python(written)
    except (ValidationError, OverflowError):
        fail(f"{option}: {written!r} is neither a time (2026-03-01T12:00) nor an age (12h, 7d)")


def _print(replayed: "Replayed", format_: Format) -> None:
    match format_:
        case Format.TABLE:
            _show(replayed)
        case Format.JSON:
            print(replayed.model_dump_json(indent=2))
        case Format.JSONL:
            print(replayed.model_dump_json())


def _show(replayed: "Replayed") -> None:
    """For people: the changes, then what follows, then what could not be read."""
    console = Console(highlight=False)
    would = "would change" if replayed.dry_run else "changed"
    rows = [_row(each) for each in replayed.changes]
    if rows:
        print_table(rows, ("from", "to", "count", "fields", "events"), nothing="")
    released = f", {replayed.released} no longer quarantined" if replayed.released else ""
    console.print(
        f"{replayed.messages} messages read again by the rules {replayed.ruleset}: "
        f"{replayed.changed} {would}{released}"
    )
    _show_suppressions(console, "Suppressions that fall away", replayed.suppressions_removed)
    _show_suppressions(console, "Suppressions that are added", replayed.suppressions_added)
    if replayed.unread:
        console.print("\n[bold]Messages that no reader survived; left as they were[/bold]")
        print_table([u.model_dump() for u in replayed.unread], ("id", "cause"), nothing="")
    if replayed.store_lost:
        console.print("\nThe store went away meanwhile: what it committed just then is missing.")


def _show_suppressions(console: Console, title: str, entries: tuple[Any, ...]) -> None:
    if not entries:
        return
    console.print(f"\n[bold]{title} ({len(entries)})[/bold]")
    rows = [entry.model_dump(mode="json") for entry in entries]
    print_table(rows, _SUPPRESSION_COLUMNS, nothing="")


def _row(each: "Difference") -> dict[str, Any]:
    return {
        "from": _words(each.from_),
        "to": _words(each.to),
        "count": each.count,
        "fields": list(each.fields),
        "events": list(each.events[:2]),
    }


def _words(said: "Said | None") -> str:
    if said is None:
        return "no event"
    return " ".join(str(part) for part in (said.kind, said.class_, said.category) if part)
