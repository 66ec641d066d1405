"""Every query of the dashboard, asked of a real Prometheus."""

import math
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.grafana import dashboard as read
from tests.grafana import exporter, live
from tests.servers import prometheus
from tests.servers.prometheus import Prometheus

DASHBOARD = read.load()
QUERIES = read.queries(DASHBOARD)
EVERYTHING = {"job": "bouncer", "sending_domain": ".*", "provider": ".*"}
SOME = {"job": "bouncer", "sending_domain": "example.com", "provider": "(google|other)"}
NOTHING = {"job": "bouncer", "sending_domain": "example.net", "provider": ".*"}


@pytest.fixture(scope="module")
def every_metric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus on an exporter that has a sample of every metric, scraped a few times."""
    folder = tmp_path_factory.mktemp("every-metric")
    with (
        exporter.serving() as (target, metrics),
        prometheus.running(folder, target, rules=read.RULES) as answers,
    ):
        answers.wait_until('count_over_time(up{job="bouncer"}[1m]) >= 6')
        metrics.events.labels("bounce", "hard", "domain_invalid", "other", "example.org").inc(3)
        answers.wait_until('bouncer_events_total{sending_domain="example.org"}')
        yield answers


@pytest.fixture(scope="module")
def live_bouncer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus on a bouncer that has seen mail, a listing, a webhook and a reader's death."""
    prometheus.require_prometheus()
    folder = tmp_path_factory.mktemp("live")
    with (
        live.seen_everything(folder, prometheus.free_port) as bouncer,
        prometheus.running(folder, bouncer.url.removeprefix("http://")) as answers,
    ):
        answers.wait_until('count_over_time(up{job="bouncer"}[1m]) >= 3')
        live.send(bouncer)  # between two scrapes: rates and quantiles need something that moves
        answers.wait_until('count_over_time(up{job="bouncer"}[1m]) >= 8')
        yield answers


def ask(answers: Prometheus, query: read.Query, expression: str) -> list[float]:
    """Every number the panel would draw for the last ten minutes."""
    if query.instant:
        found: list[Any] = [series["value"] for series in answers.query(expression)]
    else:
        series = answers.query_range(expression, seconds=600, step="1s")
        found = [point for one in series for point in one["values"]]
    return [number for _, text in found if not math.isnan(number := float(text))]


@pytest.mark.parametrize("values", [EVERYTHING, SOME], ids=["all", "some"])
@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_query_finds_what_the_metrics_hold(
    every_metric: Prometheus, query: read.Query, values: dict[str, str]
) -> None:
    expression = read.filled_in(query.expression, values)
    bare = expression.replace(" or vector(0)", "")  # the zero would hide that nothing is found
    assert ask(every_metric, query, bare), bare


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_query_finds_something_in_a_live_bouncer(
    live_bouncer: Prometheus, query: read.Query
) -> None:
    expression = read.filled_in(query.expression, EVERYTHING)
    assert ask(live_bouncer, query, expression), expression


def test_what_belongs_to_another_sending_domain_is_left_out(every_metric: Prometheus) -> None:
    bounces = next(q for q in QUERIES if q.panel == "Bounces")
    assert sum(ask(every_metric, bounces, read.filled_in(bounces.expression, EVERYTHING))) > 0
    assert sum(ask(every_metric, bounces, read.filled_in(bounces.expression, NOTHING))) == 0


@pytest.mark.parametrize("name", ["job", "sending_domain", "provider"])
def test_a_variable_offers_what_the_metrics_hold(every_metric: Prometheus, name: str) -> None:
    definition = read.variables(DASHBOARD)[name]["query"]["query"]
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", read.filled_in(definition, EVERYTHING))
    assert found is not None
    offered = every_metric.label_values(found[2], found[1])
    expected = {"job": ["bouncer"], "sending_domain": ["example.com", "example.org"]}
    assert offered == expected.get(name, ["google", "other"])


def test_a_bounce_that_is_the_first_of_its_kind_is_counted(every_metric: Prometheus) -> None:
    # increase() alone shows 0 for it: there was no sample of 0 before its series began.
    first = {"sending_domain": "example.org", "provider": ".*", "job": "bouncer"}
    for panel in ("Bounces", "Bounces of the range by category", "Top categories per provider"):
        query = next(q for q in QUERIES if q.panel == panel)
        assert ask(every_metric, query, read.filled_in(query.expression, first)) == [3.0]
    bars = next(q for q in QUERIES if q.panel == "Bounces by category")
    expression = read.filled_in(bars.expression, first, interval="1s")
    assert sum(ask(every_metric, bars, expression)) == 3.0


def test_a_real_prometheus_loads_the_alerts(every_metric: Prometheus) -> None:
    every_metric.wait_until('ALERTS{alertname="BouncerDnsblListed"}')
    assert "BouncerDown" not in every_metric.alerts()
