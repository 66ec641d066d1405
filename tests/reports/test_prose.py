"""Whose address a report for people is about, beside the address of whom one may ask."""

import pytest

from bouncer.reports.prose import Prose

ASKED = (
    "If you need help, mail joe@example.com",
    "Questions? Ask joe@example.com.",
    "Your administrator is joe@example.com",
    "Bitte wenden Sie sich an joe@example.com",
    "Contactez joe@example.com",
    "Support: support@example.com",
)


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(
    "line",
    [
        "kat@example.org: not found",
        "[1] kat@example.org",
        "Kat Lee (kat@example.org)",
        "Kat Lee [SMTP:kat@example.org]",
        "To: Kat Lee <kat@example.org>",
        "The mailbox of kat@example.org is full.",
        "We could not reach kat@example.org",
        "Error: kat@example.org: no such user",
        "ERROR kat@example.org no such user",
        "Final recipient was kat@example.org",
        "Forward path: <kat@example.org>",
        "an die Adresse kat@example.org",
        "El buzón de kat@example.org está lleno",
        "La boîte kat@example.org est pleine",
        "Письмо для kat@example.org не доставлено",
        "无法发送到kat@example.org的邮箱",
        "宛先メールアドレス kat@example.org",
        "受信者 kat@example.org",
    ],
)
def test_the_recipient_is_told_from_whom_one_may_ask(line: str, asked: str) -> None:
    assert Prose(f"Sorry.\n\n{line}\n\n{asked}\n").recipients() == ["kat@example.org"]
    assert Prose(f"Sorry.\n{asked}\n\n{line}\n").recipients() == ["kat@example.org"]


@pytest.mark.parametrize(
    "others",
    [
        "From: News Desk <news@example.com>\nCc: Ann Other <ann@example.net>",
        "Sender address: news@example.com",
        "Cc: ann@example.net, lee@example.net",
        "发件人：news@example.com",
    ],
)
def test_a_quoted_header_names_others_too(others: str) -> None:
    text = f"It failed.\n\n{others}\nTo: Kat <kat@example.org>, Mo Li <mo@example.org>\n"
    assert Prose(text).recipients() == ["kat@example.org", "mo@example.org"]


def test_words_between_commas_do_not_make_a_list() -> None:
    prose = Prose("Could not deliver to kat@example.org, which Joe <joe@example.com> owns.")
    assert prose.recipients() == ["kat@example.org"]


def test_what_follows_a_long_list_is_about_each_of_it() -> None:
    listed = ", ".join(f"user{number}@example.org" for number in range(1000))
    prose = Prose(f"Failed recipients: {listed}\n550 No such user")
    found = prose.recipients()
    replies = [prose.reply_about(address, found) for address in found]
    assert len(found) == 500
    assert {reply.code for reply in replies if reply} == {550}
    assert None not in replies


@pytest.mark.parametrize(
    "signature",
    [
        "If you need assistance:\n\n    <support@example.org>\n",
        "Fragen? Unser Support hilft:\n  hilfe@example.org  |  Tel. 02151 / 555 010\nGute Zeit!\n",
        "Zespół poczty\npomoc@example.org\n",
        "Queries to\nmailsecurity@example.org.\n",
    ],
)
def test_who_signs_a_report_is_no_recipient(signature: str) -> None:
    text = f"Not delivered:\n\n  kat@example.org\n    Mailbox full\n\n{signature}"
    assert Prose(text).recipients() == ["kat@example.org"]


@pytest.mark.parametrize(
    "said",
    [
        "\n    Unknown user\n",
        ": 550 5.1.1 no such user\n",
        "\n550 no such user\n",
        " (no such user)\n",
    ],
)
def test_support_can_be_a_recipient_as_well_as_anybody(said: str) -> None:
    text = f"Not delivered:\n\n  kat@example.org{said}\n  support@example.net{said}"
    assert Prose(text).recipients() == ["kat@example.org", "support@example.net"]


@pytest.mark.parametrize(
    "given",
    [
        "The new address is:\n\n    mo@example.net\n",
        "Bitte verwenden Sie künftig: mo@example.net",
        "Sa nouvelle adresse : mo@example.net",
        "新しいアドレス：mo@example.net",
    ],
)
def test_a_new_address_is_no_recipient(given: str) -> None:
    text = f"Your mail to\n\n   kat@example.org\n\nwas not delivered. {given}"
    assert Prose(text).recipients() == ["kat@example.org"]
    assert Prose(f"This address has changed.\n\n{given}").recipients() == []


@pytest.mark.parametrize(
    "label",
    ["Reason: ", "Grund   : ", "Reason ....... ", "Raison      ", "理由：", "* Error:\n   "],
)
def test_the_reason_stands_behind_its_label(label: str) -> None:
    reason = f"{label}The mailbox is full."
    for text in (
        f"Sorry.\n\n{reason}\n\nTo: kat@example.org\nPlease write again.\n",
        f"To: kat@example.org\nSubject: Offers\n{reason}\n\nYour friendly server\n",
    ):
        reply = Prose(text).reply_about("kat@example.org", ["kat@example.org"])
        assert reply is not None
        assert reply.text == "The mailbox is full."


def test_a_reason_before_several_is_said_of_those_of_whom_nothing_else_is() -> None:
    both = ["kat@example.org", "mo@example.net"]
    for text, expected in (
        (
            "kat@example.org\n mo@example.net\n\nIf you need help: help@example.com.",
            ["It failed.", "It failed."],
        ),
        ("kat@example.org\n\nmo@example.net: no such user", ["It failed.", "no such user"]),
        ("kat@example.org: no such user\n\nmo@example.net\n", ["no such user", None]),
    ):
        prose = Prose(f"Reason: It failed.\n\n{text}")
        told = [prose.reply_about(address, both) for address in both]
        assert [reply and reply.text for reply in told] == expected
