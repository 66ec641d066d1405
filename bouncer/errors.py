"""Our errors, as a tree; each says what a caller does about it.

BouncerError
├── ConfigurationError   the start is refused, exit status 2, one line per fault
├── StoreError
│   ├── StoreUnavailable the SMTP door answers 451, workers wait and try again
│   └── StoreFull        the SMTP door answers 452, workers wait and try again
└── ReaderDied           the item is read again alone, and quarantined after the third time
"""


class BouncerError(Exception):
    """Anything of ours; catch one of the classes below instead."""


class ConfigurationError(BouncerError):
    """What the operator wrote cannot be used; `faults` holds one line for each fault."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class StoreError(BouncerError):
    """The store did not do what it was asked."""


class StoreUnavailable(StoreError):
    """The store cannot be written or read now; nothing was kept. Try again later."""


class StoreFull(StoreError):
    """The disk has no room left above the reserve; nothing was kept."""


class ReaderDied(BouncerError):
    """A reader process was killed, crashed or ran out of time over the message it was given."""
