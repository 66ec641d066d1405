"""Listings kept in memory, with the promise of the store: compare and set, and tell once."""

from bouncer.errors import StoreUnavailable
from bouncer.events import ListingChange, Message
from bouncer.records import Listing


class MemoryListings:
    """`away` makes it fail as a store does whose database is away."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Listing] = {}
        self.messages: list[Message] = []
        self.away = False

    async def all(self) -> list[Listing]:
        self._reachable()
        return list(self.kept.values())

    async def record(
        self, listing: Listing, before: Listing | None, message: Message | None
    ) -> bool:
        self._reachable()
        now = self.kept.get((listing.target, listing.zone))
        if (now and (now.state, now.episode)) != (before and (before.state, before.episode)):
            return False
        self.kept[listing.target, listing.zone] = listing
        if message is not None:
            self.messages.append(message)
        return True

    def told(self) -> list[tuple[str, str, str, bool]]:
        """Type, target, zone and baseline of what was told."""
        return [
            (m.type, m.data.target, m.data.zone, m.data.baseline)
            for m in self.messages
            if isinstance(m.data, ListingChange)
        ]

    def _reachable(self) -> None:
        if self.away:
            raise StoreUnavailable("the database is away")
