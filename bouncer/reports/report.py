"""What a reader found in a message: evidence, in the report's own words, before any verdict."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bouncer.mail.reply import Reply


class Kind(StrEnum):
    """What a report says happened to one recipient."""

    BOUNCE = "bounce"
    DELAY = "delay"
    DELIVERY = "delivery"
    RELAYED = "relayed"
    EXPANDED = "expanded"
    COMPLAINT = "complaint"
    NOT_SPAM = "not_spam"
    AUTH_REPORT = "auth_report"
    AUTO_REPLY = "auto_reply"
    CHALLENGE = "challenge"
    UNSUBSCRIBE = "unsubscribe"
    UNRECOGNISED = "unrecognised"


class Format(StrEnum):
    """Which reader understood the message."""

    DSN = "dsn"
    ARF = "arf"
    AUTO_REPLY = "auto_reply"
    MDN = "mdn"
    CHALLENGE = "challenge"
    UNSUBSCRIBE = "unsubscribe"
    FREE_TEXT = "free_text"
    FLUFL = "flufl"
    SES = "ses"
    SMTP_REPLY = "smtp_reply"
    UNRECOGNISED = "unrecognised"


# Not frozen: making one would take four times as long, and each mail makes some.
@dataclass(slots=True)
class ReportedRecipient:
    """One recipient of a report.

    `status` is the Status field; `reply` what the server said; `around` what else the report says,
    where it is about nobody else.
    """

    kind: Kind
    recipient: str | None
    original_recipient: str | None = None
    action: str | None = None
    status: str | None = None
    reply: Reply | None = None
    remote_mta: str | None = None
    last_attempt_date: datetime | None = None
    will_retry_until: datetime | None = None
    around: str = ""

    @property
    def believed_status(self) -> str | None:
        """The enhanced status of the remote server's words; the Status field where they have none.

        A reporting MTA that got no enhanced status makes one up (Exim and OpenSMTPD write 5.0.0,
        Sendmail 5.1.1 under any refusal of a recipient): the quoted reply wins. Only one that says
        no more than its class (X.0.0) gives way to a field of the same class that says more.
        """
        quoted = self.reply.status if self.reply else None
        if quoted is None or self.status is None or not quoted.endswith(".0.0"):
            return quoted or self.status
        return self.status if self.status[0] == quoted[0] else quoted

    @property
    def smtp_code(self) -> int | None:
        return self.reply.code if self.reply else None


@dataclass(slots=True)
class Report:
    """One message, read. `message_id` and `from_domain` are those of the mail it is about.

    `sure` is false where nothing but the reason shows that it is a report: it is never hard.
    """

    format: Format
    recipients: tuple[ReportedRecipient, ...]
    reporting_mta: str | None = None
    arrival_date: datetime | None = None
    envelope_id: str | None = None
    message_id: str | None = None
    from_domain: str | None = None
    feedback_type: str | None = None
    defects: tuple[str, ...] = ()
    sure: bool = True
