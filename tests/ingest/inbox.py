"""An inbox in memory that can be away, full, broken, slow or stuck."""

import asyncio
from collections.abc import Sequence

from bouncer.errors import StoreFull, StoreUnavailable
from bouncer.records import Received


class MemoryInbox:
    """Keeps what it is given; `mood` says how it behaves."""

    def __init__(self, mood: str = "well") -> None:
        self.mood = mood
        self.items: dict[str, Received] = {}
        self.calls = 0
        self.free = asyncio.Event()  # what a stuck one waits for

    async def receive(self, items: Sequence[Received]) -> list[bool]:
        self.calls += 1
        if self.mood == "stuck":
            await self.free.wait()
        match self.mood:
            case "away":
                raise StoreUnavailable("connection to /var/lib/bouncer.db lost")
            case "full":
                raise StoreFull("no room in /var/lib")
            case "broken":
                raise RuntimeError("sqlite: /var/lib/bouncer.db is malformed")
            case "slow":
                await asyncio.sleep(0.5)
            case _:
                await asyncio.sleep(0)
        new = [item.id not in self.items for item in items]
        self.items |= {item.id: item for item in items}
        return new

    def has_room(self) -> bool:
        return self.mood != "no-room"

    @property
    def stored(self) -> list[Received]:
        return list(self.items.values())
