"""The SMTP door: says 250 when the store has the message, 4xx when it has not (RFC 5321).

A session is aiosmtpd's, with its state and its `smtp_*` commands, on our own event loop. Written
anew is what aiosmtpd does too slowly or too trustingly: how octets are read, what ends a line and a
message, how addresses are read, every reply (with its enhanced status code, RFC 2034) and every
limit. Nothing that a client sends is ever echoed, and no fault of ours is ever a 5xx: whoever sends
us a bounce has nobody to return it to.
"""

# ruff: noqa: N802 - aiosmtpd names its commands so

import asyncio
import contextlib
import logging
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from time import perf_counter
from typing import Any, NoReturn, cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from bouncer import clock as clocks
from bouncer.clock import Clock
from bouncer.config import BounceDomain, Smtp
from bouncer.errors import ConfigurationError, StoreFull, StoreUnavailable
from bouncer.events import Source
from bouncer.ingest.door import SHUTTING_DOWN, Door, Inbox, Outcome, Refusal
from bouncer.ingest.listener import Listener, bound, turn_away
from bouncer.ingest.path import Path, PathFault, read_parameters, read_path, too_long
from bouncer.ingest.proxy import ProxyFault, read_client
from bouncer.mail.address import masked
from bouncer.metrics import Metrics
from bouncer.records import Received, digest_of

__all__ = ["Door", "Inbox", "listening"]

log = logging.getLogger(__name__)

_END = b"\r\n.\r\n"
_LINE = 512  # RFC 5321 section 4.5.3.1.4
_PATH_LINE = 1024  # MAIL and RCPT, lengthened by their extensions
_LINE_CEILING = 8192  # nobody who speaks SMTP sends a longer one
_BACKLOG = 65_536  # octets read ahead before the client has to wait
_FIRST_OCTETS = frozenset(range(0x20, 0x7F)) | {0x0D, 0x0A}  # of a command, or of an empty line
_STRANGE_COMMANDS = 3  # before HELO: it is a browser or a scanner
_LINGER_SECONDS = 2.0
_ENVELOPE_SECONDS = 5.0  # from MAIL to DATA, when we are to leave

_HUMAN = frozenset({"postmaster", "abuse"})
_ENCODINGS = frozenset({"7BIT", "8BITMIME"})
_SIZE = re.compile(r"[0-9]{1,20}\Z")
_NO_SUCH_STATE = "503 5.5.1 Bad sequence of commands"
_OUR_FAULT = "451 4.3.0 Try again later"
_NO_TLS = "454 4.7.0 TLS is not available"
_NO_ROOM = "452 4.3.1 Out of room, try again later"
_PARAMETERS = "555 5.5.4 Parameters not recognised or not offered"

# What a command does; those that have to wait for somebody return what is to be awaited.
_Command = Callable[["SmtpSession", str], Coroutine[Any, Any, None] | None]


@contextlib.asynccontextmanager
async def listening(
    inbox: Inbox,
    config: Smtp,
    domains: Sequence[BounceDomain],
    metrics: Metrics,
    *,
    has_room: Callable[[], bool] = lambda: True,
    clock: Clock = clocks.now,
) -> AsyncIterator[Door]:
    """Takes mail until the end of the block, or until the door is drained.

    `has_room` is asked at each MAIL, so that nobody sends 25 MB to hear that there is none.
    """
    door = Door(inbox, config, domains, metrics, has_room, clock)
    try:
        await _open(door, "listen", config.listen, secure=False)
        await _open(door, "tls_listen", config.tls_listen, secure=True)
        yield door
    finally:
        await door.drain(immediately=True)


async def _open(door: Door, key: str, listens: Sequence[str], *, secure: bool) -> None:
    def meet(connection: socket.socket, peer: str) -> None:
        proxy = door.is_proxy(peer)
        if refusal := door.refusal() or (None if proxy else door.refusal_of(peer)):
            door.counts.outcome[door.turned_away(peer, refusal)]()
            turn_away(connection, None if secure else refusal)
        else:
            SmtpSession(door, connection, peer, proxy=proxy, secure=secure).begin()

    for listen in listens:
        try:
            for listening_socket in await bound(listen):
                door.opened(Listener(listening_socket, meet))
        except ConfigurationError as error:
            raise ConfigurationError(f"smtp.{key}: {error}") from error


class _Gone(Exception):
    """There is nobody left to talk to."""


class SmtpSession(SMTP):
    """One connection: a task that reads a command, answers it, and reads the next."""

    def __init__(
        self, door: Door, connection: socket.socket, peer: str, *, proxy: bool, secure: bool
    ) -> None:
        # The one of aiosmtpd looks for hooks and commands by reflection, for each connection; here
        # they are known (COMMANDS).
        self.door = door
        self.loop = asyncio.get_running_loop()
        self.limits = door.limits
        self.hostname = door.hostname
        self.session: Session = self._create_session()
        self.envelope: Envelope = self._create_envelope()
        self.transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = connection  # until it has a transport
        self._handler_coroutine: asyncio.Task[None] | None = None
        self._peer = peer
        self._proxy = proxy  # the peer is one, and the client not known yet
        self._encrypted = secure
        self._verb = "connect"
        self._outcome = Outcome.LOST
        self._fault = ""
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._began = self.loop.time()
        self._since: float | None = None  # when we began to wait; None while we work
        self._data_mark: int | None = None  # octets of DATA at that time
        self._data_seen, self._data_moved = 0, 0.0  # octets of DATA, and when there were fewer
        self._held = 0  # octets of a message not yet answered
        self._eof = False  # the client has said all
        self._over = False  # we have
        self._reading_paused = False
        self._choked = False  # the client does not read our replies
        self._errors = self._idle_commands = self._strange = self._excess = self._messages = 0

    def begin(self) -> None:
        """Counts the connection in and serves it."""
        self.door.enter(self, None if self._proxy else self._peer)
        self._handler_coroutine = self.loop.create_task(
            self._handle_client(), name=f"smtp {self._peer}"
        )

    # What the transport tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._socket = None
        self._timer = self.loop.call_later(self.limits.tick, self._look_at_watch)

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._buffer += data
        if self._waiter is not None and not self._choked:
            self._wake()
        elif len(self._buffer) > _BACKLOG and not self._reading_paused:
            self._reading_paused = True
            self._connected().pause_reading()

    def eof_received(self) -> bool:
        self._eof = True
        self._wake()
        # What came before is still answered; TLS has no half-closed state.
        return not self._over and not self._encrypted

    def connection_lost(self, error: Exception | None) -> None:
        self._eof = self._over = True
        self.transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._choked = False
        self._wake()
        self.door.left(self)

    def pause_writing(self) -> None:
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False
        self._wake()

    def _wake(self) -> None:
        if (waiter := self._waiter) is not None and not waiter.done():
            self._waiter = None
            waiter.set_result(None)

    def _connected(self) -> asyncio.Transport:
        if self.transport is None:
            raise _Gone
        return self.transport

    # What the door tells us

    def finish(self) -> None:
        waiting = self._since is not None and self._data_mark is None
        if waiting and self.envelope.mail_from is None:
            self._hang_up(SHUTTING_DOWN, Outcome.SHUTDOWN, linger=False)
        else:
            self._stop_arriving()
            self.loop.call_later(_ENVELOPE_SECONDS, self._finish_envelope)

    def _finish_envelope(self) -> None:
        if self._since is not None and self._data_mark is None:
            self._hang_up(SHUTTING_DOWN, Outcome.SHUTDOWN, linger=False)

    def cut(self) -> None:
        if self._since is not None:
            self._hang_up(SHUTTING_DOWN, Outcome.SHUTDOWN, linger=False)
        else:
            self._stop_arriving()

    def _stop_arriving(self) -> None:
        """Nothing is lost with a client that we wait for before it can say anything.

        One that need not say anything is greeted in a moment, and sent away with a reply.
        """
        waited_for = self._proxy or self._encrypted
        if waited_for and self.transport is None and not self._over and self._handler_coroutine:
            self._outcome = Outcome.SHUTDOWN
            self._handler_coroutine.cancel()
        elif self._verb == "starttls" and self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    # The conversation

    async def _handle_client(self) -> None:
        try:
            await self._arrive()
            await self._greet()
            while not self._over:
                line = self._line()
                if line is None:
                    await self._more()
                elif (rest := self._obey(line)) is not None:
                    await rest
        except _Gone:
            pass
        except Exception:
            log.exception("SMTP session of %s failed", self._peer)
            self._hang_up(_OUR_FAULT, Outcome.FAILED)
        finally:
            self._end()

    async def _arrive(self) -> None:
        """From a bare socket to somebody who may be greeted."""
        connection = self._socket
        if connection is None:
            raise _Gone
        if self._proxy:
            await self._learn_peer(connection)
        context = self.door.tls if self._encrypted else None
        if self._encrypted and context is None:
            self._fail_tls("TLS is not available")
        try:
            await self.loop.connect_accepted_socket(
                lambda: self,
                connection,
                ssl=context,
                ssl_handshake_timeout=self.limits.handshake if context else None,
                ssl_shutdown_timeout=_LINGER_SECONDS if context else None,
            )
        except OSError as error:
            if context:
                self._fail_tls(str(error))
            raise _Gone from error

    async def _learn_peer(self, connection: socket.socket) -> None:
        def receive(count: int) -> Coroutine[Any, Any, bytes]:
            return self.loop.sock_recv(connection, count)

        try:
            async with asyncio.timeout(self.limits.proxy_header):
                client = await read_client(receive)
        except (ProxyFault, OSError) as error:
            reason = str(error) or "no PROXY header in time"
            self.door.seldom.warn(
                self._peer, self.loop.time(), "turned away proxy %s: %s", self._peer, reason
            )
            self._outcome = Outcome.PROTOCOL
            raise _Gone from error
        self._peer, self._proxy = client or self._peer, False
        if refusal := self.door.refusal_of(self._peer):
            self._outcome = self.door.turned_away(self._peer, refusal)
            turn_away(connection, None if self._encrypted else refusal)
            raise _Gone
        self.door.claim(self, self._peer)

    def _fail_tls(self, fault: str) -> NoReturn:
        self._outcome, self._fault = Outcome.TLS_FAILED, fault
        raise _Gone

    async def _greet(self) -> None:
        # A turn of the loop brings in what was sent before we said anything.
        for _ in range(2):
            await asyncio.sleep(0)
        if self._buffer:
            self._hang_up("554 5.5.0 You spoke before you were greeted", Outcome.EARLY_TALKER)
        else:
            self._say(f"220 {self.hostname} ESMTP")

    def _obey(self, line: bytes) -> Coroutine[Any, Any, None] | None:
        verb, _, rest = line[:-2].partition(b" ")
        name = verb.upper()
        self._verb, command, longest, is_idle = _KNOWN.get(name, _OTHER)
        if not line.endswith(b"\r\n"):
            self._hang_up("500 5.5.2 Lines end with CR LF", Outcome.PROTOCOL)
        elif len(line) > longest:
            self._refuse("500 5.5.2 Line too long")
        elif command is None:
            self._unknown_command()
        elif is_idle and self._idle_commands >= self.limits.idle_commands:
            self._hang_up("421 4.7.0 Too many commands without a message", Outcome.TOO_MUCH)
        else:
            self._idle_commands += is_idle
            text = rest.decode() if rest.isascii() else rest.decode("utf-8", "surrogateescape")
            return command(self, text.strip(" \t"))
        return None

    def _unknown_command(self) -> None:
        self._strange += self.session.host_name is None
        if self._strange >= _STRANGE_COMMANDS:
            self._hang_up("500 5.5.2 This is an SMTP server", Outcome.PROTOCOL)
        else:
            self._refuse("500 5.5.2 Command not recognised")

    def smtp_EHLO(self, hostname: str) -> None:
        if not self._introduced(hostname):
            return
        self.session.extended_smtp = True
        lines = [
            self.hostname,
            "PIPELINING",
            f"SIZE {self.limits.message_bytes}",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
        ]
        if self.door.tls and not self._encrypted:
            lines.append("STARTTLS")
        lines.append("HELP")
        self._say("\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"]))

    def smtp_HELO(self, hostname: str) -> None:
        if self._introduced(hostname):
            self.session.extended_smtp = False
            self._say(f"250 {self.hostname}")  # without an enhanced code: RFC 2034 section 3

    def _introduced(self, hostname: str) -> bool:
        if not hostname or not hostname.isprintable():
            self._refuse("501 5.5.4 Say who you are: EHLO hostname")
            return False
        self.session.host_name = hostname
        self.envelope = self._create_envelope()
        return True

    def smtp_MAIL(self, arg: str) -> None:
        if self.session.host_name is None:
            self._refuse("503 5.5.1 Send EHLO first")
        elif self.envelope.mail_from is not None:
            self._refuse(_NO_SUCH_STATE)
        elif self._messages >= self.limits.messages:
            self._hang_up("421 4.7.0 Too many messages in one connection", Outcome.TOO_MUCH)
        elif self.door.requires_tls and not self._encrypted:
            self._refuse_without_tls()
        elif arg[:5].upper() != "FROM:":
            self._refuse("501 5.5.4 Syntax: MAIL FROM:<address>")
        else:
            self._take_sender(arg[5:].lstrip(" \t"))

    def _refuse_without_tls(self) -> None:
        # A certificate that we cannot use is our fault, and so no 5xx.
        self._refuse("530 5.7.0 Send STARTTLS first" if self.door.tls else _NO_TLS)

    def _take_sender(self, text: str) -> None:
        path = read_path(text)
        if isinstance(path, PathFault):
            self._refuse("501 5.1.7 That is no address")
            return
        parameters = read_parameters(path.parameters)
        if parameters is None:
            self._refuse("501 5.5.4 Parameters cannot be read")
        elif fault := self._parameter_fault(parameters):
            self._refuse(fault)
        elif not path.address.isascii() and "SMTPUTF8" not in parameters:
            self._refuse("553 5.6.7 That address needs SMTPUTF8")
        elif not self.door.has_room():
            self.door.counts.refused[Refusal.STORE_FULL]()
            self._refuse(_NO_ROOM)
        else:
            self.envelope.mail_from = path.address
            self.envelope.smtp_utf8 = "SMTPUTF8" in parameters
            self._say("250 2.1.0 Ok")

    def _parameter_fault(self, parameters: dict[str, str | None]) -> str | None:
        if parameters and not self.session.extended_smtp:
            return _PARAMETERS
        for name, value in parameters.items():
            match name:
                case "SIZE" if value is None or not _SIZE.match(value):
                    return "501 5.5.4 SIZE takes a number of octets"
                case "SIZE" if int(value or 0) > self.limits.message_bytes:
                    self.door.counts.refused[Refusal.TOO_LARGE]()
                    return "552 5.3.4 Message too large"
                case "BODY" if (value or "").upper() not in _ENCODINGS:
                    return _PARAMETERS
                case "SMTPUTF8" if value is not None:
                    return "501 5.5.4 SMTPUTF8 takes no value"
                case "SIZE" | "BODY" | "SMTPUTF8":
                    pass
                case _:
                    return _PARAMETERS
        return None

    def smtp_RCPT(self, arg: str) -> None:
        if self.envelope.mail_from is None:
            self._refuse("503 5.5.1 Send MAIL first")
        elif arg[:3].upper() != "TO:":
            self._refuse("501 5.5.4 Syntax: RCPT TO:<address>")
        elif len(self.envelope.rcpt_tos) >= self.limits.recipients:
            self._one_recipient_too_many("452 4.5.3 Too many recipients, send it to these first")
        else:
            self._take_recipient(arg[3:].lstrip(" \t"))

    def _one_recipient_too_many(self, reply: str) -> None:
        self._excess += 1
        if self._excess > self.limits.excess_recipients:
            self._hang_up("421 4.7.0 Too many recipients", Outcome.TOO_MUCH)
        else:
            self._say(reply)

    def _take_recipient(self, text: str) -> None:
        path = read_path(text)
        if path is PathFault.FRAME:
            self._refuse("501 5.5.2 Syntax: RCPT TO:<address>")
        elif isinstance(path, PathFault) or not path.address or too_long(path):
            self._refuse("501 5.1.3 That is no address")
        elif path.parameters:
            self._refuse(_PARAMETERS)
        elif not path.address.isascii() and not self.envelope.smtp_utf8:
            self._refuse("553 5.6.7 That address needs SMTPUTF8")
        elif not self._ours(path):
            self.door.counts.refused[Refusal.FOREIGN_RECIPIENT]()
            self._refuse("550 5.7.1 We take no mail for that address")
        elif path.address in self.envelope.rcpt_tos:
            self._one_recipient_too_many("250 2.1.5 Ok, once")
        else:
            self.envelope.rcpt_tos.append(path.address)
            self._say("250 2.1.5 Ok")

    def _ours(self, path: Path) -> bool:
        if not self.door.domains:
            return True
        if path.domain is None:
            return path.local.lower() == "postmaster"
        return path.domain in self.door.domains and not path.routed

    def smtp_DATA(self, arg: str) -> Coroutine[Any, Any, None] | None:
        if not self.envelope.rcpt_tos:
            self._refuse("503 5.5.1 Send RCPT first")
        elif arg:
            self._refuse("501 5.5.4 DATA takes no argument")
        elif self._buffer:
            self._hang_up("554 5.5.0 You sent data before you were asked", Outcome.EARLY_TALKER)
        else:
            self._say("354 End with CR LF . CR LF")
            return self._take_message()
        return None

    async def _take_message(self) -> None:
        try:
            await self._keep(await self._message())
        finally:
            self._hold(0)
        self.envelope = self._create_envelope()

    async def _message(self) -> bytes:
        """The octets up to CRLF.CRLF, and by nothing else, with their dots unstuffed."""
        buffer = self._buffer
        buffer += b"\r\n"  # So that a dot in the first line is found like any other.
        self._since, self._data_mark = self.loop.time(), 0
        self._data_seen, self._data_moved = 0, self._since
        end = await self._end_of_message(buffer)
        self._since = self._data_mark = None
        # A large buffer goes back to the system as a whole; what is pipelined behind stays.
        self._buffer = buffer[end + len(_END) :]
        with memoryview(buffer) as view:
            octets = bytes(view[2 : end + 2]).replace(b"\r\n.", b"\r\n")
        return octets.removeprefix(b".")

    async def _end_of_message(self, buffer: bytearray) -> int:
        scanned = 0
        while (end := buffer.find(_END, max(scanned - len(_END), 0))) < 0:
            scanned = len(buffer)
            self._hold(scanned)
            if scanned > self.limits.raw_bytes:
                self._too_large()
                self._hang_up("552 5.3.4 Message too large", Outcome.TOO_MUCH)
            elif self.door.held > self.limits.held_bytes and scanned > self.limits.fair_bytes:
                self.door.counts.refused[Refusal.OVERLOAD]()
                self._hang_up("452 4.3.1 Too much mail at once, try later", Outcome.CROWDED)
            await self._more()
        self._hold(end)
        return end

    def _hold(self, octets: int) -> None:
        self.door.held += octets - self._held
        self._held = octets

    def _too_large(self) -> None:
        self.door.counts.refused[Refusal.TOO_LARGE]()
        log.info("refused a message of %s: over %d octets", self._peer, self.limits.message_bytes)

    async def _keep(self, octets: bytes) -> None:
        if len(octets) > self.limits.message_bytes:
            self._too_large()
            self._refuse("552 5.3.4 Message too large")
            return
        began = perf_counter()
        items = self._items(octets)
        try:
            new = await self.door.inbox.receive(items)
        except StoreFull:
            self._not_kept(Refusal.STORE_FULL, _NO_ROOM)
        except StoreUnavailable:
            self._not_kept(Refusal.STORE_UNAVAILABLE, _OUR_FAULT)
        except Exception:
            log.exception("a message of %s could not be stored", self._peer)
            self._not_kept(Refusal.INTERNAL_ERROR, _OUR_FAULT)
        else:
            self.door.counts.store_seconds(perf_counter() - began)
            self._kept(items, new)

    def _items(self, octets: bytes) -> list[Received]:
        digest, received_at = digest_of(octets), self.door.clock()
        return [
            Received(
                source=Source.SMTP,
                recipient=recipient,
                sender=self.envelope.mail_from or "",
                octets=octets,
                digest=digest,
                received_at=received_at,
                peer=self._peer,
                human=recipient.partition("@")[0].lower() in _HUMAN,
            )
            for recipient in self.envelope.rcpt_tos
        ]

    def _not_kept(self, refusal: Refusal, reply: str) -> None:
        self.door.counts.refused[refusal]()
        log.warning("a message of %s was not kept: %s", self._peer, refusal)
        self._say(reply)

    def _kept(self, items: list[Received], new: list[bool]) -> None:
        self._messages += 1
        self._idle_commands = 0
        for item, is_new in zip(items, new, strict=True):
            (self.door.counts.new if is_new else self.door.counts.duplicate)()
            if item.human and is_new:
                self.door.counts.human()
        item_id = items[0].id
        self._say(f"250 2.0.0 Kept as {item_id}")
        if log.isEnabledFor(logging.INFO):
            log.info(
                "kept %s%s: %d octets to %s%s from <%s> of %s",
                item_id,
                "" if any(new) else " again",
                len(items[0].octets),
                _shown(masked(items[0].recipient)),
                f" and {len(items) - 1} more" if len(items) > 1 else "",
                _shown(masked(items[0].sender)) if items[0].sender else "",
                self._peer,
            )

    def smtp_RSET(self, arg: str) -> None:
        if arg:
            self._refuse("501 5.5.4 RSET takes no argument")
        else:
            self.envelope = self._create_envelope()
            self._say("250 2.0.0 Ok")

    def smtp_NOOP(self, arg: str) -> None:
        self._say("250 2.0.0 Ok")

    def smtp_QUIT(self, arg: str) -> None:
        if arg:
            self._refuse("501 5.5.4 QUIT takes no argument")
        else:
            self._hang_up("221 2.0.0 Bye", Outcome.QUIT, linger=False)

    def smtp_VRFY(self, arg: str) -> None:
        self._say("252 2.1.5 Send some mail and see")

    def smtp_HELP(self, arg: str) -> None:
        self._say("214 2.0.0 See RFC 5321")

    def smtp_BDAT(self, arg: str) -> None:
        # Octets that were never announced to us follow; as commands they would do harm.
        self._hang_up("502 5.5.1 CHUNKING is not offered", Outcome.PROTOCOL)

    def smtp_PROXY(self, arg: str) -> None:
        # From a network that is not listed: nobody whose word on other clients counts.
        self._hang_up("502 5.5.1 Not offered", Outcome.PROTOCOL)

    def _not_offered(self, arg: str) -> None:
        self._refuse("502 5.5.1 Not offered")

    def smtp_STARTTLS(self, arg: str) -> Coroutine[Any, Any, None] | None:
        if not self.door.offers_tls:
            self._refuse("502 5.5.1 Not offered")
        elif self._encrypted:
            self._refuse("503 5.5.1 TLS is on already")
        elif arg:
            self._refuse("501 5.5.4 STARTTLS takes no argument")
        elif self.door.tls is None:
            self._say(_NO_TLS)
        elif self._buffer:
            # Injected by somebody in between, to be taken for part of what TLS protects.
            self._hang_up("554 5.5.0 You sent data after STARTTLS", Outcome.PROTOCOL)
        else:
            self._say("220 2.0.0 Go ahead")
            return self._encrypt(self.door.tls)
        return None

    async def _encrypt(self, context: ssl.SSLContext) -> None:
        self._flush()
        plain = self._connected()
        if self._reading_paused:
            self._reading_paused = False
            plain.resume_reading()
        try:
            encrypted = await self.loop.start_tls(
                plain,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=self.limits.handshake,
                ssl_shutdown_timeout=_LINGER_SECONDS,
            )
        except OSError as error:
            encrypted, self._fault = None, str(error)
        if encrypted is None or self._over or plain.is_closing():
            plain.abort()
            self._fail_tls(self._fault or "the client left")
        self.transport = encrypted
        self._encrypted = True
        # Whatever was said before is forgotten (RFC 3207 section 4.2).
        self.session = self._create_session()
        self.envelope = self._create_envelope()
        self._idle_commands = 0

    # Reading and replying

    def _line(self) -> bytes | None:
        """The next command up to its LF; None while it is not there."""
        buffer = self._buffer
        if self._since is None:
            self._since = self.loop.time()
            if self.door.stopping and self.envelope.mail_from is None:
                self._hang_up(SHUTTING_DOWN, Outcome.SHUTDOWN)
                return None
        if not buffer:
            return None
        if buffer[0] not in _FIRST_OCTETS:
            self._hang_up("500 5.5.2 This is an SMTP server", Outcome.PROTOCOL)
            return None
        end = buffer.find(b"\n", 0, _LINE_CEILING) + 1
        if not end:
            if len(buffer) >= _LINE_CEILING:
                self._hang_up("500 5.5.2 Line too long", Outcome.PROTOCOL)
            return None
        self._since = None
        if end == len(buffer):
            line = bytes(buffer)
            buffer.clear()
        else:
            line = bytes(buffer[:end])
            del buffer[:end]
        return line

    async def _more(self) -> None:
        """Waits until there is more in the buffer, having sent what we have to say."""
        self._flush()
        if self._over or (self._eof and not self._choked):
            raise _Gone
        if self._reading_paused:
            self._reading_paused = False
            self._connected().resume_reading()
        while True:
            self._waiter = waiter = self.loop.create_future()
            await waiter
            if self._over or not self._choked:
                return

    def _refuse(self, reply: str) -> None:
        """Replies with an error, unless it is one too many."""
        self._errors += 1
        if self._errors >= self.limits.errors:
            self._hang_up("421 4.7.0 Too many errors", Outcome.TOO_MUCH)
        else:
            self._say(reply)

    def _say(self, reply: str) -> None:
        if not self._over:
            self.door.counts.replies[self._verb, reply[:3]] += 1
            self._out.append(reply.encode("ascii") + b"\r\n")

    def _flush(self) -> None:
        # All replies to commands that came together leave together (RFC 2920 section 3.2).
        out = self._out
        if out and self.transport is not None:
            self.transport.write(b"".join(out) if len(out) > 1 else out[0])
        out.clear()

    def _look_at_watch(self) -> None:
        now = self.loop.time()
        if self._since is not None and self._overdue(now, now - self._since):
            self._hang_up("421 4.4.2 Time is up", Outcome.TIMEOUT)
        else:
            self._timer = self.loop.call_later(self.limits.tick, self._look_at_watch)

    def _overdue(self, now: float, waited: float) -> bool:
        limits = self.limits
        if now - self._began > limits.session:
            return True
        if self._data_mark is None:
            return waited > (limits.crowded_idle if self.door.crowded else limits.idle)
        octets = len(self._buffer)
        if octets != self._data_seen:
            self._data_seen, self._data_moved = octets, now
        if now - self._data_moved > limits.data_idle:
            return True
        if waited <= limits.data_idle:
            return False
        if octets - self._data_mark < waited * limits.data_rate:
            return True
        self._since, self._data_mark = now, octets
        return False

    # Ending

    def _hang_up(self, reply: str, outcome: Outcome, *, linger: bool = True) -> None:
        """The last reply. Closing on octets not yet read would reset the connection and lose it,
        so the client is heard out for a moment."""
        if self._over:
            return
        self._outcome = outcome
        self._say(reply)
        self._leave(linger=linger)

    def _leave(self, *, linger: bool) -> None:
        if self._over or self.transport is None:
            return
        self._flush()
        self._over = True
        self._buffer = bytearray()
        self._wake()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(_LINGER_SECONDS, self.transport.abort)
        if linger and self.transport.can_write_eof() and not self._eof:
            if self._reading_paused:
                self.transport.resume_reading()
            self.transport.write_eof()
        else:
            self.transport.close()

    def _end(self) -> None:
        came_in = self._socket is None or self._outcome is Outcome.TLS_FAILED
        if self._socket is not None:
            self._socket.close()
        if self.transport is None or self._outcome is Outcome.TLS_FAILED:
            self.connection_lost(None)  # Which asyncio tells us only sometimes.
        self._leave(linger=False)
        self.door.counts.outcome[self._outcome]()
        if came_in and log.isEnabledFor(logging.INFO):
            helo = self.session.host_name or "-"
            log.info(
                "session of %s ended: %s%s, %d messages, %d errors, helo %s%s",
                self._peer,
                self._outcome,
                f" ({_shown(self._fault)})" if self._fault else "",
                self._messages,
                self._errors,
                _shown(masked(helo) if "@" in helo else helo),
                ", TLS" if self._encrypted else "",
            )
        self.door.ended(self)


# The verbs we know; they are also the only ones that metrics name.
COMMANDS: Mapping[bytes, _Command] = {
    b"EHLO": SmtpSession.smtp_EHLO,
    b"HELO": SmtpSession.smtp_HELO,
    b"MAIL": SmtpSession.smtp_MAIL,
    b"RCPT": SmtpSession.smtp_RCPT,
    b"DATA": SmtpSession.smtp_DATA,
    b"RSET": SmtpSession.smtp_RSET,
    b"NOOP": SmtpSession.smtp_NOOP,
    b"QUIT": SmtpSession.smtp_QUIT,
    b"VRFY": SmtpSession.smtp_VRFY,
    b"HELP": SmtpSession.smtp_HELP,
    b"STARTTLS": SmtpSession.smtp_STARTTLS,
    b"BDAT": SmtpSession.smtp_BDAT,
    b"PROXY": SmtpSession.smtp_PROXY,
} | dict.fromkeys(
    (b"AUTH", b"EXPN", b"ETRN", b"TURN", b"SEND", b"SOML", b"SAML", b"XCLIENT", b"XFORWARD"),
    SmtpSession._not_offered,
)
_WITH_PATH = frozenset({b"MAIL", b"RCPT"})
_IDLE = frozenset({b"EHLO", b"HELO", b"RSET", b"NOOP", b"VRFY", b"HELP"})
# By verb: its name in metrics, the command, how long its line may be, whether it does no work.
_KNOWN: Mapping[bytes, tuple[str, _Command | None, int, bool]] = {
    verb: (
        verb.decode("ascii").lower(),
        command,
        _PATH_LINE if verb in _WITH_PATH else _LINE,
        verb in _IDLE,
    )
    for verb, command in COMMANDS.items()
}
_OTHER = ("other", None, _LINE, False)


def _shown(text: str) -> str:
    """Foreign text in a log line: short, and nothing in it that a terminal or a parser obeys."""
    text = text[:200]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
