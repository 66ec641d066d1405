"""Commands that look into the store, or change it: events, suppressions, db, api-key."""

import asyncio
import csv
import hashlib
import secrets
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from bouncer import log
from bouncer.classify.category import BounceClass, Category
from bouncer.cli.configuration import ConfigOption, loaded
from bouncer.cli.output import Format, FormatOption, chosen, fail, print_rows
from bouncer.clock import now
from bouncer.config import Config
from bouncer.errors import BouncerError
from bouncer.events import SuppressionReason
from bouncer.mail.address import address_key
from bouncer.records import Subscriber, Suppression
from bouncer.reports.report import Kind

if TYPE_CHECKING:  # imported where it is used: help need not wait for the database library
    from bouncer.store.page import Page
    from bouncer.store.store import Store

T = TypeVar("T")

_EVENT_COLUMNS = (
    "received_at", "kind", "class", "category", "recipient", "status", "smtp_code", "provider",
    "sending_domain", "diagnostic",
)  # fmt: skip
_SUPPRESSION_COLUMNS = ("address", "sending_domain", "reason", "source", "since", "until")
_PAGE = 1000

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
    found = _in_store(config, lambda s: _all(lambda n, c: s.events.find(wanted, n, c), limit))
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
    found = _in_store(
        config,
        lambda s: _all(
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
    found = _in_store(config, lambda s: s.suppressions.check(addresses, sending_domain, now()))
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
    entries = [
        _manual(a, sending_domain, until.replace(tzinfo=UTC) if until else None) for a in addresses
    ]
    added = _in_store(config, lambda s: _put(s, entries))
    print(f"{added} added, {len(entries) - added} there already", file=sys.stderr)


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

    removed = _in_store(config, remove)
    for address, gone in zip(addresses, removed, strict=True):
        print(f"{address}: {'removed' if gone else 'was not suppressed'}", file=sys.stderr)
    raise typer.Exit(0 if all(removed) else 1)


@suppressions.command("import")
def import_suppressions(
    file: Annotated[Path, typer.Argument(help="CSV: address, sending_domain; or just addresses.")],
    config: ConfigOption = None,
) -> None:
    """Suppresses every address of a CSV file, as written by `export` or by another service."""
    entries, faults = _read_csv(file)
    if faults:
        fail(*faults[:20])
    added = _in_store(config, lambda s: _put(s, entries))
    print(f"{added} added, {len(entries) - added} there already", file=sys.stderr)


@suppressions.command("export")
def export_suppressions(config: ConfigOption = None) -> None:
    """Prints all suppressions as CSV."""
    found = _in_store(config, lambda s: _all(lambda n, c: s.suppressions.find(n, c), None))
    rows = csv.writer(sys.stdout)
    rows.writerow(_SUPPRESSION_COLUMNS)
    for one in found:
        entry = one.entry().model_dump(mode="json")
        rows.writerow(["" if entry[c] is None else entry[c] for c in _SUPPRESSION_COLUMNS])


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


def _in_store(config: Path | None, work: Callable[["Store"], Awaitable[T]]) -> T:
    """What `work` gives with the store open; errors of the store end the command with one line."""
    settings = loaded(config)
    log.configure(settings.log.format, "warning")

    async def run() -> T:
        store = await _open(settings)
        try:
            return await work(store)
        finally:
            await store.close()

    try:
        return asyncio.run(run())
    except BouncerError as error:
        fail(*(str(error) or type(error).__name__).splitlines())


async def _open(settings: Config) -> "Store":
    from bouncer.store.store import Store

    subscribers = tuple(Subscriber(n, e.events, e.domains) for n, e in settings.endpoints())
    return await Store.open(settings.store.url.get_secret_value(), subscribers)


async def _all(
    find: Callable[[int, str | None], Awaitable["Page[T]"]], limit: int | None
) -> list[T]:
    found: list[T] = []
    cursor = None
    while limit is None or len(found) < limit:
        page = await find(_PAGE if limit is None else min(_PAGE, limit - len(found)), cursor)
        found += page.items
        cursor = page.next
        if cursor is None:
            break
    return found


async def _put(store: "Store", entries: list[Suppression]) -> int:
    return sum([await store.suppressions.put(entry) for entry in entries])


def _manual(address: str, domain: str | None, until: datetime | None) -> Suppression:
    if "@" not in address.strip("@"):
        fail(f"{address!r} is not an address")
    return Suppression(
        address=address_key(address),
        sending_domain=domain.lower() if domain else None,
        reason=SuppressionReason.MANUAL,
        source="cli",
        since=now(),
        until=until,
    )


def _read_csv(file: Path) -> tuple[list[Suppression], list[str]]:
    """The entries of a file, or what is wrong with it, by line."""
    entries: list[Suppression] = []
    faults: list[str] = []
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            for number, row in enumerate(csv.reader(text), start=1):
                if not row or (number == 1 and row[0].strip().lower() in ("address", "email")):
                    continue
                address, domain = row[0].strip(), (row[1].strip() if len(row) > 1 else "")
                if "@" in address.strip("@"):
                    entries.append(_manual(address, domain or None, None))
                else:
                    faults.append(f"{file}:{number}: {address!r} is not an address")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        faults.append(f"{file}: {getattr(error, 'strerror', None) or error}")
    return entries, faults


def _print_suppressions(found: list[Suppression], format_: Format | None, *, nothing: str) -> None:
    rows = [one.entry() for one in found]
    print_rows(rows, _SUPPRESSION_COLUMNS, chosen(format_), nothing=nothing)
