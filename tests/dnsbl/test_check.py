"""A one-off check against a real blocklist server."""

from datetime import timedelta
from typing import Any

import pytest

from bouncer.config import Dnsbl
from bouncer.dnsbl.check import MAX_CHECKED
from bouncer.dnsbl.monitor import check
from bouncer.errors import ConfigurationError
from bouncer.events import ListingState
from tests.servers.rbldnsd import Rbldnsd, rbldnsd

SLOW = {"timeout": timedelta(milliseconds=100)}


def config(server: Rbldnsd, *zones: str, **fields: Any) -> Dnsbl:
    return Dnsbl.model_validate(
        {
            "targets": ["192.0.2.99"],
            "zones": [
                {"zone": zone, "kind": ["ip4"], "lookup": "https://x/{target}"} for zone in zones
            ],
            "resolvers": [server.resolver],
            **fields,
        }
    )


async def test_each_target_has_a_result_from_each_zone() -> None:
    with rbldnsd({"one.test": "ip4set", "two.test": "ip4set"}) as server:
        server.serve("one.test", ":127.0.0.2:Seen $", "127.0.0.2", "198.51.100.7")
        server.serve("two.test", ":127.0.0.2:Seen $", "127.0.0.2")
        asked = config(server, "one.test", "two.test")
        found = await check(["198.51.100.8", "198.51.100.7"], asked)
    assert [(x.target, x.zone, x.state) for x in found] == [
        ("198.51.100.8", "one.test", ListingState.CLEAR),
        ("198.51.100.8", "two.test", ListingState.CLEAR),
        ("198.51.100.7", "one.test", ListingState.LISTED),
        ("198.51.100.7", "two.test", ListingState.CLEAR),
    ]
    listed = found[2]
    assert (listed.codes, listed.meaning, listed.severity) == (("127.0.0.2",), "listed", "major")
    assert (listed.text, listed.lookup_url) == ("Seen 198.51.100.7", "https://x/198.51.100.7")


async def test_a_zone_that_fails_its_test_says_nothing_but_why() -> None:
    with rbldnsd({"world.test": "ip4trie", "none.test": "ip4trie"}) as server:
        server.serve("world.test", ":127.0.0.2:Closed", "0.0.0.0/0")
        found = await check(["198.51.100.7"], config(server, "world.test", "none.test"))
    assert [(x.state, x.codes, x.reason) for x in found] == [
        (ListingState.UNKNOWN, (), "the zone failed its self-test: dead-listing-all"),
        (ListingState.UNKNOWN, (), "the zone failed its self-test: dead-empty"),
    ]


async def test_a_refusal_is_unknown_and_says_why() -> None:
    with rbldnsd({"one.test": "ip4set"}) as server:
        server.serve("one.test", ":127.0.0.2:", "127.0.0.2", "198.51.100.7 :127.255.255.255:")
        [found] = await check(["198.51.100.7"], config(server, "one.test"))
    assert found.state is ListingState.UNKNOWN
    assert found.reason == "127.255.255.255: the query is refused"


async def test_a_silent_server_is_unknown() -> None:
    with rbldnsd({"one.test": "ip4set"}) as server:
        server.stop()
        [found] = await check(["198.51.100.7"], config(server, "one.test", **SLOW))
    assert found.state is ListingState.UNKNOWN
    assert found.reason == "the zone failed its self-test: unreachable"


async def test_a_name_is_not_asked_of_a_zone_of_addresses() -> None:
    with rbldnsd({"one.test": "ip4set"}) as server:
        assert await check(["example.com"], config(server, "one.test")) == []


@pytest.mark.parametrize("targets", [["300.1.1.1"], ["10.0.0.0/22"]])
async def test_what_cannot_be_checked_is_refused(targets: list[str]) -> None:
    with pytest.raises(ConfigurationError, match=rf"^target: .*({MAX_CHECKED}|IPv4)"):
        await check(targets, Dnsbl.model_validate({"resolvers": ["127.0.0.1:53"]}))
