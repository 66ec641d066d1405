"""SMTP clients that know what was acknowledged, and send the rest again until it is."""

import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

RECIPIENT = "bounce@bounces.example.com"
DOMAINS = [{"bounce_domain": "bounces.example.com", "sending_domains": ["example.com"]}]

KEPT = "250 2.0.0 Kept as "
DSN = """\
From: MAILER-DAEMON@mx.receiver.example
To: bounce@bounces.example.com
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

There is no such user.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.receiver.example

Final-Recipient: rfc822; {address}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user
--b--
"""
_MESSAGES_PER_SESSION = 50
WARM_UP = 60  # large ones: after them the caches of the store are as large as they may be


def address(number: int) -> str:
    """Who could not be reached, according to the bounce of this number."""
    return f"gone-{number}@receiver.example"


def bounce(number: int) -> bytes:
    return DSN.format(address=address(number)).replace("\n", "\r\n").encode()


def large(number: int) -> bytes:
    """A message of a MiB."""
    return b"X-Number: %d\r\n\r\n" % number + b"as large as mail may well be\r\n" * 35_000


class Client:
    """A session on a plain socket, which shows every reply. OSError and EOFError when it is cut."""

    def __init__(self, port: int, timeout: float = 30) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._file = self._socket.makefile("rb")
        try:
            self.greeting = self.reply()
            if self.greeting.startswith("220"):
                self.ask(b"EHLO client.example")
        except (OSError, EOFError):
            self.close()
            raise

    def ask(self, line: bytes) -> str:
        """The reply to a command."""
        self.write(line + b"\r\n")
        return self.reply()

    def write(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def reply(self) -> str:
        """The last line of the next reply."""
        while line := self._file.readline():
            if line[3:4] != b"-":
                return line.decode("ascii").rstrip("\r\n")
        raise EOFError("the server closed the connection")

    def begin(self, recipient: str = RECIPIENT) -> str:
        """MAIL, RCPT and DATA in one go; the first reply that is no success, or the 354."""
        self.write(f"MAIL FROM:<>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
        replies = [self.reply() for _ in range(3)]
        return next((r for r in replies if r[0] not in "23"), replies[-1])

    def send(self, octets: bytes, recipient: str = RECIPIENT) -> str:
        """The reply that says what became of this message."""
        reply = self.begin(recipient)
        if not reply.startswith("354"):
            return reply
        ending = b".\r\n" if octets.endswith(b"\r\n") else b"\r\n.\r\n"
        self.write(octets.replace(b"\r\n.", b"\r\n..") + ending)
        return self.reply()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Load:
    """Clients that send the bounces of 0, 1, 2, ..., each until it is acknowledged."""

    def __init__(
        self,
        port: int,
        clients: int = 8,
        *,
        count: int | None = None,
        pause: float = 0.0,
        make: Callable[[int], bytes] = bounce,
    ) -> None:
        self.acknowledged: dict[int, str] = {}  # the id that the 250 told, by number
        self.refused: Counter[str] = Counter()  # other replies, without the id
        self.seconds: list[float] = []  # from MAIL to the 250
        self.begun = 0
        self._port = port
        self._pause = pause
        self._make = make
        self._numbers: Iterator[int] = itertools.count() if count is None else iter(range(count))
        self._taking = threading.Lock()
        self._enough = threading.Event()
        self._given_up = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def finish(self, seconds: float = 60) -> None:
        """No more new ones; waits until every one that was begun is acknowledged."""
        self._enough.set()
        self.join(seconds)

    def join(self, seconds: float = 60) -> None:
        """Waits until all are acknowledged; fails after so many seconds."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.01))
        late = sum(thread.is_alive() for thread in self._threads)
        self._enough.set()
        self._given_up.set()
        assert not late, f"{late} clients are not done: {self.refused}"

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._given_up.set()

    def _work(self) -> None:
        client: Client | None = None
        number, sent = self._next(), 0
        while number is not None and not self._given_up.is_set():
            try:
                client = client or Client(self._port)
                kept = self._send(client, number)
            except (OSError, EOFError):
                kept = False
            if kept:
                number, sent = self._next(), sent + 1
            if client and (not kept or sent % _MESSAGES_PER_SESSION == 0):
                client.close()
                client = None
            time.sleep(self._pause if kept else 0.03)
        if client:
            client.close()

    def _send(self, client: Client, number: int) -> bool:
        octets = self._make(number)
        began = time.perf_counter()
        reply = client.send(octets)
        if not reply.startswith(KEPT):
            self.refused[reply] += 1
            return False
        self.seconds.append(time.perf_counter() - began)
        self.acknowledged[number] = reply.rpartition(" ")[2]
        return True

    def _next(self) -> int | None:
        if self._enough.is_set():
            return None
        with self._taking:
            number = next(self._numbers, None)
            self.begun = self.begun if number is None else number + 1
            return number


def percentile(seconds: list[float], part: float) -> float:
    """The value that this part of them does not exceed."""
    return sorted(seconds)[min(int(len(seconds) * part), len(seconds) - 1)] if seconds else 0.0
