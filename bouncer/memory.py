"""Large blocks of memory go back to the system when they are freed.

glibc raises its own threshold (mallopt(3), M_MMAP_THRESHOLD) with every large block it frees, up to
32 MiB; from then on large messages lie in the heap between small ones, and their room is kept.
"""

import contextlib
import ctypes

_M_MMAP_THRESHOLD = -3
_LARGE = 2**20


def return_large_blocks() -> None:
    """Holds for this process. Does nothing where the C library is another."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
