"""Where webhooks may go, as the URL is written and as DNS answers."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from bouncer.outbound import address_fault, url_fault

PIECES = [
    *"@#?/\\:.[]_-%;&=~!$'()*+,|^`{}\"<>1aZ",
    *("https://", "127.0.0.1", "::1", "example.com", "443", "%2e", "。", "0x7f", "xn--", "ß"),
]

FINE = [
    "https://ops.example.com/hook",
    "https://ops.example.com:8443/hook?tenant=1",
    "https://OPS.example.com",
    "https://ops.example.com./hook",
    "https://xn--bcher-kva.example/hook",
    "https://a_b.example.com/hook",
    "https://8.8.8.8/hook",
    "https://[2606:4700:4700::1111]/hook",
    "https://192.0.2.7/hook",
    "https://[2001:db8::7]/hook",
    "https://0x.example.com/",
    "https://1.2.3.4.example.com/",
    "https://notlocalhost/hook",
]

# Fine with allow_private only.
PRIVATE = [
    "http://ops.example.com/hook",
    "http://8.8.8.8/",
    "https://127.0.0.1/",
    "https://127.8.9.10:8080/",
    "http://127.0.0.1:9000/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://10.1.2.3/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.0.1/",
    "https://[fd00::1]/",
    "https://[fc00::1]/",
    "https://localhost/",
    "https://LOCALHOST:444/",
    "https://localhost./",
    "https://hooks.localhost/",
    "https://ip6-localhost/",
]

NEVER = [
    "https://127.1/",
    "https://127.0.1/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0X7F.1/",
    "https://2130706433/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.0.0.01/",
    "https://127.0.0.1./",
    "https://127.0.0.0x1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::127.0.0.1]/",
    "https://[64:ff9b:1::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:7f00:1::]/",
    "https://169.254.169.254/latest/meta-data/",
    "https://169.254.0.1/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[febf::1]/",
    "https://[fec0::1]/",
    "https://[fd00:ec2::254]/",
    "https://100.100.100.200/",
    "https://168.63.129.16/",
    "https://metadata.google.internal/",
    "https://metadata.google.internal./",
    "https://Metadata/",
    "https://instance-data/",
    "https://100.64.0.1/",
    "https://100.127.255.255/",
    "https://192.0.0.1/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://[ff02::1]/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://[5f00::1]/",
    "https://256.1.1.1/",
    "https://1.2.3.4.5/",
    "https://999999999999/",
    "https://1.2.3.08/",
    "https://[127.0.0.1]/",
    "https://[::1/",
    "https://[::1]443/",
    "https://443[::1]/",
    "https://[::1].example.com/",
    "https://::1/",
    "https://user@ops.example.com/",
    "https://user:pass@ops.example.com/",
    "https://a@127.0.0.1/",
    "https://ops.example.com@127.0.0.1/",
    "https://@ops.example.com/",
    "https://127。0。0。1/",  # ideographic full stops
    "https://127．0．0．1/",  # full-width full stops
    "https://localhost｡/",  # half-width full stop
    "https://①②⑦.⓪.⓪.①/",
    "https://bücher.example/",
    "https://%31%32%37.0.0.1/",
    "https://127.0.0.1%00.example.com/",
    "https://ops.example.com\\@127.0.0.1/",
    "https://ops.example.com /",
    " https://ops.example.com/",
    "https://ops.example.com/\r\nHost: other",
    "https://ops.example.com\t/",
    "https://-.-..example/",
    "https://ops..example.com/",
    "https:///hook",
    "https://",
    "https://:443/",
    "https://?x",
    "https://ops.example.com:0/",
    "https://ops.example.com:/",
    "https://ops.example.com:65536/",
    "https://ops.example.com:http/",
    "ftp://ops.example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:25/",
    "javascript:alert(1)",
    "ops.example.com/hook",
    "//ops.example.com/hook",
    "",
    "https://ops.example.com/" + "a" * 2048,
    "https://" + "a" * 64 + ".example/",
    "https://" + "a." * 127 + "example/",
]


@pytest.mark.parametrize("url", FINE)
def test_a_public_https_url_may_be_used(url: str) -> None:
    assert url_fault(url, allow_private=False) is None
    assert url_fault(url, allow_private=True) is None


@pytest.mark.parametrize("url", PRIVATE)
def test_http_and_private_addresses_need_allow_private_and_the_fault_says_so(url: str) -> None:
    fault = url_fault(url, allow_private=False)
    assert fault is not None
    assert "allow_private" in fault
    assert url_fault(url, allow_private=True) is None


@pytest.mark.parametrize("url", NEVER)
@pytest.mark.parametrize("allow_private", [False, True])
def test_what_is_never_allowed_is_not_allowed_by_allow_private(
    url: str, allow_private: bool
) -> None:
    fault = url_fault(url, allow_private=allow_private)
    assert fault
    assert "\n" not in fault


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://u:geheim@ops.example.com/", "leave out user and password"),
        ("https://127.1/", "127.0.0.1 is a loopback address"),
        ("https://169.254.169.254/", "a link-local address, where no webhook may go"),
        ("https://bücher.example/", "write the host in its ASCII form"),
        ("ops.example.com", "begins with https://"),
    ],
)
def test_a_fault_says_what_to_write(url: str, words: str) -> None:
    fault = url_fault(url, allow_private=False)
    assert fault is not None
    assert words in fault
    assert "geheim" not in fault


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_the_host_we_check_is_the_host_that_is_connected_to(rest: str) -> None:
    url = f"https://{rest}"
    if url_fault(url, allow_private=True) is None:
        assert URL(url).raw_host == urlsplit(url).hostname


def test_another_form_of_an_allowed_address_is_answered_with_its_plain_form() -> None:
    fault = url_fault("https://2130706433/", allow_private=True)
    assert fault == "2130706433 is another form of 127.0.0.1: write that"


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "2606:4700::1111", "192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"],
)
def test_public_and_documentation_addresses_are_no_fault(address: str) -> None:
    assert address_fault(address, allow_private=False) is None


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("10.0.0.1", "private"),
        ("fd12:3456::1", "private"),
    ],
)
def test_private_addresses_need_allow_private(address: str, kind: str) -> None:
    fault = address_fault(address, allow_private=False)
    assert fault is not None
    assert kind in fault
    assert address_fault(address, allow_private=True) is None


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("169.254.169.254", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fd00:ec2::254", "metadata"),
        ("100.100.100.200", "metadata"),
        ("100.64.0.1", "shared"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("224.0.0.251", "multicast"),
        ("ff02::fb", "multicast"),
        ("250.1.1.1", "reserved"),
        ("100::1", "reserved"),
        ("::8.8.8.8", "reserved"),
        ("::ffff:8.8.8.8", "IPv4"),
        ("2002:808:808::1", "6to4"),
        ("64:ff9b::808:808", "NAT64"),
        ("2001:0:808:808::", "Teredo"),
        ("2001:2::1", "reserved"),
        ("ops.example.com", "not an IP address"),
    ],
)
def test_the_rest_is_refused_always(address: str, kind: str) -> None:
    for allow_private in (False, True):
        fault = address_fault(address, allow_private=allow_private)
        assert fault is not None
        assert kind in fault
