"""`bouncer webhooks`: what is owed to whom, one more try, and a message to try an endpoint."""

import secrets
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bouncer.cli.configuration import ConfigOption, loaded
from bouncer.cli.output import FormatOption, chosen, fail, print_rows
from bouncer.cli.stored import LimitOption, all_of, in_store
from bouncer.clock import now
from bouncer.events import TestMessage, WebhookTest
from bouncer.records import Delivery, DeliveryState

if TYPE_CHECKING:
    from bouncer.store.store import Store

_COLUMNS = ("id", "type", "state", "attempts", "last_status", "last_error")

app = typer.Typer(help="What is told to other programs.", no_args_is_help=True)


@app.command("list")
def list_deliveries(
    endpoint: Annotated[str | None, typer.Option(help="To this endpoint, by name.")] = None,
    state: Annotated[DeliveryState | None, typer.Option(help="How far they are.")] = None,
    limit: LimitOption = 50,
    format_: FormatOption = None,
    config: ConfigOption = None,
) -> None:
    """Lists deliveries, the newest first."""
    from bouncer.api.webhooks import entry_of  # help need not wait for the web framework

    found = in_store(
        config,
        lambda s: all_of(lambda n, c: s.outbox.find(n, c, endpoint=endpoint, state=state), limit),
    )
    rows = [entry_of(delivery) for delivery in found]
    print_rows(rows, _COLUMNS, chosen(format_), nothing="no deliveries")


@app.command("test")
def try_endpoint(
    name: Annotated[str, typer.Argument(help="The endpoint's name.")],
    config: ConfigOption = None,
) -> None:
    """Owes a `webhook.test` to an endpoint, whatever it wants to be told; `serve` sends it."""
    names = [name for name, _ in loaded(config).endpoints()]
    if name not in names:
        fail(
            f"{name!r} is none of the configured endpoints: {', '.join(names) or 'there are none'}"
        )

    async def add(store: "Store") -> tuple[Delivery, ...]:
        message = TestMessage(timestamp=now(), data=WebhookTest(endpoint=name))
        return await store.outbox.add(message, secrets.token_hex(16), name)

    [delivery] = in_store(config, add, writes=True)
    print(delivery.id)
    print("a running bouncer sends it: see `bouncer webhooks list`", file=sys.stderr)


@app.command("retry")
def retry_delivery(
    delivery: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")],
    config: ConfigOption = None,
) -> None:
    """Has a delivery tried again now, also one that was given up; exit status 1: there is none."""
    found = in_store(config, lambda s: s.outbox.retry(delivery, now()), writes=True)
    if not found:
        print(f"{delivery}: there is no such delivery", file=sys.stderr)
    raise typer.Exit(0 if found else 1)
