"""A receiver that refuses recipients the way receivers do, and takes all others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiosmtpd.smtp import SMTP, Envelope, Session

# What is said to RCPT, by the local part of the recipient.
REPLIES = {
    "nouser": "550 5.1.1 <{address}>: Recipient address rejected: User unknown",
    "nouser-long": (
        "550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n"
        "550-5.1.1 double-checking the recipient's email address for typos or\r\n"
        "550 5.1.1 unnecessary spaces."
    ),
    "full": "552 5.2.2 <{address}>: mailbox is over quota",
    "listed": (
        "554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using "
        "zen.spamhaus.org; https://check.spamhaus.org/query/ip/192.0.2.10"
    ),
    "dmarc": (
        "550 5.7.26 Unauthenticated email from example.com is not accepted due to "
        "domain's DMARC policy"
    ),
    "grey": "451 4.7.1 Greylisted, please try again later",
    "späti": "550 5.1.1 <{address}>: Recipient address rejected: User unknown",
}


@dataclass
class Sink:
    """`taken` holds (recipient, octets) of every message that was not refused."""

    port: int
    taken: list[tuple[str, bytes]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = REPLIES.get(address.partition("@")[0])
        if reply is not None:
            return reply.format(address=address)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        self.taken += [(address, envelope.content) for address in envelope.rcpt_tos]
        return "250 2.0.0 OK"


@contextlib.asynccontextmanager
async def listening(port: int) -> AsyncIterator[Sink]:
    """The receiver, on 127.0.0.1."""
    sink = Sink(port)

    def session() -> SMTP:
        return SMTP(sink, hostname="in.receiver.test", enable_SMTPUTF8=True, decode_data=False)

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", port)
    async with server:
        yield sink
