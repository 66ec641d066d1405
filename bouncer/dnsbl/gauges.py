"""What the metrics show of targets and zones; unknown as soon as an answer is old or doubted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bouncer.config import ZoneKind
from bouncer.dnsbl.client import ZoneClient
from bouncer.dnsbl.episode import shown_state
from bouncer.dnsbl.health import Health, HealthState
from bouncer.dnsbl.targets import Target
from bouncer.dnsbl.zones import Outcome, Zone
from bouncer.events import ListingState
from bouncer.metrics import Metrics
from bouncer.records import Listing

Known = Mapping[tuple[str, str], Listing]
_WORST_FIRST = (HealthState.QUARANTINED, HealthState.DEGRADED, HealthState.HEALTHY)


@dataclass(slots=True)
class Watch:
    """A zone, what it is asked for, and how it passed its tests, which each kind has its own of."""

    client: ZoneClient
    targets: tuple[Target, ...]
    health: dict[ZoneKind, Health] = field(default_factory=dict)

    @property
    def zone(self) -> Zone:
        return self.client.zone

    def of_kind(self, kind: ZoneKind) -> tuple[Target, ...]:
        return tuple(target for target in self.targets if target.kind == kind)


class Gauges:
    """The metrics of one monitor. Making it removes what another left behind."""

    def __init__(self, metrics: Metrics, interval: timedelta, started: datetime) -> None:
        self._metrics = metrics
        self._interval = interval
        self._started = started
        self._listed: dict[str, set[tuple[str, str, str]]] = {}
        for gauge in (
            metrics.dnsbl_targets,
            metrics.dnsbl_listing,
            metrics.dnsbl_zone_health,
            metrics.dnsbl_last_definitive,
            metrics.dnsbl_sweep_coverage,
            metrics.dnsbl_zone_info,
        ):
            gauge.clear()

    def introduce(self, watches: Sequence[Watch]) -> None:
        for zone in (watch.zone for watch in watches):
            self._metrics.dnsbl_zone_info.labels(
                zone.label, _operator(zone), ",".join(zone.kinds), zone.severity
            ).set(1)

    def query(self, zone: Zone, outcome: Outcome | None, seconds: float) -> None:
        self._metrics.dnsbl_query_seconds.labels(_operator(zone)).observe(seconds)
        if outcome is not None:
            self._metrics.dnsbl_queries.labels(zone.label, outcome).inc()

    def told(self, listing: Listing) -> None:
        kind = "listed" if listing.state is ListingState.LISTED else "delisted"
        self._metrics.dnsbl_transitions.labels(listing.zone, kind).inc()

    def swept(self, seconds: float) -> None:
        self._metrics.dnsbl_sweep_seconds.observe(seconds)

    def coverage(self, watch: Watch, answered: int) -> None:
        ratio = answered / len(watch.targets)
        self._metrics.dnsbl_sweep_coverage.labels(watch.zone.label).set(ratio)

    def health(self, watch: Watch) -> None:
        worst = next(
            state
            for state in _WORST_FIRST
            if any(health.state is state for health in watch.health.values())
        )
        for state in HealthState:
            value = 1 if state is worst else 0
            self._metrics.dnsbl_zone_health.labels(watch.zone.label, state).set(value)

    def targets(self, watch: Watch, known: Known, now: datetime) -> None:
        """Counts the zone's targets by what is shown of them, and names those that are listed."""
        label = watch.zone.label
        found = [(t, known.get((t.name, label))) for t in watch.targets]
        shown = [(self._shown(watch, t, listing, now), listing) for t, listing in found]
        counts = Counter(state for state, _ in shown)
        for state in ListingState:
            self._metrics.dnsbl_targets.labels(label, state).set(counts[state])
        self._name_listed(
            label,
            {
                (label, listing.target, str(listing.severity))
                for state, listing in shown
                if listing and state is ListingState.LISTED
            },
        )
        # One that never answered counts from our start: a zone that is silent grows stale too.
        oldest = min((x.checked_at if x else self._started for _, x in found), default=now)
        self._metrics.dnsbl_last_definitive.labels(label).set(oldest.timestamp())

    def _shown(
        self, watch: Watch, target: Target, listing: Listing | None, now: datetime
    ) -> ListingState:
        health = watch.health.get(target.kind)
        if listing is None or (health and health.state is HealthState.QUARANTINED):
            return ListingState.UNKNOWN
        return shown_state(listing, self._interval, now)

    def _name_listed(self, label: str, listed: set[tuple[str, str, str]]) -> None:
        for gone in self._listed.get(label, set()) - listed:
            self._metrics.dnsbl_listing.remove(*gone)
        for labels in listed:
            self._metrics.dnsbl_listing.labels(*labels).set(1)
        self._listed[label] = listed


def _operator(zone: Zone) -> str:
    return zone.operator or zone.label
