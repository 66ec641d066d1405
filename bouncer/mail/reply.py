"""What a remote server said: an SMTP reply (RFC 5321 section 4.2) as it is quoted in a report."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """The remote server's words.

    `code` and `status` are what stands in the words (never invented), `text` the words themselves,
    unfolded onto one line, `host` the server that said them where the report names it.
    """

    text: str
    code: int | None = None
    status: str | None = None
    host: str | None = None
