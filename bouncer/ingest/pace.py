"""How often a network may knock, and how often we say that it did: both bounded in memory."""

import logging
import math

_FORGET_ABOVE = 4096
_TOLD_AT_MOST = 1000
_MINUTE = 60.0


class Pace:
    """A leaky bucket for each network: `burst` at once, then `per_minute`. Who is refused does not
    count, so whoever slows down is let in again."""

    def __init__(self, per_minute: int, burst: int) -> None:
        self._interval = _MINUTE / per_minute
        self._ahead = (burst - 1) * self._interval + 1e-6
        self._due: dict[str, float] = {}  # when each network will owe us nothing
        self._ceiling = _FORGET_ABOVE

    def admits(self, network: str, now: float) -> bool:
        """Counts one more connection of this network, if it may come in now."""
        due = max(self._due.get(network, -math.inf), now)
        if due - now > self._ahead:
            return False
        self._due[network] = due + self._interval
        if len(self._due) > self._ceiling:
            self._due = {n: due for n, due in self._due.items() if due > now}
            self._ceiling = max(_FORGET_ABOVE, 2 * len(self._due))
        return True


class Seldom:
    """A line in the log for each subject and minute, however often there is cause for it."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._since = -math.inf
        self._told: set[str] = set()

    def warn(self, subject: str, now: float, text: str, *values: object) -> None:
        if now - self._since >= _MINUTE:
            self._since = now
            self._told.clear()
        if subject not in self._told and len(self._told) < _TOLD_AT_MOST:
            self._told.add(subject)
            self._log.warning(text, *values)
