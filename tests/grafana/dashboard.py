"""The Overview dashboard as the tests read it: its panels, its queries, its variables."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OVERVIEW = ROOT / "grafana" / "dashboards" / "overview.json"
RULES = ROOT / "grafana" / "prometheus" / "rules.yml"


@dataclass(frozen=True)
class Query:
    """One query of one panel. `instant`: asked for one moment, as stats and tables are."""

    panel: str
    ref: str
    expression: str
    instant: bool

    def __str__(self) -> str:
        return f"{self.panel} {self.ref}"


def load() -> dict[str, Any]:
    """The dashboard as it is in the file."""
    dashboard: dict[str, Any] = json.loads(OVERVIEW.read_text())
    return dashboard


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Every panel that is not a row, those inside collapsed rows included."""
    return [p for p in _all(dashboard) if p["type"] != "row"]


def _all(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def queries(dashboard: dict[str, Any]) -> list[Query]:
    return [
        Query(p["title"], t["refId"], t["expr"], t["instant"])
        for p in panels(dashboard)
        for t in p["targets"]
    ]


def variables(dashboard: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {v["name"]: v for v in dashboard["templating"]["list"]}


def filled_in(
    text: str, values: dict[str, str], *, interval: str = "2s", window: str = "10m"
) -> str:
    """The text as Grafana sends it: variables and its own macros replaced."""
    given = {"__interval": interval, "__rate_interval": "4s", "__range": window, **values}

    def value(found: re.Match[str]) -> str:
        return given[found[1]]

    return re.sub(r"\$\{?([A-Za-z_]+)\}?", value, text)
