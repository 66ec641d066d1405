"""Every report that four real mail servers wrote about real refusals is read and judged right."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bouncer.classify.rules import Ruleset, load
from bouncer.events import Source
from bouncer.reading import Arrival, Reading, read_arrival

_FOLDER = Path(__file__).parent
_SAMPLES = sorted(_FOLDER.glob("*/*.eml"))


@pytest.fixture(scope="module")
def rules() -> Ruleset:
    return load()


def test_every_sample_has_an_expectation_and_every_expectation_a_sample() -> None:
    assert {path.with_suffix(".json") for path in _SAMPLES} == set(_FOLDER.glob("*/*.json"))
    assert {path.parent.name for path in _SAMPLES} == {"exim", "opensmtpd", "postfix", "sendmail"}


@pytest.mark.parametrize("path", _SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_report_of_a_real_mail_server_is_read_right(path: Path, rules: Ruleset) -> None:
    arrival = Arrival("lab", "", Source.FILE, datetime(2026, 11, 22, tzinfo=UTC))
    reading = read_arrival(path.read_bytes(), arrival, {}, rules)
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert len(reading.events) == len(expected)
    for event, wanted in zip(_by_recipient(reading), expected, strict=True):
        assert {field: event[field] for field in wanted} == wanted


def _by_recipient(reading: Reading) -> list[dict[str, Any]]:
    """The events as they leave bouncer; every server lists recipients in an order of its own."""
    published = [event.model_dump(mode="json", by_alias=True) for event in reading.events]
    return sorted(published, key=lambda event: event["recipient"] or "")
