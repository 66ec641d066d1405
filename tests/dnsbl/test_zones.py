"""What zones answer and what operators write, and what we make of it."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bouncer.config import Dnsbl, ZoneEntry
from bouncer.dnsbl.zones import (
    Code,
    Outcome,
    Zone,
    catalogue,
    faults,
    resolve,
    warnings,
    zones_of,
)
from bouncer.errors import ConfigurationError
from bouncer.events import ListingState, Severity

KEY = "abcdefghij0123456789klmnop"


def zone(name: str, **fields: Any) -> Zone:
    return resolve(ZoneEntry.model_validate({"zone": name, **fields}))


def own(codes: Mapping[str, str]) -> Zone:
    return zone("list.example.org", kind=["ip4"], codes=dict(codes))


def of_catalogue() -> list[Zone]:
    return [zone(f"{KEY}.{z.zone}" if z.key else z.zone) for z in catalogue().zone]


@pytest.mark.parametrize(
    ("name", "records", "outcome", "codes"),
    [
        ("zen.spamhaus.org", [], Outcome.CLEAR, ()),
        ("zen.spamhaus.org", ["127.0.0.2"], Outcome.LISTED, ("127.0.0.2",)),
        ("zen.spamhaus.org", ["127.0.0.6"], Outcome.LISTED, ("127.0.0.6",)),
        (
            "zen.spamhaus.org",
            ["127.0.0.10", "127.0.0.4"],
            Outcome.LISTED,
            ("127.0.0.4", "127.0.0.10"),
        ),
        ("zen.spamhaus.org", ["127.0.0.2", "127.0.0.77"], Outcome.LISTED, ("127.0.0.2",)),
        ("zen.spamhaus.org", ["127.0.0.77"], Outcome.OTHER, ()),
        ("zen.spamhaus.org", ["127.0.0.1"], Outcome.OTHER, ()),
        ("zen.spamhaus.org", ["127.255.255.254"], Outcome.ERROR_CODE, ()),
        ("zen.spamhaus.org", ["127.0.0.2", "127.255.255.254"], Outcome.ERROR_CODE, ()),
        ("bl.spamcop.net", ["127.255.255.7"], Outcome.ERROR_CODE, ()),
        ("bl.spamcop.net", ["91.195.240.117"], Outcome.BOGUS, ()),
        ("bl.spamcop.net", ["127.0.0.2", "10.0.0.1"], Outcome.BOGUS, ()),
        ("dbl.spamhaus.org", ["127.0.1.255"], Outcome.ERROR_CODE, ()),
        ("dbl.spamhaus.org", ["127.0.0.2"], Outcome.OTHER, ()),
        ("multi.surbl.org", ["127.0.0.80"], Outcome.LISTED, ("127.0.0.80",)),
        ("multi.surbl.org", ["127.0.0.1"], Outcome.ERROR_CODE, ()),
        ("multi.surbl.org", ["127.0.0.2"], Outcome.OTHER, ()),
        ("multi.uribl.com", ["127.0.0.14"], Outcome.LISTED, ("127.0.0.14",)),
        ("hostkarma.junkemailfilter.com", ["127.0.0.1"], Outcome.CLEAR, ()),
        ("hostkarma.junkemailfilter.com", ["127.0.0.2"], Outcome.LISTED, ("127.0.0.2",)),
        ("list.dnswl.org", ["127.0.5.3"], Outcome.CLEAR, ()),
        ("list.dnswl.org", ["127.0.0.255"], Outcome.ERROR_CODE, ()),
        ("rep.mailspike.net", ["127.0.0.10"], Outcome.CLEAR, ()),
        ("score.senderscore.com", ["127.0.4.3"], Outcome.CLEAR, ()),
    ],
)
def test_only_declared_codes_are_a_listing(
    name: str, records: list[str], outcome: Outcome, codes: tuple[str, ...]
) -> None:
    answer = zone(name).read(records)
    assert (answer.outcome, answer.codes) == (outcome, codes)


def test_a_bitmask_has_the_meaning_of_each_bit() -> None:
    answer = zone("multi.surbl.org").read(["127.0.0.80"])
    assert answer.meaning == "MW: malware; ABUSE: seen in spam"


def test_the_worst_code_decides_the_severity() -> None:
    zen = zone("zen.spamhaus.org")
    assert zen.read(["127.0.0.10"]).severity is Severity.MINOR
    assert zen.read(["127.0.0.10", "127.0.0.4"]).severity is Severity.CRITICAL


def test_a_severity_of_the_operator_holds_for_every_code() -> None:
    zen = zone("zen.spamhaus.org", severity="major")
    assert zen.read(["127.0.0.10"]).severity is Severity.MAJOR


@pytest.mark.parametrize("zone", of_catalogue(), ids=lambda zone: zone.label)
def test_each_code_of_our_table_resolves_to_its_meaning(zone: Zone) -> None:
    for code in zone.codes:
        last = code.mask if code.mask is not None else code.low
        record = ".".join(str(octet) for octet in (*code.network, last))
        answer = zone.read([record])
        if zone.type == "block":
            assert answer.state is ListingState.LISTED
            assert code.meaning in (answer.meaning or "")
        else:
            assert answer.state is ListingState.CLEAR


@pytest.mark.parametrize("zone", of_catalogue(), ids=lambda zone: zone.label)
def test_no_zone_calls_127_0_0_1_or_a_refusal_a_listing(zone: Zone) -> None:
    for record in ("127.255.255.254", "127.255.255.0", "203.0.113.9"):
        assert zone.read([record]).state is ListingState.UNKNOWN
    # Sender Score uses the last octet for bits, and the lowest one means something.
    if zone.label != "bl.score.senderscore.com":
        assert zone.read(["127.0.0.1"]).state is not ListingState.LISTED


@given(st.lists(st.ip_addresses(v=4, network="127.0.0.0/8").map(str), max_size=4))
def test_any_answer_is_read(records: list[str]) -> None:
    answer = zone("multi.uribl.com").read(records)
    assert (answer.state is ListingState.LISTED) == bool(answer.codes)
    assert (answer.state is ListingState.UNKNOWN) == bool(answer.reason)


def test_what_everybody_may_ask_needs_no_key_and_no_registration() -> None:
    for entry in catalogue().zone:
        if entry.default:
            assert entry.key is None
            assert entry.access == "free"
            assert entry.type == "block"
            assert entry.part_of is None
            assert "commercial use only" not in (entry.limits or "")
    assert {"ip4", "ip6", "domain"} == {k for z in zones_of(Dnsbl()) for k in z.kinds}


def test_each_zone_is_in_our_table_once() -> None:
    names = [z.zone for z in catalogue().zone] + [
        name for z in catalogue().refused for name in (z.zone, *z.also)
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("127.0.0.4", ["127.0.0.4"], ["127.0.0.5", "127.0.1.4"]),
        ("127.0.0.4-7", ["127.0.0.4", "127.0.0.7"], ["127.0.0.3", "127.0.0.8"]),
        ("127.0.0.&8", ["127.0.0.8", "127.0.0.10"], ["127.0.0.7", "127.0.1.8"]),
    ],
)
def test_codes_are_an_address_a_range_or_a_bit(
    pattern: str, matching: list[str], other: list[str]
) -> None:
    listed = own({pattern: "found"})
    assert all(listed.read([record]).outcome is Outcome.LISTED for record in matching)
    assert all(listed.read([record]).outcome is Outcome.OTHER for record in other)


@pytest.mark.parametrize(
    "pattern",
    [
        *("127.0.0", "127.0.0.256", "127.0.0.7-4", "127.0.0.&0", "127.0.0.&999", "", "a.b.c.d"),
        *("10.0.0.1", "127.255.255.1", "127.0.0.1", "127.0.0.0-9"),
    ],
)
def test_a_code_that_can_be_no_listing_is_a_fault(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match=r"list\.example\.org: codes"):
        own({pattern: "found"})


@given(st.text(max_size=40))
def test_a_code_is_read_or_refused(pattern: str) -> None:
    try:
        code = Code.parse(pattern, "found")
    except ValueError:
        return
    assert 0 <= code.low <= code.high <= 255


def test_an_unknown_zone_has_the_code_of_rfc_5782() -> None:
    unknown = zone("list.example.org", kind=["ip4"])
    assert unknown.read(["127.0.0.2"]).state is ListingState.LISTED
    assert unknown.read(["127.0.0.3"]).state is ListingState.UNKNOWN


def test_what_the_operator_writes_overrides_our_table() -> None:
    ours = zone("bl.spamcop.net")
    theirs = zone(
        "bl.spamcop.net", codes={"127.0.0.9": "mine"}, lookup="https://l.example/{target}"
    )
    assert theirs.kinds == ours.kinds
    assert theirs.read(["127.0.0.9"]).meaning == "mine"
    assert theirs.read(["127.0.0.2"]).state is ListingState.UNKNOWN
    assert theirs.lookup_url("192.0.2.1") == "https://l.example/192.0.2.1"


def test_a_key_in_the_name_is_asked_with_and_never_shown() -> None:
    keyed = zone(f"{KEY}.zen.dq.spamhaus.net")
    assert keyed.query == f"{KEY}.zen.dq.spamhaus.net"
    assert keyed.label == "zen.dq.spamhaus.net"
    assert keyed.read(["127.0.0.4"]).state is ListingState.LISTED
    assert keyed.read(["127.255.255.250"]).reason == "127.255.255.250: the key is disabled"
    assert KEY not in repr(keyed)
    assert keyed.masked(f"see {KEY.upper()}.zen.dq.spamhaus.net or ?k={KEY}") == (
        "see zen.dq.spamhaus.net or ?k=***"
    )


def test_what_looks_like_a_key_of_an_unknown_zone_is_not_shown_either() -> None:
    assert zone(f"{KEY}.paid.example.org", kind=["ip4"]).label == "paid.example.org"
    assert zone("blocklist.example.org", kind=["ip4"]).label == "blocklist.example.org"


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("dnsbl.sorbs.net", r"dnsbl\.sorbs\.net is not to be used since 2024-06-05: shut down"),
        ("spam.dnsbl.sorbs.net", "since 2024-06-05"),
        ("bl.nszones.com", "pirated"),
        ("ivmsip.invaluement.com", "not in public DNS"),
        ("list.example.org", r"not known to us: set kind, such as kind: \[ip4\]"),
        ("zen.dq.spamhaus.net", r"with a key of yours: write <key>\.zen\.dq\.spamhaus\.net"),
        ({"zone": "dbl.spamhaus.org", "kind": ["ip4"]}, "takes domain, not ip4"),
    ],
)
def test_a_zone_that_must_not_be_asked_is_a_fault(entry: Any, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        zones_of(Dnsbl.model_validate({"zones": [entry]}))


def test_a_dead_zone_can_be_had_by_naming_it_again() -> None:
    name = "dnsbl.sorbs.net"
    assert zone(name, kind=["ip4"], override=name).label == name
    with pytest.raises(ConfigurationError):
        zone(name, kind=["ip4"], override="yes")


def test_every_fault_of_the_section_has_a_line() -> None:
    config = Dnsbl.model_validate(
        {
            "targets": ["192.0.2.300", "10.0.0.0/8", "2001:db8::/32", "192.0.2.7/24", "192.0.2.1"],
            "zones": ["dnsbl.sorbs.net", "list.example.org", "bl.spamcop.net", "bl.spamcop.net"],
            "resolvers": ["localhost:53", "127.0.0.1:53"],
        }
    )
    assert [line.split(": ")[0] for line in faults(config)] == [
        *["dnsbl.zones"] * 3,
        *["dnsbl.targets"] * 4,
        "dnsbl.resolvers",
    ]


def test_a_fault_does_not_show_a_key() -> None:
    entry = {"zone": f"{KEY}.zen.dq.spamhaus.net", "kind": ["domain"], "codes": {"1": "x"}}
    found = faults(Dnsbl.model_validate({"zones": [entry, entry]}))
    assert found
    assert KEY not in "\n".join(found)


def test_nothing_configured_has_no_fault() -> None:
    assert faults(Dnsbl()) == []
    assert warnings(Dnsbl()) == []


def test_what_will_disappoint_is_said() -> None:
    config = Dnsbl.model_validate(
        {
            "targets": ["192.0.2.0/24", "example.com"],
            "zones": ["zen.spamhaus.org", "sbl.spamhaus.org", "list.dnswl.org"],
            "resolvers": ["8.8.8.8:53", "[2001:4860:4860::8888]:53", "127.0.0.1:53"],
            "interval": "1m",
        }
    )
    assert faults(config) == []
    text = "\n".join(warnings(config))
    for words in (
        "sbl.spamhaus.org is part of zen.spamhaus.org",
        "list.dnswl.org is no blocklist (allow)",
        "no zone takes domain",
        "8.8.8.8:53 is a public resolver",
        "[2001:4860:4860::8888]:53 is a public resolver",
        "257 addresses at 0.5 queries a second take 514 s",
    ):
        assert words in text
    assert "127.0.0.1:53" not in text


def test_a_typing_error_in_the_table_is_found() -> None:
    with pytest.raises(ValidationError):
        type(catalogue()).model_validate({"zone": [{"zone": "x", "sevrity": "major"}]})
