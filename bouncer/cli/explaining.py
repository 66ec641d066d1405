"""`bouncer explain` and `bouncer check-rules`."""

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from bouncer.classify import rules
from bouncer.classify.check import check
from bouncer.cli.classifying import messages_of
from bouncer.cli.configuration import ConfigOption, loaded
from bouncer.cli.output import COLOURS, Format, FormatOption, chosen, fail
from bouncer.errors import ConfigurationError
from bouncer.events import Source
from bouncer.explaining import ExplainedEvent, Explanation, FittingRule, explain_arrival
from bouncer.reading import Arrival
from bouncer.records import digest_of, item_id


def explain(
    path: Annotated[str, typer.Argument(help="One message; - for standard input.")],
    format_: FormatOption = None,
    config: ConfigOption = None,
) -> None:
    """Says of one message, step by step: which reader, which field believed, which rule and why."""
    settings = loaded(config)
    found, *others = islice(messages_of(path), 2)
    if others:
        print(
            f"bouncer: {path}: the first of several messages; classify reads all", file=sys.stderr
        )
    if found.octets is None:
        fail(f"{path}: {found.error}")
    arrival = Arrival(item_id("", digest_of(found.octets)), "", Source.FILE, found.modified)
    try:
        ruleset = rules.load(settings.rules.directories)
    except ConfigurationError as error:
        fail(*error.faults)
    explanation = explain_arrival(found.octets, arrival, {}, ruleset)
    if chosen(format_) is Format.TABLE:
        _show(explanation)
    else:
        print(json.dumps(explanation.model_dump(mode="json"), indent=2, ensure_ascii=False))


def check_rules(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Rule files or directories; default: those of the configuration, else ours.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Says every fault of rule files at once.

    Patterns compile, every example is decided by its own rule through the whole set, and no rule
    repeats an earlier one. Exit status 1 when something is wrong.
    """
    named = paths or list(loaded(config).rules.directories)
    faults = check(named)
    for fault in faults:
        print(f"bouncer: {fault}", file=sys.stderr)
    if faults:
        raise typer.Exit(1)
    print(f"{', '.join(map(str, named)) or 'the packaged rules'}: no fault", file=sys.stderr)


def _show(explanation: Explanation) -> None:
    console = Console(highlight=False)
    asked = list(explanation.readers)
    console.print(
        f"[bold]read by[/bold]  {asked[-1]}  [dim]after {', '.join(asked[:-1]) or '-'}[/dim]"
    )
    console.print(f"[bold]format[/bold]   {explanation.format}   ruleset {explanation.ruleset}")
    for defect in explanation.defects:
        console.print(f"[bold]defect[/bold]   {escape(defect)}")
    for one in explanation.events:
        _show_event(console, one)


def _show_event(console: Console, one: ExplainedEvent) -> None:
    event, evidence = one.event, one.evidence
    colour = COLOURS.get(event.class_ or "", "default")
    class_ = f"[{colour}]{event.class_ or 'no class'}[/{colour}]"
    console.print(f"\n[bold]{escape(event.recipient or 'no recipient')}[/bold]")
    console.print(
        f"  verdict   {event.kind}, {class_}, {event.category or 'no category'}"
        f"  (provider {event.provider}, by {evidence.provider_by};"
        f" vendor code {event.vendor_code or '-'})"
    )
    for field in evidence.fields:
        mark = "believed" if field.believed else "[dim]not believed[/dim]"
        console.print(f"  field     {field.name}: {escape(field.value)}  {mark}", soft_wrap=True)
    console.print(
        f"  words     {escape(evidence.reply or '-')}"
        f"  [dim]from {evidence.words_from or '-'}[/dim]",
        soft_wrap=True,
    )
    if evidence.around:
        console.print(f"  around    {escape(evidence.around)}", soft_wrap=True)
    console.print(
        f"  status    {evidence.believed_status or '-'}: {evidence.because}"
        f"  [dim](field {evidence.status_field or '-'}, words {evidence.reply_status or '-'})[/dim]"
    )
    host = escape(evidence.reply_host or "-")
    console.print(
        f"  code      {evidence.reply_code or '-'}"
        f"  [dim]command {evidence.reply_command or '-'}, host {host}[/dim]"
    )
    for rule in one.rules:
        console.print(_rule_line(rule), soft_wrap=True)
    if not one.rules:
        console.print("  rules     none was needed or fitted")


def _rule_line(rule: FittingRule) -> str:
    conditions = [
        f"pattern {rule.pattern}" if rule.pattern else "",
        f"status {', '.join(rule.status)}" if rule.status else "",
        f"code {', '.join(rule.code)}" if rule.code else "",
        f"command {', '.join(rule.command)}" if rule.command else "",
        f"class {rule.class_}" if rule.class_ else "",
    ]
    mark = "[green]decided[/green]" if rule.decided else "[dim]fitted [/dim]"
    said = escape("; ".join(c for c in conditions if c))
    why = escape(", ".join(filter(None, (rule.file, rule.source, rule.reason))))
    return f"  {mark}   {rule.id} -> {rule.category}  [dim]{said} ({why})[/dim]"
