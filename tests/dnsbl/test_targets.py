"""What operators write as targets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer.dnsbl.targets import MAX_ADDRESSES_OF_RANGE, Target, parse, targets_of
from bouncer.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("192.0.2.10", Target("192.0.2.10", "ip4")),
        ("2001:DB8:0::25", Target("2001:db8::25", "ip6")),
        ("::ffff:192.0.2.10", Target("192.0.2.10", "ip4")),
        ("192.0.2.10/32", Target("192.0.2.10", "ip4")),
        ("Example.COM.", Target("example.com", "domain")),
        ("bücher.example", Target("xn--bcher-kva.example", "domain")),
        ("2001:db8::/80", Target("2001:db8::1", "ip6", "2001:db8::/80")),
        ("2001:db8::/64", Target("2001:db8::1", "ip6", "2001:db8::/64")),
    ],
)
def test_a_line_is_one_target(text: str, target: Target) -> None:
    assert parse(text) == (target,)


def test_a_range_has_its_first_and_its_last_address() -> None:
    names = [target.name for target in parse("198.51.100.0/24")]
    assert (len(names), names[0], names[-1]) == (256, "198.51.100.0", "198.51.100.255")


def test_an_ipv6_range_is_sampled_once_in_each_64() -> None:
    names = [target.name for target in parse("2001:db8::/62")]
    assert names == ["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1"]


def test_a_small_ipv6_range_is_asked_whole() -> None:
    assert len(parse("2001:db8::/120")) == 256


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("10.0.0.0/8", "/20 or smaller"),
        ("2001:db8::/32", "/56 or smaller"),
        ("198.51.100.7/24", r"write 198\.51\.100\.0/24"),
        ("198.51.100.0/33", r"198\.51\.100\.0/24"),
        ("192.0.2.300", "write an IPv4"),
        ("someone@example.com", "write an IPv4"),
        ("localhost", "write an IPv4"),
        ("fe80::1%eth0", "zone index"),
        ("", "write an IPv4"),
    ],
)
def test_what_cannot_be_asked_says_what_to_write(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        parse(text)


def test_an_address_named_alone_belongs_to_no_range() -> None:
    for texts in (["198.51.100.0/30", "198.51.100.1"], ["198.51.100.1", "198.51.100.0/30"]):
        found = {target.name: target.range for target in targets_of(texts)}
        assert len(found) == 4
        assert found["198.51.100.1"] is None
        assert found["198.51.100.2"] == "198.51.100.0/30"


def test_every_bad_target_has_a_line() -> None:
    with pytest.raises(ConfigurationError) as caught:
        targets_of(["a", "192.0.2.1", "b"])
    assert len(caught.value.faults) == 2


def test_the_whole_is_bounded() -> None:
    with pytest.raises(ConfigurationError, match=r"more than 256 addresses.*198\.51\.100\.0/23"):
        targets_of(["192.0.2.1", "198.51.100.0/23", "203.0.113.0/24"], at_most=256)


@given(st.text(max_size=60))
def test_any_text_is_targets_or_a_fault(text: str) -> None:
    try:
        found = parse(text)
    except ValueError:
        return
    assert 1 <= len(found) <= MAX_ADDRESSES_OF_RANGE
