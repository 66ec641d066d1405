"""The check of rule files tells an operator everything that is wrong, and where."""

from pathlib import Path

import pytest

from bouncer.classify.check import check

GOOD = """
[[rule]]
id = "mine.frobnicated"
category = "policy"
pattern = 'frobnicat(ed|ion)'
examples = ["550 5.7.1 Your mail was frobnicated"]
source = "our own experience"
"""


def faults_of(directory: Path, *texts: str) -> list[str]:
    for number, text in enumerate(texts):
        (directory / f"{number}.toml").write_text(text, encoding="utf-8")
    return [str(fault) for fault in check([directory])]


def test_a_good_file_has_no_fault(tmp_path: Path) -> None:
    assert faults_of(tmp_path, GOOD) == []


def test_a_single_file_can_be_checked(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(GOOD)
    assert check([path]) == []


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert [fault.text for fault in check([tmp_path / "none"])] == ["is not there"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"policy"', '"nonsense"', "category"),
        ('"policy"', '"complaint"', "not a reason for a failed delivery"),
        ("pattern", "patern", "patern"),
        ("frobnicat(ed|ion)", "frobnicat(", "does not compile"),
        ('frobnicated"]', 'blessed"]', "does not fit its own example"),
        ('examples = ["550 5.7.1 Your mail was frobnicated"]\n', "", "examples"),
        ('source = "our own experience"', "", "source"),
        ('id = "mine.frobnicated"', 'id = "Mine"', "id"),
        ("pattern = 'frobnicat(ed|ion)'", "", "write a pattern, a status, a code or a command"),
        ("pattern", 'status = "five"\npattern', "status"),
        ("pattern", 'code = "5.5"\npattern', "code"),
        ('"mine.frobnicated"', '"status.1.1"', "the id is taken"),
    ],
)
def test_each_mistake_is_told_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    faults = faults_of(tmp_path, GOOD.replace(old, new, 1))
    assert any(told in fault and "0.toml:2" in fault for fault in faults), faults


def test_a_rule_that_never_applies_is_told(tmp_path: Path) -> None:
    faults = faults_of(tmp_path, GOOD, GOOD.replace("mine.frobnicated", "mine.again"))
    assert any("never applies: rule mine.frobnicated" in fault for fault in faults)


def test_a_rule_whose_example_another_one_decides_is_told(tmp_path: Path) -> None:
    wide = GOOD.replace("mine.frobnicated", "mine.wide").replace("frobnicat(ed|ion)", "mail")
    faults = faults_of(tmp_path, wide, GOOD)
    assert any("is shadowed by rule mine.wide" in fault for fault in faults)


def test_faults_of_several_files_come_together(tmp_path: Path) -> None:
    faults = faults_of(
        tmp_path, GOOD.replace("policy", "nonsense"), "not TOML", GOOD.replace("(ed", "((ed")
    )
    assert {fault.partition(".toml")[0][-1] for fault in faults} == {"0", "1", "2"}


def test_recognition_without_a_provider_is_told(tmp_path: Path) -> None:
    faults = faults_of(tmp_path, '[recognise]\nremote_mta = ["acme.example"]\n' + GOOD)
    assert any("write its name as `provider`" in fault for fault in faults)
