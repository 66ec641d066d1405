"""Gauges that are computed at the scrape."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from bouncer.clock import now
from bouncer.gauges import Gauges
from bouncer.metrics import Metrics
from bouncer.store.store import Store


async def test_an_endpoint_that_is_not_configured_any_more_has_no_gauge(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/bouncer.db")
    metrics = Metrics(CollectorRegistry())
    for endpoints in (["ops", "old"], ["ops"]):
        text = (await Gauges(store, metrics, endpoints, now).render()).decode()
        for name in ("bouncer_webhook_pending", "bouncer_webhook_oldest_pending_age_seconds"):
            assert f'{name}{{endpoint="ops"}} 0.0' in text
            assert (f'{name}{{endpoint="old"}}' in text) is ("old" in endpoints)
    await store.close()
