"""Whether a zone is believed: what its last self-tests make of it, and nothing else."""

from dataclasses import dataclass
from enum import StrEnum

from bouncer.dnsbl.client import Cause

PASSES_TO_RECOVER = 2


class HealthState(StrEnum):
    """Only what a healthy zone says counts."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"  # failed once
    QUARANTINED = "quarantined"  # failed again; has to pass twice
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Health:
    """`passes` counts towards the recovery of a quarantined zone."""

    state: HealthState = HealthState.HEALTHY
    cause: Cause | None = None
    passes: int = 0

    @property
    def believed(self) -> bool:
        return self.state is HealthState.HEALTHY

    def after(self, fault: Cause | None) -> "Health":
        """The health once a self-test has ended with this fault, or with none."""
        if fault is not None:
            failed_before = self.state in (HealthState.DEGRADED, HealthState.QUARANTINED)
            return Health(HealthState.QUARANTINED if failed_before else HealthState.DEGRADED, fault)
        if self.state is HealthState.QUARANTINED and self.passes + 1 < PASSES_TO_RECOVER:
            return Health(self.state, self.cause, self.passes + 1)
        return Health()
