"""The rest of the Internet for one mail server: its DNS and the receivers that refuse its mail.

Needs the addresses of `HOSTS` and 198.51.100.53 for itself: `machine.sh` gives them to it.
"""

import asyncio
import socket
import sys
import threading
from functools import partial
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

HOSTS = {
    "mx.sender.example.": "192.0.2.10",
    "mx.receiver.example.": "198.51.100.25",
    "mx.small.example.": "198.51.100.26",
    "mx.ascii.example.": "198.51.100.27",
    "mx.closed.example.": "198.51.100.28",
    "mx.banner.example.": "198.51.100.29",
    "mx.busy.example.": "198.51.100.30",
    "mx.rude.example.": "198.51.100.31",
    "mx.limited.example.": "198.51.100.32",
    "mx.bounces.example.": "198.51.100.40",
}
MX = {name.removeprefix("mx."): name for name in HOSTS} | {"nullmx.example.": "."}
RCPT = {
    "nouser": "550 5.1.1 <{a}>: Recipient address rejected: User unknown in virtual mailbox table",
    "gmail": "550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n"
    "550-5.1.1 double-checking the recipient's email address for typos or\r\n"
    "550-5.1.1 unnecessary spaces. For more information, go to\r\n"
    "550 5.1.1  https://support.google.com/mail/?p=NoSuchUser a1-20020a05 - gsmtp",
    "full": "552 5.2.2 <{a}>: Mailbox is over quota",
    "disabled": "550 5.2.1 The email account that you tried to reach is disabled.",
    "zen": "554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using "
    "zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.10",
    "dmarc": "550 5.7.26 Unauthenticated email from sender.example is not accepted due to "
    "domain's DMARC policy. Please contact the administrator of sender.example domain.",
    "greylist": "451 4.7.1 <{a}>: Recipient address rejected: Greylisted, try again later",
    "softfull": "452 4.2.2 The recipient's inbox is out of storage space.",
    "plain": "550 No such user here",
    "badsender": "553 5.1.8 <{m}>: Sender address rejected: Domain not found",
    "ratelimit": "421 4.7.0 Our system has detected an unusual rate of mail from your IP "
    "address. To protect our users, mail has been temporarily rate limited.",
    "s3150": "550 5.7.1 Unfortunately, messages from [192.0.2.10] weren't sent. Please contact "
    "your Internet service provider since part of their network is on our block list (S3150).",
    "relay": "554 5.7.1 <{a}>: Relay access denied",
    "access": "550 5.4.1 Recipient address rejected: Access denied. "
    "[DB1PEPF00050A00.eurprd03.prod.outlook.com]",
}
DATA = {
    "spam": "550 5.7.1 Message rejected: its content looks like spam",
    "virus": "554 5.7.1 Message rejected: it contains a virus (Eicar-Signature)",
    "dataplain": "554 Transaction failed",
}
MAIL = {"mailtoobig": "552 5.3.4 Message size exceeds fixed limit"}


def local(address: str) -> str:
    return address.partition("@")[0].partition("+")[0]


class Receiver:
    """Refuses a recipient by its local part, and takes every other."""

    async def handle_MAIL(  # noqa: N802 - aiosmtpd calls it so
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        case = address.partition("@")[0].partition("+")[2]
        refusal = MAIL.get(case)
        if refusal:
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refusal = RCPT.get(local(address))
        if refusal:
            return refusal.format(a=address, m=envelope.mail_from)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        return DATA.get(local(envelope.rcpt_tos[0]), "250 2.0.0 OK: queued")


class Collector:
    """Keeps what comes back, in the order it came."""

    def __init__(self, out: Path) -> None:
        self.out, self.seen = out, 0

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        self.seen += 1
        case = envelope.rcpt_tos[0].partition("@")[0].partition("+")[2]
        name = f"{case}.{self.seen:03d}.eml"
        (self.out / name).write_bytes(envelope.original_content or b"")
        print(name, repr(envelope.mail_from), flush=True)
        return "250 2.0.0 OK: kept"


class Greets(asyncio.Protocol):
    """Refuses in its greeting, or takes all commands and hangs up at DATA."""

    def __init__(self, words: bytes, then: bytes = b"") -> None:
        self.words, self.then = words, then

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.words)
        if not self.then:
            transport.close()

    def data_received(self, data: bytes) -> None:
        if data.upper().startswith(b"QUIT"):
            self.transport.write(b"221 2.0.0 Bye\r\n")
            self.transport.close()
        elif data.upper().startswith(b"DATA"):
            self.transport.close()
        else:
            self.transport.write(self.then)


class Speaking(Controller):
    """One host of the world, speaking SMTP under its own name."""

    def __init__(
        self, handler: object, host: str, size: int = 10_000_000, utf8: bool = True
    ) -> None:
        super().__init__(
            handler, hostname=HOSTS[host], port=25, enable_SMTPUTF8=utf8, data_size_limit=size
        )
        self.name = host.rstrip(".")

    def factory(self) -> SMTP:
        settings = self.SMTP_kwargs | {"hostname": self.name, "ident": "ESMTP"}
        return SMTP(self.handler, **settings)


def answer(question: dns.message.Message) -> dns.message.Message:
    reply = dns.message.make_response(question, recursion_available=True)
    asked = question.question[0]
    name, kind = asked.name.to_text().lower(), dns.rdatatype.to_text(asked.rdtype)
    known = name in HOSTS or name in MX
    if kind == "A" and name in HOSTS:
        reply.answer.append(dns.rrset.from_text(asked.name, 300, "IN", "A", HOSTS[name]))
    elif kind == "MX" and name in MX:
        level = 0 if MX[name] == "." else 10
        reply.answer.append(dns.rrset.from_text(asked.name, 300, "IN", "MX", f"{level} {MX[name]}"))
    elif not known:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply


def serve_dns() -> None:
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.bind(("198.51.100.53", 53))
    while True:
        octets, peer = door.recvfrom(4096)
        door.sendto(answer(dns.message.from_wire(octets)).to_wire(), peer)


async def greeting_doors() -> None:
    loop = asyncio.get_running_loop()
    banner = (
        b"554 5.7.1 Your access to this mail system has been rejected due to the sending "
        b"MTA's poor reputation.\r\n"
    )
    busy = b"421 4.3.2 mx.busy.example Too many connections, try again later\r\n"
    for words, then, host in (
        (banner, b"503 5.5.1 Bad sequence\r\n", "mx.banner.example."),
        (busy, b"", "mx.busy.example."),
        (b"220 mx.rude.example ESMTP\r\n", b"250 OK\r\n", "mx.rude.example."),
    ):
        await loop.create_server(partial(Greets, words, then), HOSTS[host], 25)
    print("up", flush=True)
    await asyncio.Event().wait()


def main(out: Path) -> None:
    threading.Thread(target=serve_dns, daemon=True).start()
    receiver = Receiver()
    Speaking(receiver, "mx.receiver.example.").start()
    Speaking(receiver, "mx.small.example.", size=2000, utf8=False).start()
    Speaking(receiver, "mx.ascii.example.", utf8=False).start()
    Speaking(receiver, "mx.limited.example.").start()
    Speaking(Collector(out), "mx.bounces.example.").start()
    asyncio.run(greeting_doors())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
