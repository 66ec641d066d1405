"""The server's words as rules see them: bounded, and without the address they are about.

An address can hold anything (spam-full@unknown.example), so it is taken out before a rule looks,
in capitals, too.
"""

from bouncer.reports.report import ReportedRecipient
from bouncer.reports.sentences import what_happened

MAX_WORDS_BYTES = 8192


def words_of(recipient: ReportedRecipient) -> bytes:
    """What the server said of this recipient; empty where the report does not quote it."""
    return _judged(recipient.reply.text, recipient) if recipient.reply else b""


def words_in_context(recipient: ReportedRecipient) -> bytes:
    """The words in which those of the server stand."""
    return _judged(recipient.reply.context, recipient) if recipient.reply else b""


def words_around(recipient: ReportedRecipient) -> bytes:
    """What else the report says of it, without the sentences that only suppose or advise."""
    return _judged(what_happened(recipient.around[:MAX_WORDS_BYTES]), recipient)


def _judged(words: str, recipient: ReportedRecipient) -> bytes:
    """The words as rules are held against them."""
    text = words[:MAX_WORDS_BYTES]
    first, second = recipient.recipient, recipient.original_recipient
    if "@" in text:
        if first and "@" in first:
            text = _without(first, text)
        if second and "@" in second and second != first:
            text = _without(second, text)
    return text.encode("utf-8", "replace")[:MAX_WORDS_BYTES]


def _without(address: str, text: str) -> str:
    """The text with `@` for the address, whatever its case."""
    pieces = text.split(address)
    if text.count("@") > len(pieces) - 1:  # others, or this one in another case
        pieces = [part for piece in pieces for part in _split(address, piece)]
    return "@".join(pieces)


def _split(address: str, text: str) -> list[str]:
    """What stands between the places of the address."""
    folded, wanted = _lower(text), _lower(address)
    parts, end = [], 0
    while (found := folded.find(wanted, end)) >= 0:
        parts.append(text[end:found])
        end = found + len(wanted)
    return [*parts, text[end:]]


def _lower(text: str) -> str:
    """The text in small letters, each where it was: İ is the one letter that would become two."""
    return text.replace("İ", "i").lower()
