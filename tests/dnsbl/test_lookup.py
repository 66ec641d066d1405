"""Names as they go over the wire, and what comes back from servers of every kind."""

from datetime import timedelta

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from bouncer.dnsbl.lookup import (
    EDNS_BYTES,
    MAX_TEXT_CHARACTERS,
    Lookup,
    Reply,
    Status,
    ask_dns,
    query_name,
    servers_of,
)
from tests.dnsbl.liar import Answers, liar

NAME = "2.0.0.127.list.test"
LISTED = Reply(Status.ANSWERED, ("127.0.0.2",))
NOTHING = Reply(Status.ANSWERED)


def answering(*records: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> Answers:
    def answer(query: dns.message.Message) -> list[bytes]:
        response = dns.message.make_response(query)
        response.set_rcode(rcode)
        for record in records:
            name, type_, value = record.split(" ", 2)
            response.answer.append(dns.rrset.from_text(name, 30, "IN", type_, value))
        return [response.to_wire(max_size=65535)]

    return answer


def cut(query: dns.message.Message) -> list[bytes]:
    response = dns.message.make_response(query)
    response.flags |= dns.flags.TC
    return [response.to_wire()]


async def asked(udp: Answers, tcp: Answers | None = None, *, timeout: float = 2) -> Reply:
    async with liar(udp, tcp) as port:
        return await ask_dns(NAME, "A", ("127.0.0.1", port), timeout)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("192.0.2.10", "10.2.0.192.z.test"),
        ("2001:db8::25", "5.2." + "0." * 22 + "8.b.d.0.1.0.0.2.z.test"),
        ("::ffff:7f00:2", "2.0.0.0.0.0.f.7.f.f.f.f." + "0." * 20 + "z.test"),
        ("example.com", "example.com.z.test"),
    ],
)
def test_a_target_has_one_name_in_a_zone(target: str, name: str) -> None:
    assert query_name(target, "z.test") == name


async def test_an_address_is_an_answer() -> None:
    assert await asked(answering(f"{NAME}. A 127.0.0.2")) == LISTED


@pytest.mark.parametrize("rcode", [dns.rcode.NXDOMAIN, dns.rcode.NOERROR])
async def test_no_such_name_and_no_such_record_are_answers(rcode: dns.rcode.Rcode) -> None:
    assert await asked(answering(rcode=rcode)) == NOTHING


@pytest.mark.parametrize(
    ("rcode", "status"),
    [
        (dns.rcode.SERVFAIL, Status.SERVFAIL),
        (dns.rcode.REFUSED, Status.REFUSED),
        (dns.rcode.FORMERR, Status.OTHER),
        (dns.rcode.NOTIMP, Status.OTHER),
    ],
)
async def test_a_server_that_fails_has_not_answered(rcode: dns.rcode.Rcode, status: Status) -> None:
    assert await asked(answering(rcode=rcode)) == Reply(status)


async def test_silence_ends_in_a_timeout() -> None:
    assert await asked(lambda _: [], timeout=0.1) == Reply(Status.TIMEOUT)


async def test_a_name_that_is_no_name_is_not_asked() -> None:
    assert await ask_dns("a" * 64 + ".test", "A", ("127.0.0.1", 9), 0.1) == Reply(Status.OTHER)


async def test_case_of_the_name_does_not_matter() -> None:
    assert await asked(answering(f"{NAME.upper()}. A 127.0.0.2")) == LISTED


async def test_forged_packets_are_waited_out() -> None:
    def forged_first(query: dns.message.Message) -> list[bytes]:
        [right] = answering(rcode=dns.rcode.NXDOMAIN)(query)
        [lie] = answering(f"{NAME}. A 127.0.0.2")(query)
        other_id = bytes([lie[0] ^ 1]) + lie[1:]
        return [other_id, b"", b"\0" * 5, lie[:20], right]

    assert await asked(forged_first) == NOTHING


async def test_a_cut_answer_is_asked_for_over_tcp() -> None:
    assert await asked(cut, answering(f"{NAME}. A 127.0.0.2")) == LISTED


async def test_a_cut_answer_without_tcp_is_no_answer() -> None:
    assert (await asked(cut)).status is Status.OTHER


async def test_aliases_are_followed_in_the_answer_and_beyond_it() -> None:
    assert await asked(answering(f"{NAME}. CNAME a.test.", "a.test. A 127.0.0.2")) == LISTED

    def elsewhere(query: dns.message.Message) -> list[bytes]:
        if query.question[0].name.to_text() == "a.test.":
            return answering("a.test. A 127.0.0.2")(query)
        return answering(f"{NAME}. CNAME a.test.")(query)

    assert await asked(elsewhere) == LISTED


async def test_aliases_without_end_are_no_answer() -> None:
    def onwards(query: dns.message.Message) -> list[bytes]:
        name = query.question[0].name.to_text()
        return answering(f"{name} CNAME a.{name}")(query)

    assert (await asked(answering(f"{NAME}. CNAME {NAME}."))).status is Status.OTHER
    assert (await asked(onwards)).status is Status.OTHER


async def test_a_record_of_another_name_is_not_believed() -> None:
    assert await asked(answering("other.test. A 127.0.0.2")) == NOTHING


async def test_the_size_of_an_answer_over_udp_is_bounded_by_edns() -> None:
    seen = []

    def note(query: dns.message.Message) -> list[bytes]:
        seen.append((query.edns, query.payload, bool(query.flags & dns.flags.RD)))
        return answering()(query)

    await asked(note)
    assert seen == [(0, EDNS_BYTES, True)]


async def test_text_is_joined_and_printable() -> None:
    text = f'{NAME}. TXT "see " "https://x.test/\\027[2J\\010 here"'
    async with liar(answering(text)) as port:
        reply = await ask_dns(NAME, "TXT", ("127.0.0.1", port), 2)
    assert reply.records == ("see https://x.test/ [2J  here",)


async def test_a_long_text_is_cut() -> None:
    text = f"{NAME}. TXT " + " ".join(["a" * 250] * 8)
    async with liar(cut, answering(text)) as port:
        reply = await ask_dns(NAME, "TXT", ("127.0.0.1", port), 2)
    assert reply.records == ("a" * MAX_TEXT_CHARACTERS,)


async def test_resolvers_are_asked_in_turn() -> None:
    asked: list[str] = []

    async def ask(name: str, type_: str, server: tuple[str, int], timeout: float, /) -> Reply:
        asked.append(server[0])
        return NOTHING

    lookup = Lookup([("192.0.2.1", 53), ("192.0.2.2", 53)], timedelta(seconds=1), ask)
    for nth in range(3):
        await lookup.ask(NAME, "A", nth)
    assert asked == ["192.0.2.1", "192.0.2.2", "192.0.2.1"]


def test_resolvers_are_those_of_the_configuration() -> None:
    assert servers_of(["127.0.0.1:5353", "[::1]:53"]) == (("127.0.0.1", 5353), ("::1", 53))
