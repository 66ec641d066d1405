"""Text as both databases can keep it: no NUL (PostgreSQL refuses it) and no lone surrogate."""

from typing import overload

from bouncer.events import Event

_CLEAN_ESCAPE = "\\u0000"


@overload
def clean(text: str) -> str: ...
@overload
def clean(text: None) -> None: ...
def clean(text: str | None) -> str | None:
    """The text without NUL characters, its lone surrogates replaced by U+FFFD."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    pairs = text.replace("\0", "").encode("utf-16-le", "surrogatepass")
    return pairs.decode("utf-16-le", "replace")


def _clean_any(value: object) -> object:
    if type(value) is str:
        return clean(value)
    if isinstance(value, tuple):
        return tuple(_clean_any(part) for part in value)
    return value


def clean_event(event: Event) -> tuple[Event, str]:
    """An event that can be stored, and its JSON."""
    try:
        written = event.model_dump_json()
    except ValueError:  # a lone surrogate
        written = _CLEAN_ESCAPE
    if _CLEAN_ESCAPE not in written:
        return event, written
    fields = {name: _clean_any(getattr(event, name)) for name in type(event).model_fields}
    event = event.model_copy(update=fields)
    return event, event.model_dump_json()
