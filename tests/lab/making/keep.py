"""Keeps what came back under names that say what it is.

CASE, CASE-delay for a warning and CASE-again for the next, CASE-late and CASE-expired for the end.
"""

import re
import sys
from pathlib import Path

_SUCCESS = {"delivered", "relayed", "expanded"}


def name_of(case: str, octets: bytes, taken: set[str]) -> str:
    """The sample's name; the second failure of one mail is a late one."""
    actions = {found.decode().lower() for found in re.findall(rb"(?im)^Action: *(\w+)", octets)}
    if "delayed" in actions:
        if b"Envelope expired" in octets:
            return f"{case}-expired"
        return f"{case}-again" if f"{case}-delay" in taken else f"{case}-delay"
    if "failed" in actions:
        return f"{case}-late" if case in taken else case
    told = (actions & _SUCCESS or {case}).pop()
    return case if told == case else f"{case}-{told}"


def main(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for path in sorted(source.glob("*.eml"), key=lambda path: int(path.name.split(".")[1])):
        octets = path.read_bytes()
        name = name_of(path.name.split(".")[0], octets, taken)
        if name not in taken:  # a third warning says what the second said
            taken.add(name)
            shorter = re.sub(rb"(?:Lorem ipsum[^\n]*\n){3,}", b"Lorem ipsum.\r\n", octets)
            (target / f"{name}.eml").write_bytes(shorter)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
