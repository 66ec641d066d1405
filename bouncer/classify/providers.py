"""Whose server it was: a receiver's operator, recognised from names and from how it writes.

The server that answered counts most, then the recipient's domain, then the words of the reply; the
reporting MTA only where the report names no other server, because it is usually the sender's own.
"""

from collections.abc import Iterable
from functools import lru_cache, partial

from bouncer.classify.patterns import PatternSet
from bouncer.classify.rulefile import Recognition
from bouncer.mail.address import domain_of
from bouncer.reports.report import Report, ReportedRecipient

OTHER = "other"
_UNKNOWN = "nothing: no known name or word"
MAX_REMEMBERED_BYTES = 512  # the same words come again and again, the recipient's address taken out


class Providers:
    """The table of known providers."""

    def __init__(self, known: Iterable[tuple[str, Recognition]]) -> None:
        known = tuple(known)
        self._by_server: dict[str, str] = {}
        self._by_reporter: dict[str, str] = {}
        self._by_domain: dict[str, str] = {}
        fingerprints: list[tuple[str, str]] = []
        for name, signs in known:
            for table, suffixes in (
                (self._by_server, signs.remote_mta),
                (self._by_reporter, signs.reporting_mta),
                (self._by_domain, signs.recipient_domains),
            ):
                for suffix in suffixes:
                    table.setdefault(suffix.lower().strip("."), name)
            fingerprints.extend((name, pattern) for pattern in signs.reply)
        self._fingerprinted = tuple(name for name, _ in fingerprints)
        self._fingerprints = PatternSet([pattern for _, pattern in fingerprints])
        self._remembered = lru_cache(maxsize=4096)(self._by_words)
        # A day's reports name few servers and few domains, again and again.
        self._of_server = lru_cache(maxsize=4096)(partial(_by_suffix, self._by_server))
        self._of_domain = lru_cache(maxsize=4096)(partial(_by_suffix, self._by_domain))
        self.names = frozenset(name for name, _ in known) | {OTHER}

    def of(self, report: Report, recipient: ReportedRecipient, words: bytes) -> str:
        """The provider of this recipient, `other` if it is none we know."""
        return self.recognised(report, recipient, words)[0]

    def recognised(
        self, report: Report, recipient: ReportedRecipient, words: bytes
    ) -> tuple[str, str]:
        """The provider, and what it was recognised by."""
        reply = recipient.reply
        servers = {recipient.remote_mta: None, (reply.host if reply else None): None}
        for server in servers:
            if server and (found := self._of_server(server)):
                return found, "the server that answered"
        for address in {recipient.recipient: None, recipient.original_recipient: None}:
            domain = domain_of(address) if address else None
            if domain and (found := self._of_domain(domain)):
                return found, "the recipient's domain"
        short = len(words) <= MAX_REMEMBERED_BYTES
        if found := self._remembered(words) if short else self._by_words(words):
            return found, "the words of the reply"
        if report.reporting_mta and not any(servers):
            found = _by_suffix(self._by_reporter, report.reporting_mta)
            if found is not None:
                return found, "the reporting MTA"
        return OTHER, _UNKNOWN

    def _by_words(self, words: bytes) -> str | None:
        hit = next(self._fingerprints.matching(words), None)
        return None if hit is None else self._fingerprinted[hit]


def _by_suffix(table: dict[str, str], host: str) -> str | None:
    """What the longest known suffix of a host name stands for."""
    name = host[:255].lower().rstrip(".")
    while name:
        if name in table:
            return table[name]
        name = name.partition(".")[2]
    return None
