"""A report as plain data, as the expected `.json` of a sample has it."""

import dataclasses
import json
import sys
from datetime import datetime
from pathlib import Path

from bouncer.reports.read import read
from bouncer.reports.report import Report


def described(report: Report) -> dict[str, object]:
    """What the report says; what it does not say is left out, and so is the text it stands in."""
    bare = [dataclasses.replace(recipient, around="") for recipient in report.recipients]
    plain = _plain(dataclasses.asdict(dataclasses.replace(report, recipients=tuple(bare))))
    assert isinstance(plain, dict)
    return plain


def _plain(value: object) -> object:
    if isinstance(value, dict):
        said = {n: item for n, item in value.items() if item not in (None, (), "")}
        return {name: _plain(item) for name, item in said.items() if item is not True}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def main() -> None:
    """Prints what the readers make of a mail, for the file beside it."""
    report = read(Path(sys.argv[1]).read_bytes())
    print(json.dumps(described(report), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
