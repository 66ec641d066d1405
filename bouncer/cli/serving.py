"""`bouncer serve`."""

import asyncio
import logging
import sys
from typing import Annotated

import typer
from rich.console import Console

from bouncer import log
from bouncer.cli.configuration import ConfigOption, again, config_path, loaded
from bouncer.cli.output import fail
from bouncer.config import Config, Smtp
from bouncer.errors import BouncerError, ConfigurationError
from bouncer.ingest import certificate
from bouncer.roles import Role, Started

logger = logging.getLogger(__name__)


def serve(
    config: ConfigOption = None,
    only: Annotated[
        str | None,
        typer.Option(
            help=f"Roles of this process, separated by commas: {', '.join(Role)}. Default: all.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Runs the service: takes bounces by SMTP, reads them, watches blocklists, sends webhooks.

    Without a configuration it listens on 127.0.0.1 only and keeps everything in ./bouncer.db.
    """
    import uvloop  # here, as the service: other commands need not wait for them

    from bouncer import app

    settings = loaded(config)
    path = config_path(config)
    roles = _roles(only)
    if Role.SMTP in roles:
        _refuse_to_be_closed(settings.smtp)
    log.configure(settings.log.format, settings.log.level)

    def started(where: Started) -> None:
        _announce(settings, where, named=path is not None)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            service = app.serve(
                settings, roles, reload=lambda: again(path), file=path, started=started
            )
            runner.run(service)
    except* BouncerError as errors:
        fail(*(line for e in _leaves(errors) for line in str(e).splitlines()))
    except* OSError as errors:
        fail(*(str(e) for e in _leaves(errors)))


def _roles(only: str | None) -> frozenset[Role]:
    if only is None:
        return frozenset(Role)
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = [name for name in names if name not in set(Role)]
    if unknown or not names:
        fail(
            f"--only: there is no role {', '.join(unknown) or only!r}; there are {', '.join(Role)}"
        )
    return frozenset(Role(name) for name in names)


def _refuse_to_be_closed(smtp: Smtp) -> None:
    """Bounces come without TLS too, so the door opens without a certificate that can be used.

    Where it takes mail with TLS alone it would take none, and look as if all were well.
    """
    if smtp.tls and (smtp.tls.require or not smtp.listen):
        try:
            certificate.check(smtp.tls)
        except ConfigurationError as error:
            fail(*error.faults)


def _announce(config: Config, where: Started, *, named: bool) -> None:
    """Says where things are, and how to send a first bounce."""
    console = Console(stderr=True, highlight=False)
    if not sys.stderr.isatty():
        doors = ", ".join(f"{host}:{port}" for host, port in where.smtp) or "no"
        logger.info("ready: %s SMTP, http://%s:%d", doors, *where.http)
        return
    http = f"http://{where.http[0]}:{where.http[1]}"
    console.print("\n[bold]bouncer is ready[/bold]")
    for host, port in where.smtp:
        console.print(f"  SMTP     {host}:{port}")
    console.print(f"  API      {http}/docs")
    console.print(f"  metrics  {http}/metrics")
    if not named:
        console.print("  store    ./bouncer.db, and nothing beyond this machine can reach it")
    if where.smtp:
        host, port = where.smtp[0]
        domain = config.domains[0].bounce_domain if config.domains else "bounces.example.com"
        console.print("\nSend it a first bounce, and look at what became of it:")
        console.print(
            f"  swaks --server {host}:{port} --from '<>' --to first@{domain} "
            "--data @docs/examples/first-bounce.eml",
            soft_wrap=True,
        )
        console.print(f"  curl {http}/v1/events\n", soft_wrap=True)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
