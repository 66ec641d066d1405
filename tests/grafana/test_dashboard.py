"""The dashboard by rule: what Grafana would show without a word, badly, or not at all."""

import itertools
import re

import pytest
from prometheus_client import CollectorRegistry

from bouncer.metrics import Metrics
from tests.grafana import dashboard as read

DASHBOARD = read.load()
PANELS = read.panels(DASHBOARD)
QUERIES = read.queries(DASHBOARD)

# What Grafana 11 and 12 still draw; graph, singlestat, table-old and the Angular panels are gone.
_PANEL_TYPES = {"stat", "timeseries", "table", "bargauge"}
# Not ours, and on every scrape: Prometheus' own, and the process collector of its client.
_FOREIGN = {
    "up": {"job", "instance"},
    "process_resident_memory_bytes": set(),
    "process_cpu_seconds_total": set(),
}
_MACROS = {"__interval", "__rate_interval", "__range"}
_SELECTOR = re.compile(r"\b([a-z]+(?:_[a-z0-9]+)+|up)\{([^}]*)\}")


def _declared() -> dict[str, set[str]]:
    """Every name Prometheus can ask for, and its labels."""
    names: dict[str, set[str]] = {}
    for collector in vars(Metrics(CollectorRegistry())).values():
        labels = set(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            if family.type == "histogram":
                names[f"{family.name}_bucket"] = labels | {"le"}
                names[f"{family.name}_sum"] = names[f"{family.name}_count"] = labels
            else:
                names[family.name + ("_total" if family.type == "counter" else "")] = labels
    return names


def test_the_dashboard_can_be_found_and_provisioned() -> None:
    assert DASHBOARD["title"] == "bouncer / Overview"
    assert DASHBOARD["uid"] == "bouncer-overview"
    assert DASHBOARD["schemaVersion"] >= 39  # Grafana 11
    assert "id" not in DASHBOARD  # an id of one Grafana means nothing to another
    assert "__inputs" not in DASHBOARD


def test_ids_and_titles_are_unique() -> None:
    every = DASHBOARD["panels"]
    assert len({p["id"] for p in every}) == len(every)
    titles = [p["title"] for p in every]
    assert sorted(titles) == sorted(set(titles))


def test_no_panel_covers_another_or_leaves_the_grid() -> None:
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24, panel["title"]
    for one, other in itertools.combinations(DASHBOARD["panels"], 2):
        a, b = one["gridPos"], other["gridPos"]
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, f"{one['title']} lies on {other['title']}"


@pytest.mark.parametrize("panel", PANELS, ids=lambda p: str(p["title"]))
def test_a_panel_says_what_it_shows(panel: dict[str, object]) -> None:
    field = panel["fieldConfig"]["defaults"]  # type: ignore[index]  # JSON
    assert panel["type"] in _PANEL_TYPES
    assert panel["title"]
    assert str(panel["description"]).endswith(".")
    assert field["unit"]
    assert field["thresholds"]["steps"][0]["value"] is None
    assert panel["targets"]


def test_the_first_row_shows_at_a_glance_what_is_wrong() -> None:
    first = [p for p in PANELS if p["gridPos"]["y"] < 9]
    assert {p["type"] for p in first} == {"stat"}
    coloured = [p for p in first if len(p["fieldConfig"]["defaults"]["thresholds"]["steps"]) > 1]
    assert len(coloured) >= 8


def test_every_data_source_is_the_one_chosen_at_the_top() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    variables = read.variables(DASHBOARD)
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    for panel in PANELS:
        assert panel["datasource"] == chosen, panel["title"]
        assert [t["datasource"] for t in panel["targets"]] == [chosen] * len(panel["targets"])
    for name, variable in variables.items():
        assert name == "datasource" or variable["datasource"] == chosen


@pytest.mark.parametrize("name", ["sending_domain", "provider"])
def test_domain_and_provider_can_be_chosen_one_some_or_all(name: str) -> None:
    variable = read.variables(DASHBOARD)[name]
    assert variable["multi"]
    assert variable["includeAll"]
    assert variable["allValue"] == ".*"
    assert variable["current"]["value"] == ["$__all"]


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_query_asks_for_metrics_and_labels_that_exist(query: read.Query) -> None:
    declared = _declared() | _FOREIGN
    selectors = _SELECTOR.findall(query.expression)
    assert selectors
    asked = set(re.findall(r"\bbouncer_\w+", query.expression))
    assert asked <= {name for name, _ in selectors}, "a metric is asked for without a selector"
    labels = set()
    for name, matchers in selectors:
        assert name in declared
        labels |= declared[name] | {"job", "instance"}
        matched = re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', matchers)
        assert set(matched) <= declared[name] | {"job", "instance"}
        assert 'job="$job"' in matchers, "two installations would be added up"
    for group in re.findall(r"\bby \(([^)]*)\)", query.expression):
        assert {label.strip() for label in group.split(",")} <= labels


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_query_uses_variables_that_exist(query: read.Query) -> None:
    used = set(re.findall(r"\$\{?([A-Za-z_]+)", query.expression))
    assert used <= set(read.variables(DASHBOARD)) | _MACROS


def test_what_is_made_from_events_follows_the_domain_and_the_provider() -> None:
    for query in QUERIES:
        for name, matchers in _SELECTOR.findall(query.expression):
            if name == "bouncer_events_total":
                assert 'sending_domain=~"$sending_domain"' in matchers, query
                assert 'provider=~"$provider"' in matchers, query


def test_every_metric_of_bouncer_is_on_the_dashboard() -> None:
    shown = {n for q in QUERIES for n, _ in _SELECTOR.findall(q.expression)}
    hidden = {n for n in _declared() if n.removesuffix("_bucket") not in " ".join(shown)}
    assert {n for n in hidden if not n.endswith(("_sum", "_count"))} == set()
