"""Every sample mail says what the file beside it says; a new pair needs no code here."""

import json
from pathlib import Path

import pytest

from bouncer.reports.read import read
from bouncer.reports.report import Format
from tests.reports.described import described

CORPUS = Path(__file__).parent.parent / "corpus"
SAMPLES = sorted(CORPUS.rglob("*.eml"))


def name_of(path: Path) -> str:
    return str(path.relative_to(CORPUS))


@pytest.mark.parametrize("path", SAMPLES, ids=name_of)
def test_a_sample_reads_as_the_file_beside_it_says(path: Path) -> None:
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert described(read(path.read_bytes())) == expected


@pytest.mark.parametrize("path", sorted(CORPUS.glob("not-bounces/*.eml")), ids=name_of)
def test_what_is_no_report_is_about_nobody(path: Path) -> None:
    report = read(path.read_bytes())
    assert report.format is Format.UNRECOGNISED
    assert report.recipients == ()


@pytest.mark.parametrize(
    "path", [p for p in SAMPLES if p.parent.name != "not-bounces"], ids=name_of
)
def test_line_ends_make_no_difference(path: Path) -> None:
    octets = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    plain = described(read(octets))
    assert described(read(octets.replace(b"\n", b"\r\n"))) == plain
    assert described(read(octets.replace(b"\n", b"\r"))) == plain


def test_every_reader_has_a_sample() -> None:
    formats = {read(path.read_bytes()).format for path in SAMPLES}
    assert formats >= set(Format) - {Format.SMTP_REPLY, Format.FLUFL}


def test_every_sample_has_its_expectation() -> None:
    assert len(SAMPLES) >= 60
    assert {p.with_suffix("") for p in CORPUS.rglob("*.json")} == {
        p.with_suffix("") for p in SAMPLES
    }
