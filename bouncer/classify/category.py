"""Why a message was not delivered, and who can mend it.

24 categories of failure and 4 of feedback. The class of an event (hard or soft) follows from its
category, from whether the reply was permanent, and from the rule that matched; `class_of` says how.
"""

from enum import StrEnum


class BounceClass(StrEnum):
    """What a failure means for the address."""

    HARD = "hard"
    SOFT = "soft"


class FixOwner(StrEnum):
    """Who can mend it."""

    LIST = "list"
    RECIPIENT = "recipient"
    RECEIVER = "receiver"
    SENDER_IP = "sender_ip"
    SENDER_DOMAIN = "sender_domain"
    MESSAGE = "message"


class Category(StrEnum):
    """Why: see docs/events.md for a sentence on each."""

    RECIPIENT_UNKNOWN = "recipient_unknown"
    RECIPIENT_MOVED = "recipient_moved"
    RECIPIENT_DISABLED = "recipient_disabled"
    MAILBOX_FULL = "mailbox_full"
    RECIPIENT_REFUSED = "recipient_refused"
    DOMAIN_INVALID = "domain_invalid"
    SUPPRESSED = "suppressed"
    SPAM_CONTENT = "spam_content"
    REPUTATION = "reputation"
    BLOCKLISTED = "blocklisted"
    AUTH_FAILURE = "auth_failure"
    SENDER_REJECTED = "sender_rejected"
    POLICY = "policy"
    MALWARE = "malware"
    MESSAGE_TOO_LARGE = "message_too_large"
    NONCOMPLIANT = "noncompliant"
    RATE_LIMITED = "rate_limited"
    GREYLISTED = "greylisted"
    ROUTING = "routing"
    NETWORK = "network"
    RECEIVER_SYSTEM = "receiver_system"
    TLS = "tls"
    EXPIRED = "expired"
    UNDETERMINED = "undetermined"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    AUTO_REPLY = "auto_reply"
    CHALLENGE_RESPONSE = "challenge_response"

    @property
    def fix_owner(self) -> FixOwner | None:
        """Who can mend it; None where nobody needs to, or nobody knows."""
        return _FIX_OWNERS.get(self)


_FIX_OWNERS = {
    Category.RECIPIENT_UNKNOWN: FixOwner.LIST,
    Category.RECIPIENT_MOVED: FixOwner.LIST,
    Category.RECIPIENT_DISABLED: FixOwner.RECIPIENT,
    Category.MAILBOX_FULL: FixOwner.RECIPIENT,
    Category.RECIPIENT_REFUSED: FixOwner.RECIPIENT,
    Category.DOMAIN_INVALID: FixOwner.LIST,
    Category.SUPPRESSED: FixOwner.LIST,
    Category.SPAM_CONTENT: FixOwner.MESSAGE,
    Category.REPUTATION: FixOwner.SENDER_IP,
    Category.BLOCKLISTED: FixOwner.SENDER_IP,
    Category.AUTH_FAILURE: FixOwner.SENDER_DOMAIN,
    Category.SENDER_REJECTED: FixOwner.SENDER_DOMAIN,
    Category.POLICY: FixOwner.RECEIVER,
    Category.MALWARE: FixOwner.MESSAGE,
    Category.MESSAGE_TOO_LARGE: FixOwner.MESSAGE,
    Category.NONCOMPLIANT: FixOwner.MESSAGE,
    Category.RATE_LIMITED: FixOwner.SENDER_IP,
    Category.ROUTING: FixOwner.RECEIVER,
    Category.NETWORK: FixOwner.RECEIVER,
    Category.RECEIVER_SYSTEM: FixOwner.RECEIVER,
    Category.TLS: FixOwner.RECEIVER,
    Category.EXPIRED: FixOwner.RECEIVER,
    Category.COMPLAINT: FixOwner.LIST,
    Category.UNSUBSCRIBE: FixOwner.LIST,
}

_HARD = {
    Category.RECIPIENT_UNKNOWN,
    Category.RECIPIENT_MOVED,
    Category.RECIPIENT_DISABLED,
    Category.DOMAIN_INVALID,
    Category.SUPPRESSED,
}


def class_of(category: Category, *, permanent: bool) -> BounceClass:
    """Hard when the address will not work again: one of the dead categories, refused for good.

    `permanent`: the server's reply or status was 5xx, or there was neither and delivery has ended.
    A 4xx leaves the door open, whatever it says. An undetermined failure is soft unless a rule
    says otherwise.
    """
    return BounceClass.HARD if permanent and category in _HARD else BounceClass.SOFT
