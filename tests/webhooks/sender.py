"""Delivers from a store (first argument) to a hook (second) in a process that can be killed."""

import asyncio
import sys

from prometheus_client import CollectorRegistry

from bouncer.metrics import Metrics
from bouncer.store.store import Store
from bouncer.webhooks import deliver
from tests.webhooks.running import endpoint


async def main(store_url: str, hook_url: str) -> None:
    store = await Store.open(store_url)
    await deliver.run(store.outbox, [("ops", endpoint(hook_url))], Metrics(CollectorRegistry()))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
