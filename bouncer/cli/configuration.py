"""The configuration, as commands ask for it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from bouncer import config
from bouncer.classify import rules
from bouncer.cli.output import fail
from bouncer.config import Config
from bouncer.dnsbl import zones
from bouncer.errors import ConfigurationError

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
    """Everything that is wrong with this configuration, a line each."""
    try:
        settings = config.load(path)
        if settings.rules.directories:
            rules.load(settings.rules.directories)
        return zones.faults(settings.dnsbl)
    except ConfigurationError as error:
        return list(error.faults)


def again(path: Path | None) -> Config:
    """The configuration, as it is now; raises ConfigurationError with a line for each fault."""
    if faults := faults_of(path):
        raise ConfigurationError(*faults)
    return config.load(path)


def loaded(given: Path | None) -> Config:
    """The configuration; a bad one ends the command with a line for each fault."""
    path = config_path(given)
    if faults := faults_of(path):
        fail(*faults)
    return config.load(path)
