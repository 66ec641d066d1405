"""Where webhooks may go: https to public addresses, and what an operator allows beyond that."""


def url_fault(url: str, *, allow_private: bool) -> str | None:
    """What is wrong with a webhook URL as it is written, or None. Does not ask DNS."""
    return None
