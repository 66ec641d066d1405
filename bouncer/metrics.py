"""Every metric we export, declared once on the registry that is passed in.

Names and labels are those of docs/metrics.md, which is made from here. Labels come from closed or
configured sets: never an address, never a raw text.
"""

import collections
import math
from collections.abc import Iterator

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

_STORE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_DNS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SWEEP_SECONDS = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 10800)

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # library has no types


class Tally(Collector):
    """A counter for what happens several times a message, counted on one thread alone.

    `counts` is a plain dict by label values: counting costs a tenth of what a lock and two checks
    of a `Counter` do.
    """

    def __init__(self, name: str, help_: str, *labels: str, registry: CollectorRegistry) -> None:
        self._name = f"bouncer_{name}".removesuffix("_total")
        self._help, self._labelnames = help_, labels
        self.counts: collections.Counter[tuple[str, ...]] = collections.Counter()
        registry.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._help, labels=self._labelnames)
        for values, count in self.counts.copy().items():
            family.add_metric(values, count)
        yield family


class Metrics:
    """The metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

        def counter(name: str, help_: str, *labels: str) -> Counter:
            return Counter(f"bouncer_{name}", help_, labels, registry=registry)

        def gauge(name: str, help_: str, *labels: str) -> Gauge:
            return Gauge(f"bouncer_{name}", help_, labels, registry=registry)

        def histogram(name: str, help_: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"bouncer_{name}", help_, labels, buckets=buckets, registry=registry)

        self.build_info = gauge("build_info", "1, with what runs", "version", "ruleset")

        self.config_last_reload_successful = gauge(
            "config_last_reload_successful", "1, or 0 while a changed configuration cannot be used"
        )

        self.smtp_sessions = gauge("smtp_sessions", "SMTP sessions open now")
        self.smtp_connections = counter(
            "smtp_connections_total", "SMTP connections, by how they ended", "outcome"
        )
        self.smtp_replies = Tally(
            "smtp_replies_total", "SMTP replies given", "command", "code", registry=registry
        )
        self.messages_received = counter(
            "messages_received_total", "Messages stored, by door", "source"
        )
        self.messages_refused = counter(
            "messages_refused_total", "Messages not taken, by reason", "reason"
        )
        self.message_store_seconds = histogram(
            "message_store_seconds", "From the final dot to the 250", buckets=_STORE_SECONDS
        )
        self.tls_certificate_expiry = gauge(
            "tls_certificate_expiry_timestamp_seconds",
            "When the SMTP certificate expires; 0: it cannot be used; NaN: there is none",
        )
        self.tls_certificate_expiry.set(math.nan)

        self.inbox_messages = gauge("inbox_messages", "Messages in the inbox", "state")
        self.inbox_oldest_age = gauge(
            "inbox_oldest_age_seconds", "Age of the oldest message that is not finished"
        )
        self.messages_processed = counter(
            "messages_processed_total", "Inbox items finished", "format", "outcome"
        )
        self.message_processing_seconds = histogram(
            "message_processing_seconds",
            "From claiming a batch of messages to its commit",
            buckets=_STORE_SECONDS,
        )
        self.events = counter(
            "events_total",
            "Events made from reports",
            "kind",
            "class",
            "category",
            "provider",
            "sending_domain",
        )
        self.reader_deaths = counter(
            "reader_deaths_total", "Reader processes that died or were killed", "reason"
        )
        self.suppressions = gauge("suppressions", "Suppressions in force", "reason")
        self.store_free_bytes = gauge("store_free_bytes", "Room left on the store's disk")
        self.store_free_bytes.set(math.nan)  # not known, as with PostgreSQL: 0 would be a full disk

        self.dnsbl_targets = gauge(
            "dnsbl_targets", "Targets by what the zone says of them", "zone", "state"
        )
        self.dnsbl_listing = gauge(
            "dnsbl_listing", "1 while listed, absent otherwise", "zone", "target", "severity"
        )
        self.dnsbl_zone_health = gauge(
            "dnsbl_zone_health", "1 for the state a zone is in", "zone", "state"
        )
        self.dnsbl_queries = counter("dnsbl_queries_total", "DNS answers", "zone", "outcome")
        self.dnsbl_query_seconds = histogram(
            "dnsbl_query_duration_seconds", "DNS queries", "operator", buckets=_DNS_SECONDS
        )
        self.dnsbl_transitions = counter(
            "dnsbl_transitions_total", "Listings and delistings told", "zone", "kind"
        )
        self.dnsbl_last_definitive = gauge(
            "dnsbl_last_definitive_answer_timestamp_seconds",
            "The zone's least recently answered target: when it last was",
            "zone",
        )
        self.dnsbl_sweep_seconds = histogram(
            "dnsbl_sweep_duration_seconds", "One look at every target", buckets=_SWEEP_SECONDS
        )
        self.dnsbl_sweep_coverage = gauge(
            "dnsbl_sweep_coverage_ratio", "Targets answered in the last sweep", "zone"
        )
        self.dnsbl_zone_info = gauge(
            "dnsbl_zone_info",
            "1, with what we know of a zone",
            "zone",
            "operator",
            "kind",
            "severity",
        )

        self.webhook_deliveries = counter(
            "webhook_deliveries_total", "Webhook attempts", "endpoint", "outcome"
        )
        self.webhook_pending = gauge("webhook_pending", "Webhooks not delivered yet", "endpoint")
        self.webhook_oldest_pending_age = gauge(
            "webhook_oldest_pending_age_seconds", "Age of the oldest of them", "endpoint"
        )
