"""The check of rule files tells an operator everything that is wrong, and where."""

from pathlib import Path

import pytest

from bouncer.classify.check import check
from bouncer.classify.rulefile import PACKAGED

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
        ("pattern", "patern", "patern: there is no such key: did you mean pattern?"),
        ("frobnicat(ed|ion)", "frobnicat(", "does not compile"),
        ('frobnicated"]', 'blessed"]', "does not fit its own example"),
        ('examples = ["550 5.7.1 Your mail was frobnicated"]\n', "", "examples"),
        ('source = "our own experience"', "", "source"),
        ('id = "mine.frobnicated"', 'id = "Mine"', "id"),
        ("pattern = 'frobnicat(ed|ion)'", "", "write a pattern, a status, a code or a command"),
        ("pattern", 'status = "five"\npattern', "status"),
        ("pattern", 'code = "5.5"\npattern', "code"),
        ("pattern", "code = 550\npattern", 'code: write a list: code = ["550"]'),
        ("pattern", "code = [550]\npattern", 'code.0: write it in quotes: "550"'),
        (
            '["550 5.7.1 Your mail was frobnicated"]',
            '"550 x"',
            'write a list: examples = ["550 x"]',
        ),
        ('["550 5.7.1 Your mail was frobnicated"]', "[]", "examples: write at least one"),
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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            GOOD.replace("[[rule]]", "[[rules]]"),
            "rules: there is no such key: did you mean [[rule]]?",
        ),
        (GOOD.replace("[[rule]]", "[rule]"), "rule: begin each rule with [[rule]]"),
        (GOOD.replace("[[rule]]", ""), "pattern: there is no such key: it belongs below [[rule]]"),
        ('remote_mta = ["a.example"]', "there is no such key: it belongs below [recognise]"),
        (
            'provider = "acme"\n[recognise]\nremote_mtas = ["a.example"]',
            "recognise.remote_mtas: there is no such key: did you mean remote_mta?",
        ),
        ("zzz = 1", "zzz: there is no such key; there are provider, [recognise], [[rule]]"),
        ("", "holds no rule"),
        ('provider = "acme"', "holds no rule"),
    ],
)
def test_what_to_write_instead_is_told(tmp_path: Path, text: str, told: str) -> None:
    assert any(fault.endswith(told) for fault in faults_of(tmp_path, text))


def test_a_directory_without_rule_files_is_told(tmp_path: Path) -> None:
    assert [fault.text for fault in check([tmp_path])] == ["holds no rule file (*.toml)"]


def test_a_file_that_only_recognises_is_good(tmp_path: Path) -> None:
    text = 'provider = "acme"\n[recognise]\nremote_mta = ["acme.example"]\n'
    assert faults_of(tmp_path, text) == []


def test_ids_taken_within_a_file_are_told_each_at_its_line(tmp_path: Path) -> None:
    faults = faults_of(tmp_path, GOOD + GOOD.replace("frobnicat(ed|ion)", "frobnicated"))
    taken = [fault for fault in faults if "the id is taken" in fault]
    assert [fault.partition("0.toml:")[2].partition(":")[0] for fault in taken] == ["2", "9"]


def test_a_pattern_that_does_not_compile_is_told_at_its_line(tmp_path: Path) -> None:
    bad = GOOD.replace("frobnicat(ed|ion)", "frobnicat(")
    (fault,) = faults_of(tmp_path, GOOD + bad)
    assert "0.toml:9: rule mine.frobnicated: pattern does not compile" in fault


def test_a_file_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(GOOD)
    assert check([tmp_path / "own.toml", tmp_path]) == []


def test_a_file_of_ours_that_is_named_is_checked_as_ours() -> None:
    assert check([PACKAGED / "google.toml"]) == []


def test_our_own_files_can_be_named(tmp_path: Path) -> None:
    assert check([PACKAGED]) == []
    assert check([PACKAGED / "google.toml"]) == []


class TestTheRecipientsAddress:
    def test_a_rule_that_needs_it_is_told_because_it_is_taken_out(self, tmp_path: Path) -> None:
        rule = GOOD.replace("frobnicat(ed|ion)", r"<\S+@\S+>: frobnicated").replace(
            "Your mail was frobnicated", "<gone@receiver.example>: frobnicated"
        )
        faults = faults_of(tmp_path, rule)
        assert any("here gone@receiver.example, is taken out" in fault for fault in faults), faults

    @pytest.mark.parametrize(
        ("pattern", "example"),
        [
            (r"<\S*@\S*>: frobnicated", "550 <gone@receiver.example>: frobnicated"),
            (r"sender <\S+@\S+> frobnicated", "550 sender <shop@receiver.example> frobnicated"),
            (
                r"send it to \S+@\S+ as frobnic",
                "550 send it to new@receiver.example as frobnication",
            ),
            (
                r"\S+@\S+ is frobnicated by",
                "550 other@a.example is frobnicated by user@example.com",
            ),
        ],
    )
    def test_addresses_of_others_stay(self, tmp_path: Path, pattern: str, example: str) -> None:
        rule = GOOD.replace("frobnicat(ed|ion)", pattern)
        rule = rule.replace("550 5.7.1 Your mail was frobnicated", example)
        told = [fault for fault in faults_of(tmp_path, rule) if "other@a.example" not in fault]
        assert told == []


class TestCommand:
    @pytest.mark.parametrize(
        ("command", "words"),
        [
            ("data", "(in reply to end of DATA command)"),
            ("rcpt", "(in reply to RCPT TO command)"),
            ("mail", "(in reply to MAIL FROM command)"),
            ("ehlo", "(in reply to EHLO command)"),
            ("starttls", "(in reply to STARTTLS command)"),
            ("connect", "(after initial connection)"),
        ],
    )
    def test_the_example_must_name_it(self, tmp_path: Path, command: str, words: str) -> None:
        rule = GOOD.replace("pattern", f'command = "{command}"\npattern')
        faults = faults_of(tmp_path, rule)
        assert any(f"add `{words}`" in fault for fault in faults), faults
        assert (
            faults_of(tmp_path, rule.replace('was frobnicated"', f'was frobnicated {words}"')) == []
        )


class TestReach:
    def test_a_provider_that_nobody_can_be_told_to_be_is_told_with_its_like(
        self, tmp_path: Path
    ) -> None:
        faults = faults_of(tmp_path, 'provider = "gogle"\n' + GOOD)
        assert any("'gogle' is not known" in fault and "google" in fault for fault in faults)

    def test_a_provider_of_ours_or_of_another_file_needs_no_recognition(
        self, tmp_path: Path
    ) -> None:
        again = GOOD.replace("mine.", "acme.")
        acme = 'provider = "acme"\n[recognise]\nremote_mta = ["acme.example"]\n'
        assert faults_of(tmp_path, 'provider = "google"\n' + GOOD, acme) == []
        assert faults_of(tmp_path, 'provider = "acme"\n' + again, acme) == []

    def test_nobody_is_called_other(self, tmp_path: Path) -> None:
        faults = faults_of(tmp_path, 'provider = "other"\n' + GOOD)
        assert any("every receiver that is not known" in fault for fault in faults)

    @pytest.mark.parametrize(
        ("sign", "told"),
        [
            ('remote_mta = ["Google.com."]', "'google.com' is taken from our provider google"),
            ('recipient_domains = ["gmail.com"]', "'gmail.com' is taken from our provider google"),
            ('remote_mta = ["com"]', "'com' is a whole top-level domain"),
            ("reply = ['.']", "of our own examples (apple.no-longer, "),
        ],
    )
    def test_signs_that_take_replies_from_others_are_told(
        self, tmp_path: Path, sign: str, told: str
    ) -> None:
        faults = faults_of(tmp_path, f'provider = "acme"\n[recognise]\n{sign}\n' + GOOD)
        assert [fault for fault in faults if "0.toml: recognise: " in fault and told in fault]

    def test_more_signs_of_one_of_our_providers_are_welcome(self, tmp_path: Path) -> None:
        signs = 'provider = "google"\n[recognise]\nremote_mta = ["google.com", "g.example"]\n'
        assert faults_of(tmp_path, signs + GOOD) == []

    @pytest.mark.parametrize("pattern", [".", "frobnicated|"])
    def test_a_pattern_that_fits_everything_is_told(self, tmp_path: Path, pattern: str) -> None:
        faults = faults_of(tmp_path, GOOD.replace("frobnicat(ed|ion)", pattern))
        assert len(faults) == 1
        assert "0.toml:2: rule mine.frobnicated: is too wide: it would decide" in faults[0]
        assert "of our own examples (apple." in faults[0]

    def test_a_phrase_of_ours_may_be_given_another_reason(self, tmp_path: Path) -> None:
        said = GOOD.replace("frobnicat(ed|ion)", "user unknown")
        assert faults_of(tmp_path, said.replace("Your mail was frobnicated", "User unknown")) == []

    def test_a_wide_pattern_does_no_harm_where_only_one_receiver_is_meant(
        self, tmp_path: Path
    ) -> None:
        signs = 'provider = "acme"\n[recognise]\nremote_mta = ["acme.example"]\n'
        assert faults_of(tmp_path, signs + GOOD.replace("frobnicat(ed|ion)", "mail")) == []
