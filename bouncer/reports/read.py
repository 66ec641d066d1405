"""Octets in, `Report` out: the readers, from the most authoritative to the least.

Each answers `None` for "not mine". Never raises: mail is foreign, and a report that nobody can
read is `UNRECOGNISED` with the defects that were seen.
"""

from collections.abc import Callable

from bouncer.mail.message import Message
from bouncer.reports import arf, autoreply, dsn, freetext, mdn, ses
from bouncer.reports.report import Format, Report

READERS: tuple[Callable[[Message], Report | None], ...] = (
    arf.read,
    autoreply.read_challenge,
    dsn.read,
    mdn.read,
    ses.read,
    autoreply.read_unsubscribe,
    freetext.read,
    autoreply.read,
)


def read(
    octets: bytes, sender: str | None = None, knows: Callable[[Report], bool] = lambda _: False
) -> Report:
    """What the first reader that knows the message says of it.

    `sender` is the envelope's reverse-path, where it is known. `knows` says whether rules know the
    reasons in a report: one whose words nobody knows for those of a failure is believed by that.
    """
    message = Message(octets, sender)
    for reader in READERS:
        report = reader(message)
        if report is not None:
            return report
    guess = freetext.guess(message)
    if guess is not None and knows(guess):
        return guess
    return Report(Format.UNRECOGNISED, (), defects=tuple(message.defects))
