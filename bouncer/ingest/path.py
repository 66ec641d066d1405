"""Reverse-paths, forward-paths and their parameters (RFC 5321 section 4.1.2, RFC 6531).

Linear in what it reads: every repetition is possessive. More is read than we take, because what is
to be refused as an attempt to relay should be told from what is no address at all.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

# Control characters (C1 too) and the surrogates that stand for octets that are not UTF-8 are no
# part of an address.
_UTF8 = "\u00a0-\ud7ff\ue000-\U0010ffff"
_PATH = re.compile(
    rf"""
    <(?P<route>@[^<>":\s]*+:)?
     (?P<address>
      (?P<local>"(?:[ !\#-\[\]-~{_UTF8}]|\\[ -~])*+"|[A-Za-z0-9.!\#$%&'*+/=?^_`{{|}}~{_UTF8}-]++)
      (?:@(?P<domain>\[[!-Z^-~]++\]|[A-Za-z0-9._{_UTF8}-]++))?
     )?
    >(?:[ \t]++(?P<parameters>.*))?\Z
    """,
    re.VERBOSE | re.DOTALL,
)
_FRAME = re.compile(r'<(?:"(?:[^"\\]|\\.)*+"|[^<>"])*+>(?:[ \t]|\Z)', re.DOTALL)
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*+)(?:=([!-<>-~]++))?\Z")
_ROUTED = re.compile(r"[%!@]")  # user%elsewhere, elsewhere!user, "user@elsewhere"


class PathFault(StrEnum):
    """What is wrong with a path."""

    FRAME = "frame"  # it does not end where it should
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class Path:
    """A path as it was written. `address` is "" for the null path; `domain` is in lower case."""

    address: str
    local: str
    domain: str | None
    routed: bool  # asks us to pass it on somewhere else
    parameters: str

    @property
    def literal(self) -> bool:
        return self.domain is not None and self.domain.startswith("[")


@lru_cache(maxsize=1024)  # The null path stands in every second command.
def read_path(text: str) -> Path | PathFault:
    """The path at the start of what follows FROM: or TO:, brackets being forgiven if missing."""
    if not text.startswith("<") and text:
        address, space, rest = text.partition(" ")
        text = f"<{address}>{space}{rest}"
    parts = _PATH.match(text)
    if parts is None:
        return PathFault.ADDRESS if _FRAME.match(text) else PathFault.FRAME
    route, address, local, domain, parameters = parts.groups()
    if (route and not address) or not (address or "").isprintable():
        return PathFault.ADDRESS
    return Path(
        address=address or "",
        local=local or "",
        domain=None if domain is None else _comparable(domain),
        routed=route is not None or bool(local and _ROUTED.search(local)),
        parameters=parameters or "",
    )


def too_long(path: Path) -> bool:
    """Whether it is over the limits of RFC 5321 section 4.5.3.1, in octets."""
    return len(path.local.encode()) > 64 or len((path.domain or "").encode()) > 255


def read_parameters(text: str) -> dict[str, str | None] | None:
    """The parameters behind a path by name in upper case; None if they cannot be read."""
    result: dict[str, str | None] = {}
    for word in text.split():
        parts = _PARAMETER.match(word)
        if parts is None or parts[1].upper() in result:
            return None
        result[parts[1].upper()] = parts[2]
    return result


def _comparable(domain: str) -> str:
    if not domain.isascii():
        try:
            return domain.encode("idna").decode("ascii").lower()
        except UnicodeError:
            pass
    return domain.lower()
