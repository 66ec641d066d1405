"""`bouncer dnsbl check`."""

import asyncio
from typing import Annotated

import typer

from bouncer import log
from bouncer.cli.configuration import ConfigOption, loaded
from bouncer.cli.output import FormatOption, chosen, fail, print_rows
from bouncer.errors import ConfigurationError
from bouncer.events import ListingState

_COLUMNS = ("target", "zone", "state", "severity", "codes", "meaning", "text", "reason")

app = typer.Typer(help="Blocklists.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command("check")
def check(
    targets: Annotated[
        list[str], typer.Argument(help="IPv4 and IPv6 addresses, CIDR ranges, domains.")
    ],
    format_: FormatOption = None,
    config: ConfigOption = None,
) -> None:
    """Asks blocklists about these targets once: the configured zones, or the free ones we know.

    Exit status 1 when a target is listed. "unknown" means that a zone gave no answer that could be
    believed: it is neither listed nor clear.
    """
    from bouncer.dnsbl.check import check as ask  # here: other commands need not wait for it

    settings = loaded(config)
    log.configure(settings.log.format, "error")
    try:
        found = asyncio.run(ask(targets, settings.dnsbl))
    except ConfigurationError as error:
        fail(*error.faults)
    print_rows(found, _COLUMNS, chosen(format_), nothing="nothing was asked")
    raise typer.Exit(1 if any(f.state is ListingState.LISTED for f in found) else 0)
