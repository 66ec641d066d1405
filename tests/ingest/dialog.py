r"""Plays the conversations of dialogs/*.smtp against a real door.

# words             what the dialog shows
@limits errors=3    the door's limits; durations such as idle=200ms
@inbox away         how the store behaves (inbox.py)
@tls none           no certificate is configured; @tls required: no mail without TLS
@proxy 127.0.0.0/8  from there the PROXY protocol is spoken
@only plain whole   not over TLS; not octet by octet
> text              sent, with CR LF; lines that follow one another leave in one segment
>> text             sent as it is
< pattern           the next reply, all its lines, begins so; <60x pattern: the next 60 replies
<close              the server closes
= hello             EHLO and its reply; = envelope: that and MAIL and RCPT with theirs
= connect           one more connection, which is the one that talks from now on
= first             the first connection talks again
= starttls  = half-close  = reset  = leave  = drain  = wait 300ms
stored 1            so many items are in the store; human 1: so many of them for people
octets text         the first of them is just that; peer 192.0.2.1: from whom it came

In what is sent and in octets: \r \n \t \0 \e \\ \xNN, and {text*300} for repetition.
"""

import asyncio
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from bouncer.config import Smtp, SmtpLimits
from bouncer.ingest.door import Door
from tests.ingest.client import Client, until
from tests.ingest.inbox import MemoryInbox

_ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "e": "\x1b", "\\": "\\"}
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|.)")
_REPEAT = re.compile(r"\{([^{}]+)\*(\d+)\}")
_HELLO = ("> EHLO client.example", "< 250")
_ENVELOPE = (*_HELLO, "> MAIL FROM:<>", "< 250 ", "> RCPT TO:<b+1@bounces.example>", "< 250 ")
_MACROS = {"= hello": _HELLO, "= envelope": _ENVELOPE}


@dataclass(frozen=True, slots=True)
class Dialog:
    """One file."""

    path: Path
    settings: dict[str, str]
    lines: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> "Dialog":
        lines = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
        settings = [line[1:].partition(" ") for line in lines if line[0] == "@"]
        steps = (_MACROS.get(line, (line,)) for line in lines if line[0] != "@")
        return cls(
            path,
            {key: value for key, _, value in settings},
            tuple(s for step in steps for s in step),
        )

    def fits(self, transport: str, cut: str) -> bool:
        only = set(self.settings.get("only", "").split())
        return {transport} >= only & {"plain", "tls"} and {cut} >= only & {"whole", "cut"}

    def config(self, **more: Any) -> Smtp:
        limits = dict(word.split("=") for word in self.settings.get("limits", "").split())
        size = int(limits.pop("message_bytes", 100_000))
        values = {key: _limit(value) for key, value in limits.items()}
        return Smtp(
            listen=("127.0.0.1:0",),
            hostname="mx.bounces.example",
            max_message_bytes=size,
            proxy_protocol_from=tuple(self.settings.get("proxy", "").split()),
            limits=SmtpLimits.model_validate(values),
            drain_accept=timedelta(milliseconds=50),
            **more,
        )


@dataclass(slots=True)
class Player:
    """The client's side of one dialog."""

    door: Door
    inbox: MemoryInbox
    tls: bool
    bytewise: bool
    clients: list[Client]
    tasks: list[asyncio.Task[None]]

    async def play(self, dialog: Dialog) -> None:
        await self._connect()
        unsent = b""
        for line in (*dialog.lines, ""):
            if line.startswith(">"):
                unsent += octets_of(line[3:]) if line[1:2] == ">" else octets_of(line[2:]) + b"\r\n"
                continue
            if unsent:
                await self.client.send(unsent)
                unsent = b""
            await self._step(line)

    @property
    def client(self) -> Client:
        return self.clients[-1]

    async def _step(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        match word:
            case "<close":
                assert await self.client.reply() == ""
                await self.client.end()
            case _ if word.startswith("<"):
                for _ in range(int(word[1:-1] or 1)):
                    reply = await self.client.reply()
                    assert re.match(rest, reply), f"expected {rest!r}, got {reply!r}"
            case "=":
                await self._act(rest)
            case "stored":
                await until(lambda: len(self.inbox.items) == int(rest))
            case "human":
                assert sum(item.human for item in self.inbox.stored) == int(rest)
            case "octets":
                assert self.inbox.stored[0].octets == octets_of(rest)
            case "peer":
                assert self.inbox.stored[0].peer == rest
            case "":
                pass
            case _:
                raise ValueError(line)

    async def _act(self, what: str) -> None:
        word, _, rest = what.partition(" ")
        match word:
            case "connect":
                await self._connect()
            case "first":
                self.clients.append(self.clients[0])
            case "starttls":
                self.client.bytewise, bytewise = False, self.client.bytewise
                await self.client.start_tls()
                self.client.bytewise = bytewise
            case "half-close":
                self.client.half_close()
            case "reset":
                self.client.reset()
            case "leave":
                self.client.close()
            case "wait":
                await asyncio.sleep(_limit(rest).total_seconds())
            case "drain":
                self.tasks.append(asyncio.create_task(self.door.drain()))
                await until(lambda: self.door.stopping)
            case _:
                raise ValueError(what)

    async def _connect(self) -> None:
        client = await Client.connect(self.door.addresses[0])
        self.clients.append(client)
        if self.tls:
            greeting = await client.reply()
            if greeting.startswith("220 "):
                await client.ask("EHLO client.example")
                assert (await client.ask("STARTTLS")).startswith("220 ")
                await client.start_tls()
            # As dialogs begin with it.
            client.received[:0] = f"{greeting}\r\n".encode()
        client.bytewise = self.bytewise


def octets_of(text: str) -> bytes:
    """What stands for octets in a dialog, as octets."""
    text = _REPEAT.sub(lambda m: m[1] * int(m[2]), text)

    def unescaped(match: re.Match[str]) -> str:
        code = match[1]
        # An octet that is no character: a surrogate, as `surrogateescape` has it.
        return _ESCAPES.get(code) or bytes([int(code[1:], 16)]).decode("ascii", "surrogateescape")

    return _ESCAPE.sub(unescaped, text).encode("utf-8", "surrogateescape")


def _limit(value: str) -> Any:
    if value == "none":
        return ()
    if value.endswith("ms"):
        return timedelta(milliseconds=int(value[:-2]))
    return int(value)
