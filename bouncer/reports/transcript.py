"""Transcripts of SMTP sessions, as Sendmail, Courier and others quote them.

    ... while talking to mx.example.org.:
    >>> RCPT To:<user@example.org>
    <<< 550 5.1.1 No such user
    550 5.1.1 <user@example.org>... User unknown

A reply is about the recipient whose command it follows, else about the one named on the next line.
"""

import re

from bouncer.mail.address import address_key, addresses_in
from bouncer.mail.reply import Command, Reply, command_in, reply_from

MAX_LINES = 4000
MARKS = ("<<< ", "ranscript of session", "<-- ", "C: RCPT ", "C: rcpt ")
# MDaemon's: ` Tue 2026-03-03 10:00:00: <-- 550 5.1.1 No such user`; `S: 550 ...` of others.
_ARROW = re.compile(r"(?:[^<>]{0,60}[: ])?(<--|-->) |([CS]): ?")
_ARROWS = {"<--": "<<< ", "-->": ">>> ", "S": "<<< ", "C": ">>> "}
_TALKING = re.compile(r"(?:\.\.\. )?while talking to ([A-Za-z0-9_.-]{1,255}?)[.:]*$", re.IGNORECASE)
# What the reporter concludes: `550 5.1.1 <user@example.org>... User unknown`, `user... Deferred`.
_CONCLUSION = re.compile(
    r"(?:[245]\d\d (?:[245]\.\d{1,3}\.\d{1,3} )?)?<?([^\s<>]{1,320}?)>?\.\.\. (?=\S)(.*)"
)


# What it concludes of nobody by name: the answer was to a command that is not about one recipient.
_OF_NOBODY = re.compile(r"[45]\d\d (?:[245]\.\d{1,3}\.\d{1,3} )?[^<>]")


class _Session:
    """What is known while the lines go by: who talks, what was asked, what was answered."""

    def __init__(self) -> None:
        self.found: dict[str, Reply] = {}
        self._host: str | None = None
        self._asked = ""
        self._answer: list[str] = []

    def take(self, line: str) -> None:
        if line.startswith("<<< "):
            self._answer.append(line[4:])
        elif line.startswith(">>>"):
            self._settle()
            self._asked, self._answer = line, []
        elif talking := _TALKING.match(line):
            self._settle()
            self._host, self._asked, self._answer = talking.group(1), "", []
        elif concluded := _CONCLUSION.match(line):
            self._settle()
            self._conclude(concluded.group(1), line, concluded.group(2))
        elif "... " not in line and _OF_NOBODY.match(line):
            self._settle()
            self._host, self._asked, self._answer = None, "", []

    def end(self) -> dict[str, Reply]:
        self._settle()
        return self.found

    def _settle(self) -> None:
        """An answer to RCPT is about the recipient in that command."""
        if self._answer and command_in(self._asked) is Command.RCPT:
            for address in addresses_in(self._asked)[:1]:
                self._keep(address, " ".join(self._answer))
            self._answer = []

    def _conclude(self, name: str, line: str, words: str) -> None:
        if address_key(name) not in self.found and not (
            self._answer and self._keep(name, " ".join(self._answer))
        ):
            self._asked = ""
            self._keep(name, line if line[:1].isdigit() else words)
        self._asked, self._answer = "", []

    def _keep(self, name: str, words: str) -> bool:
        reply = reply_from(words, host=self._host)
        if reply is None or (reply.code is not None and reply.code < 400):
            return False
        command = reply.command or command_in(self._asked)
        self.found[address_key(name)] = Reply(
            reply.text, reply.code, reply.status, reply.host, command
        )
        return True


def replies_in(text: str) -> dict[str, Reply]:
    """What was said about whom: by address, or by the local name where no address stands."""
    if not any(mark in text for mark in MARKS):
        return {}
    session = _Session()
    arrows = "<-- " in text or "C: " in text
    for line in text.split("\n", MAX_LINES)[:MAX_LINES]:
        stripped = line.strip()
        if arrows and (arrow := _ARROW.match(stripped)):
            stripped = _ARROWS[arrow.group(1) or arrow.group(2)] + stripped[arrow.end() :]
        if stripped:
            session.take(stripped)
    return session.end()
