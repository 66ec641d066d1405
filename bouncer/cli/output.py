"""How commands print: tables and colours for people, JSON for programs."""

import enum
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NoReturn

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Table


class Format(enum.StrEnum):
    """How to print."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format", "-f", help="Default: a table on a terminal, JSON elsewhere.", show_default=False
    ),
]

COLOURS = {
    "hard": "red", "listed": "red", "complaint": "red", "unknown": "yellow",
    "soft": "yellow", "delay": "yellow", "clear": "green", "delivery": "green",
}  # fmt: skip


def chosen(format_: Format | None) -> Format:
    """The format asked for, or what suits where the output goes."""
    return format_ or (Format.TABLE if sys.stdout.isatty() else Format.JSON)


def fail(*lines: str) -> NoReturn:
    """Says on standard error what is wrong with the call, a line each; exit status 2."""
    for line in lines:
        print(f"bouncer: {line}", file=sys.stderr)
    raise typer.Exit(2)


def print_rows(
    rows: Sequence[BaseModel], columns: Sequence[str], format_: Format, *, nothing: str
) -> None:
    """Models as a table of these columns, or whole as JSON."""
    objects = [row.model_dump(mode="json", by_alias=True) for row in rows]
    match format_:
        case Format.TABLE:
            print_table(objects, columns, nothing=nothing)
        case Format.JSON:
            print(json.dumps(objects, indent=2, ensure_ascii=False))
        case Format.JSONL:
            for one in objects:
                print(json.dumps(one, ensure_ascii=False))


def print_table(
    objects: Iterable[dict[str, Any]],
    columns: Sequence[str],
    *,
    nothing: str,
    dense: bool = False,
) -> None:
    padding = (0, 1, 0, 0) if dense else (0, 1)
    table = Table(header_style="bold", box=None, pad_edge=False, padding=padding)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for one in objects:
        table.add_row(*(_cell(one.get(column)) for column in columns))
    console = Console()
    if table.row_count:
        console.print(table)
    else:
        console.print(nothing, style="dim")


def _cell(value: Any) -> str:
    if value is None:
        return "[dim]-[/dim]"
    if isinstance(value, list):
        return escape(", ".join(str(v) for v in value)) or "[dim]-[/dim]"
    text = "".join(c if c.isprintable() else " " for c in str(value))
    shown = escape(text if len(text) <= 300 else text[:299] + "…")
    colour = COLOURS.get(text)
    return f"[{colour}]{shown}[/{colour}]" if colour else shown
