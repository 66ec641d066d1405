"""docs/dialects.md, followed to the letter."""

import json
import re
from pathlib import Path

import pytest

from bouncer.reports import freetext
from bouncer.reports.freetext import DIALECTS, Dialect
from bouncer.reports.read import read
from bouncer.reports.report import Format
from bouncer.reports.search import Phrases
from tests.reports.described import described

PAGE = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text(encoding="utf-8")


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_the_mail_is_read_when_the_page_was_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    [mail], [entry], [expected] = _blocks("eml"), _blocks("python"), _blocks("json")
    assert read(mail.encode()).format is Format.UNRECOGNISED
    for name, phrase in re.findall(r"```phrase ([A-Z_]+)\n(.*?)```", PAGE, re.DOTALL):
        known: Phrases = getattr(freetext, name)
        monkeypatch.setattr(freetext, name, Phrases("\n".join([*known.all, phrase])))
    assert read(mail.encode()).recipients == ()
    dialect = eval(entry, {"Dialect": Dialect, "re": re})  # noqa: S307  our own page
    monkeypatch.setattr(freetext, "DIALECTS", (*DIALECTS, dialect))
    assert described(read(mail.encode())) == json.loads(expected)
