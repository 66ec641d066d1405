"""Pages of lists: a cursor that the store does not know is the caller's fault."""

import contextlib
from collections.abc import Iterator

from fastapi.exceptions import RequestValidationError


@contextlib.contextmanager
def cursors() -> Iterator[None]:
    """Around a `find` of the store, which raises ValueError for a bad cursor."""
    try:
        yield
    except ValueError as error:
        fault = {
            "type": "value_error",
            "loc": ("query", "cursor"),
            "ctx": {"error": "is not one of ours: take `next` of the page before"},
        }
        raise RequestValidationError([fault]) from error
