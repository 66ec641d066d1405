"""Addresses as they stand in envelopes and reports (RFC 5321 section 4.1.2, RFC 6531)."""


def domain_of(address: str) -> str | None:
    """The domain in lower case, without a trailing dot; None where there is none."""
    _, at, domain = address.rpartition("@")
    return domain.lower().rstrip(".") or None if at else None


def address_key(address: str) -> str:
    """How two addresses are compared everywhere: whole, case-insensitively."""
    return address.strip().lower()


def masked(address: str) -> str:
    """What a log line may say of an address: its first letter and its domain."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}***@{domain}" if at else "***"
