"""Every metric of bouncer, with samples that move, over HTTP as prometheus_client serves it."""

import contextlib
import threading
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.process_collector import ProcessCollector

from bouncer.metrics import Metrics


@contextlib.contextmanager
def serving() -> Iterator[tuple[str, Metrics]]:
    """host:port of an exporter on 127.0.0.1 whose counters grow, and its metrics."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    metrics = Metrics(registry)
    _set_gauges(metrics)
    _count(metrics)
    server, serving_thread = start_http_server(0, "127.0.0.1", registry)
    done = threading.Event()

    def count_on() -> None:
        while not done.wait(0.2):
            _count(metrics)

    counting = threading.Thread(target=count_on)
    counting.start()
    try:
        yield f"127.0.0.1:{server.server_port}", metrics
    finally:
        done.set()
        counting.join()
        server.shutdown()
        server.server_close()
        serving_thread.join()


def _set_gauges(metrics: Metrics) -> None:
    metrics.build_info.labels("0.1.0", "abc").set(1)
    metrics.config_last_reload_successful.set(1)
    metrics.smtp_sessions.set(3)
    metrics.tls_certificate_expiry.set(time.time() + 86400)
    for state in ("waiting", "reading", "done", "quarantined", "human"):
        metrics.inbox_messages.labels(state).set(2)
    metrics.inbox_oldest_age.set(12)
    for reason in ("hard_bounce", "complaint"):
        metrics.suppressions.labels(reason).set(7)
    metrics.store_free_bytes.set(4e9)
    for zone in ("bl.example.org", "rhs.example.org"):
        metrics.dnsbl_zone_info.labels(zone, "Example", "ip4", "major").set(1)
        metrics.dnsbl_last_definitive.labels(zone).set(time.time())
        metrics.dnsbl_sweep_coverage.labels(zone).set(0.9)
        for state in ("listed", "clear", "unknown"):
            metrics.dnsbl_targets.labels(zone, state).set(1)
        for state in ("healthy", "degraded", "quarantined", "disabled"):
            metrics.dnsbl_zone_health.labels(zone, state).set(0)
    metrics.dnsbl_zone_health.labels("bl.example.org", "healthy").set(1)
    metrics.dnsbl_zone_health.labels("rhs.example.org", "quarantined").set(1)
    metrics.dnsbl_listing.labels("bl.example.org", "192.0.2.10", "major").set(1)
    metrics.webhook_pending.labels("ops").set(1)
    metrics.webhook_oldest_pending_age.labels("ops").set(30)


def _count(metrics: Metrics) -> None:
    metrics.smtp_connections.labels("closed").inc()
    for command, code in (("data", "250"), ("data", "451"), ("rcpt", "550")):
        metrics.smtp_replies.counts[command, code] += 1
    metrics.messages_received.labels("smtp").inc()
    metrics.messages_refused.labels("size").inc()
    metrics.message_store_seconds.observe(0.003)
    metrics.messages_processed.labels("dsn", "read").inc()
    metrics.messages_processed.labels("unrecognised", "unrecognised").inc()
    metrics.message_processing_seconds.observe(0.01)
    for kind, class_, category in (
        ("bounce", "hard", "recipient_unknown"),
        ("bounce", "soft", "mailbox_full"),
        ("complaint", "none", "none"),
    ):
        for provider in ("google", "other"):
            metrics.events.labels(kind, class_, category, provider, "example.com").inc()
    metrics.reader_deaths.labels("alone").inc()
    metrics.dnsbl_queries.labels("bl.example.org", "listed").inc()
    metrics.dnsbl_query_seconds.labels("Example").observe(0.02)
    metrics.dnsbl_transitions.labels("bl.example.org", "listed").inc()
    metrics.dnsbl_sweep_seconds.observe(1)
    metrics.webhook_deliveries.labels("ops", "delivered").inc()
