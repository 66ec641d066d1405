"""The `bouncer` command."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from bouncer import __version__
from bouncer.cli import blocklists, classifying, explaining, replaying, serving, stored, webhooks
from bouncer.cli.configuration import ConfigOption, config_path, faults_of
from bouncer.cli.output import fail
from bouncer.config import Config

app = typer.Typer(
    name="bouncer",
    help="Takes the bounces of your mail, says what they mean, watches blocklists, and tells you.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
)
app.command("serve")(serving.serve)
app.command("classify")(classifying.classify)
app.command("explain")(explaining.explain)
app.command("check-rules")(explaining.check_rules)
app.command("replay")(replaying.replay)
app.add_typer(blocklists.app, name="dnsbl")
app.add_typer(stored.events, name="events")
app.add_typer(stored.suppressions, name="suppressions")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(stored.db, name="db")
app.add_typer(stored.api_key, name="api-key")


def _version(asked: bool) -> None:
    if asked:
        print(f"bouncer {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _version_asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Its version.")
    ] = False,
) -> None:
    pass


@app.command("check-config")
def check_config(
    file: Annotated[
        Path | None, typer.Argument(help="YAML file; default: $BOUNCER_CONFIG", show_default=False)
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the file instead.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Says every fault of a configuration at once: where it is, and what to write instead."""
    if schema:
        print(json.dumps(Config.model_json_schema(), indent=2))
        return
    path = config_path(file or config)
    faults = faults_of(path)
    if faults:
        fail(*faults)
    print(f"{path or 'the default configuration'} is good", file=sys.stderr)


def main() -> None:
    """The console script."""
    app()
