"""The configuration, as commands ask for it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bouncer import config_file
from bouncer.classify import rules
from bouncer.cli.output import fail
from bouncer.config import Config
from bouncer.dnsbl import zones
from bouncer.errors import ConfigurationError
from bouncer.ingest import certificate

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="YAML file; default: $BOUNCER_CONFIG, or none", show_default=False
    ),
]


def config_path(given: Path | None) -> Path | None:
    """The file to read: the one given, else the one in the environment, else none."""
    named = os.environ.get("BOUNCER_CONFIG")
    return given or (Path(named) if named else None)


def faults_of(path: Path | None) -> list[str]:
    """Everything that is wrong with this configuration and the files it names, a line each."""
    return _examined(path)[1]


def again(path: Path | None) -> Config:
    """The configuration, as it is now; raises ConfigurationError with a line for each fault."""
    settings, faults = _examined(path)
    if faults:
        raise ConfigurationError(*faults)
    return settings


def loaded(given: Path | None) -> Config:
    """The configuration; a bad one ends the command with a line for each fault.

    A certificate that cannot be used is no reason: only the SMTP door needs it, and opens without.
    """
    settings, faults = _examined(config_path(given), but_certificates=True)
    if faults:
        fail(*faults)
    return settings


def _examined(path: Path | None, *, but_certificates: bool = False) -> tuple[Config, list[str]]:
    settings, faults = config_file.examine(path)
    if settings.rules.directories:
        faults += _said_by(lambda: rules.load(settings.rules.directories))
    if (tls := settings.smtp.tls) and not but_certificates:
        faults += _said_by(lambda: certificate.check(tls))
    return settings, faults + _said_by(lambda: zones.faults(settings.dnsbl))


def _said_by(check: Callable[[], object]) -> list[str]:
    """What a check returns as faults, or raises."""
    try:
        found = check()
    except ConfigurationError as error:
        return list(error.faults)
    return [str(fault) for fault in found] if isinstance(found, list) else []
