"""docs/rules.md, followed to the letter."""

import re
from pathlib import Path

import pytest

from bouncer.classify.check import check
from bouncer.classify.rulefile import Recognition, RuleEntry
from bouncer.classify.rules import load
from bouncer.mail.reply import reply_from
from bouncer.reports.report import Format, Kind, Report, ReportedRecipient

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
FILES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_has_a_rule_and_a_receiver_to_follow() -> None:
    assert len(FILES) == 2


@pytest.mark.parametrize("text", FILES)
def test_the_files_of_the_page_have_no_fault_and_decide_the_reply(
    text: str, tmp_path: Path
) -> None:
    (tmp_path / "gnome.toml").write_text(text, encoding="utf-8")
    assert check([tmp_path]) == []
    reply = reply_from("550 5.7.1 Your parcel was returned by the gnome (GN-17)")
    reported = ReportedRecipient(Kind.BOUNCE, "user@example.com", reply=reply)
    verdict = load([tmp_path]).judge(Report(Format.DSN, (reported,)), reported)
    assert (verdict.rule, verdict.category, verdict.class_) == (
        "gnome.returned",
        "recipient_disabled",
        "hard",
    )


def test_the_page_explains_every_key() -> None:
    keys = {field.alias or name for name, field in RuleEntry.model_fields.items()}
    keys |= set(Recognition.model_fields)
    assert {key for key in keys if f"| `{key}` |" not in PAGE} == set()
