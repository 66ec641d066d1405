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
