"""Commands that look into the store, or change it: events, suppressions, db, api-key."""

import asyncio
import csv
import hashlib
import secrets
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console

from bouncer import log
from bouncer.classify.category import BounceClass, Category
from bouncer.cli.configuration import ConfigOption, loaded
from bouncer.cli.entries import COLUMNS, entry_of, read_csv
from bouncer.cli.output import Format, FormatOption, chosen, fail, print_rows, print_table
from bouncer.clock import now
from bouncer.config import Config
from bouncer.errors import BouncerError
from bouncer.events import Event, SuppressionReason
from bouncer.records import Subscriber, Suppression
from bouncer.reports.report import Kind

if TYPE_CHECKING:  # imported where it is used: help need not wait for the database library
    from bouncer.store.page import Page
    from bouncer.store.store import Store

T = TypeVar("T")

# What fits on a terminal; JSON has all of it.
_EVENT_COLUMNS = ("received_at", "kind", "class", "category", "recipient", "status", "diagnostic")
_LEAST_DIAGNOSTIC = 10
_PAGE = 1000
_FAULTS_SHOWN = 20

events = typer.Typer(help="What became of what arrived.", no_args_is_help=True)
suppressions = typer.Typer(help="Addresses that are not to be mailed.", no_args_is_help=True)
db = typer.Typer(help="The store itself.", no_args_is_help=True)
api_key = typer.Typer(help="Keys of the API.", no_args_is_help=True)

LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at the most.")]
DomainOption = Annotated[
    str | None, typer.Option("--sending-domain", help="For this sending domain.")
]


@events.command("list")
def list_events(
    recipient: Annotated[str | None, typer.Option(help="Whole address.")] = None,
    sending_domain: DomainOption = None,
    kind: Annotated[Kind | None, typer.Option(help="What it is.")] = None,
    class_: Annotated[BounceClass | None, typer.Option("--class", help="hard or soft.")] = None,
    category: Annotated[Category | None, typer.Option(help="Why.")] = None,
    provider: Annotated[str | None, typer.Option(help="The receiver's operator.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Received at or after (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Received before (UTC).")] = None,
    limit: LimitOption = 50,
    format_: FormatOption = None,
    config: ConfigOption = None,
) -> None:
    """Lists events, the newest first."""
    from bouncer.store.events import EventFilter

    wanted = EventFilter(
        recipient=recipient,
        sending_domain=sending_domain,
        kind=kind,
        class_=class_,
        category=category,
        provider=provider,
        since=since.replace(tzinfo=UTC) if since else None,
        until=until.replace(tzinfo=UTC) if until else None,
    )
    found = in_store(config, lambda s: all_of(lambda n, c: s.events.find(wanted, n, c), limit))
    if chosen(format_) is Format.TABLE:
        print_table(_fitting(found), _EVENT_COLUMNS, nothing="no events", dense=True)
    else:
        print_rows(found, _EVENT_COLUMNS, chosen(format_), nothing="no events")


@suppressions.command("list")
def list_suppressions(
    sending_domain: DomainOption = None,
    reason: Annotated[SuppressionReason | None, typer.Option(help="Why.")] = None,
    limit: LimitOption = 50,
    format_: FormatOption = None,
    config: ConfigOption = None,
) -> None:
    """Lists suppressed addresses."""
    found = in_store(
        config,
        lambda s: all_of(
            lambda n, c: s.suppressions.find(n, c, sending_domain=sending_domain, reason=reason),
            limit,
        ),
    )
    _print_suppressions(found, format_, nothing="no address is suppressed")


@suppressions.command("check")
def check_suppressions(
    addresses: Annotated[list[str], typer.Argument(help="Addresses to look up.")],
    sending_domain: DomainOption = None,
    format_: FormatOption = None,
    config: ConfigOption = None,
) -> None:
    """Says which of these addresses are not to be mailed; exit status 1 when any is not."""
    found = in_store(config, lambda s: s.suppressions.check(addresses, sending_domain, now()))
    _print_suppressions(found, format_, nothing="they may all be mailed")
    raise typer.Exit(1 if found else 0)


@suppressions.command("add")
def add_suppressions(
    addresses: Annotated[list[str], typer.Argument(help="Addresses not to be mailed.")],
    sending_domain: DomainOption = None,
    until: Annotated[datetime | None, typer.Option(help="Ends then (UTC); default: never.")] = None,
    config: ConfigOption = None,
) -> None:
    """Suppresses addresses, for one sending domain or for all."""
    end = until.replace(tzinfo=UTC).isoformat() if until else None
    try:
        entries = [
            entry_of({"address": a, "sending_domain": sending_domain, "until": end}, now())
            for a in addresses
        ]
    except ValueError as error:
        fail(*str(error).splitlines())

    async def put(store: "Store") -> int:
        return sum(await asyncio.gather(*(store.suppressions.put(entry) for entry in entries)))

    added = in_store(config, put, writes=True)
    changed = len(entries) - added
    print(f"{added} added, {changed} there already: as asked now", file=sys.stderr)


@suppressions.command("remove")
def remove_suppressions(
    addresses: Annotated[list[str], typer.Argument(help="Addresses that may be mailed again.")],
    sending_domain: DomainOption = None,
    config: ConfigOption = None,
) -> None:
    """Lets addresses be mailed again; exit status 1 when one was not suppressed."""

    from bouncer.store.suppressions import ALL

    async def remove(store: "Store") -> list[list[Suppression]]:
        domain = sending_domain or ALL
        return [await store.suppressions.remove(a, domain, now()) for a in addresses]

    removed = in_store(config, remove, writes=True)
    for address, gone in zip(addresses, removed, strict=True):
        print(f"{address}: {'removed' if gone else 'was not suppressed'}", file=sys.stderr)
    raise typer.Exit(0 if all(removed) else 1)


@suppressions.command("import")
def import_suppressions(
    file: Annotated[
        Path, typer.Argument(help=f"CSV with a header of {', '.join(COLUMNS)}; or just addresses.")
    ],
    config: ConfigOption = None,
) -> None:
    """Adds the entries of a CSV file, as written by `export` or by another service.

    Only the column `address` (or `email`) is needed. What is suppressed already stays as it is,
    unless the file says so for longer. Of a file with a fault nothing is added.
    """
    entries, faults = read_csv(file, now())
    if faults:
        fail(*faults[:_FAULTS_SHOWN])
    added = in_store(config, lambda s: s.suppressions.put_new(entries, now()), writes=True)
    print(f"{added} added, {len(entries) - added} there already", file=sys.stderr)


@suppressions.command("export")
def export_suppressions(config: ConfigOption = None) -> None:
    """Prints all suppressions as CSV."""
    found = in_store(config, lambda s: all_of(lambda n, c: s.suppressions.find(n, c), None))
    rows = csv.writer(sys.stdout)
    rows.writerow(COLUMNS)
    for one in found:
        entry = one.entry().model_dump(mode="json")
        rows.writerow(["" if entry[c] is None else entry[c] for c in COLUMNS])


@db.command("upgrade")
def upgrade_db(config: ConfigOption = None) -> None:
    """Brings the tables to what this version needs; `serve` does it by itself."""
    from bouncer.store.store import upgrade

    settings = loaded(config)
    try:
        upgrade(settings.store.url.get_secret_value())
    except BouncerError as error:
        fail(str(error))


@api_key.command("new")
def new_api_key(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    scope: Annotated[str, typer.Option(help="read, write or admin.")] = "read",
) -> None:
    """Makes a key and prints what goes into the configuration; the key itself is shown only now."""
    if scope not in ("read", "write", "admin"):
        fail(f"--scope: {scope!r} is none of read, write, admin")
    key = secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    print(f"the key, to be kept by its user: {key}", file=sys.stderr)
    print("and for the configuration, under api.keys:", file=sys.stderr)
    print(f"- {{name: {name}, sha256: {digest}, scope: {scope}}}")


def in_store(
    config: Path | None, work: Callable[["Store"], Awaitable[T]], *, writes: bool = False
) -> T:
    """What `work` gives with the store open; errors of the store end the command with one line.

    A command that `writes` makes the store where there is none; one that reads says so.
    """
    settings = loaded(config)
    log.configure(settings.log.format, "warning")

    async def run() -> T:
        store = await _open(settings, migrate=writes)
        try:
            return await work(store)
        finally:
            await store.close()

    try:
        return asyncio.run(run())
    except BouncerError as error:
        fail(*(str(error) or type(error).__name__).splitlines())


async def _open(settings: Config, *, migrate: bool) -> "Store":
    from bouncer.store.store import Store

    subscribers = tuple(Subscriber(n, e.events, e.domains) for n, e in settings.endpoints())
    url = settings.store.url.get_secret_value()
    return await Store.open(url, subscribers, migrate=migrate)


async def all_of(
    find: Callable[[int, str | None], Awaitable["Page[T]"]], limit: int | None
) -> list[T]:
    """What `find` gives, page after page; `limit` None: without end."""
    found: list[T] = []
    cursor = None
    while limit is None or len(found) < limit:
        page = await find(_PAGE if limit is None else min(_PAGE, limit - len(found)), cursor)
        found += page.items
        cursor = page.next
        if cursor is None:
            break
    return found


def _fitting(found: Sequence[Event]) -> list[dict[str, Any]]:
    """A line for each event: the time to the minute, and as much of the diagnostic as fits."""
    rows = [event.model_dump(mode="json", by_alias=True) for event in found]
    for row, event in zip(rows, found, strict=True):
        row["received_at"] = f"{event.received_at.astimezone(UTC):%m-%d %H:%M}"
    widths = [
        max([len(column), *(len(str(row[column] or "-")) for row in rows)])
        for column in _EVENT_COLUMNS[:-1]
    ]
    left = max(_LEAST_DIAGNOSTIC, Console().width - sum(widths) - len(widths))
    for row in rows:
        said = row["diagnostic"]
        if said and len(said) > left:
            row["diagnostic"] = said[: left - 1] + "…"
    return rows


def _print_suppressions(found: list[Suppression], format_: Format | None, *, nothing: str) -> None:
    rows = [one.entry() for one in found]
    print_rows(rows, COLUMNS, chosen(format_), nothing=nothing)
