"""How fast we may ask: a token bucket, kept as the time at which it would be full again (GCRA)."""

import asyncio
import time
from collections.abc import Awaitable, Callable

BURST = 5


class TokenBucket:
    """Lets `burst` through at once and `rate` a second after that, first come, first served."""

    def __init__(
        self,
        rate: float,
        burst: int = BURST,
        *,
        seconds: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._spacing = 1 / rate
        self._slack = (burst - 1) * self._spacing
        self._full_at = 0.0
        self._seconds = seconds
        self._sleep = sleep

    async def take(self) -> None:
        """Returns when one more may go. A cancelled wait keeps its turn: never too fast."""
        now = self._seconds()
        turn = max(self._full_at, now)
        self._full_at = turn + self._spacing
        if (wait := turn - self._slack - now) > 0:
            await self._sleep(wait)
