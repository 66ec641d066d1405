"""The remote server's words: code, status, text and host, and which of several replies wins."""

import pytest

from bouncer.mail.reply import MAX_TEXT_BYTES, Command, reply_from


@pytest.mark.parametrize(
    ("words", "code", "status"),
    [
        ("550 5.1.1 <a@b.example>... User unknown", 550, "5.1.1"),
        ("550 no such user (#5.1.1)", 550, "5.1.1"),
        ("550 #5.1.0 Address rejected", 550, "5.1.0"),
        ("550: 5.2.2 full", 550, "5.2.2"),
        ("550 550 5.1.1 user unknown", 550, "5.1.1"),
        ("5.2.1 disabled", None, "5.2.1"),
        ("mailbox unavailable. [SMTP Error Code 550]", 550, None),
        ("Invalid Address, ERROR_CODE :550, ERROR_CODE :5.1.1 gone", 550, "5.1.1"),
        ("[Status: Error, Address: <a@b.example>, ResponseCode 421, , Host]", 421, None),
        ("host 192.0.2.5 said: 452 4.3.1 full", 452, "4.3.1"),
        ("Could not deliver for the last 432000 seconds", None, None),
        ("message of 512 KB sent in 2026 from 192.0.2.550", None, None),
        ("version 4.8.5.36 of the server", None, None),
        ("<<< 503 5.5.1 Need RCPT <<< 550 5.7.1 Rejected", 550, "5.7.1"),
        ("421 4.4.2 lost it; then said: 550 5.1.1 unknown", 550, "5.1.1"),
        ("554 4.4.7 Message expired: 840 minutes.<421 4.4.0 no DNS>", 421, "4.4.0"),
        ("554 <a@b.example>... 550 Host unknown", 550, None),
        ("250 2.1.5 Ok", 250, "2.1.5"),
        ("605 Not delivering to previously bounced address", 605, None),
        ("620-1 Elm Street is no reply", None, None),
        ("<<< 550 No such user <<< 554 5.0.0 Service unavailable", 550, "5.0.0"),
        ("5.1.0 - Unknown address error 550-'No such user'", 550, "5.1.0"),
        ("The reason: 5.1.0 - Unknown address error 550-'No such user'", 550, "5.1.0"),
        ("550 5.0.350 Remote server returned an error -> 550 5.1.1 no such user", 550, "5.1.1"),
        ("connect to mx.b.example[192.0.2.55]:587: No route to host", None, None),
        ("Mailbox full: 550 MB used of 500 MB", None, None),
        ("Questions: call 555-1234", None, None),
        ("a@b.example — 550 No such user", 550, None),
        ("503 5.5.1 bad sequence; 550 5.1.1 user unknown", 550, "5.1.1"),
        ("554 5.5.1 no valid recipients; 550 5.1.1 user unknown", 550, "5.1.1"),
        ("502 5.5.2 not implemented", 502, "5.5.2"),
        ("550 User unknown. host b said: 450 4.2.0 greylisted", 550, None),
        ("connect to mx.b.example[2001:db8:550:1::2]:25: Connection refused", None, None),
        ("mx.b.example[2001:db8:451::2] said: 550 5.1.1 no", 550, "5.1.1"),
    ],
)
def test_code_and_status_are_those_that_stand_in_the_words(
    words: str, code: int | None, status: str | None
) -> None:
    reply = reply_from(words)
    assert reply is not None
    assert (reply.code, reply.status) == (code, status)


def test_a_reply_of_many_lines_is_one_line() -> None:
    reply = reply_from("550-5.7.26 Not\n  authenticated\n550-5.7.26 at all,\n550 5.7.26 sorry")
    assert reply is not None
    assert reply.text == "550 5.7.26 Not authenticated at all, sorry"
    reply = reply_from("550-mx says\n550-line two\n550 5.7.1 line three")
    assert reply is not None
    assert (reply.text, reply.status) == ("550 mx says line two line three", "5.7.1")


@pytest.mark.parametrize(
    ("words", "text", "host"),
    [
        ("host mx.b.example[192.0.2.1] said: 550 5.1.1 no", "550 5.1.1 no", "mx.b.example"),
        (
            "SMTP error from remote mail server after end of data: host mx.b.example [::1]: 550 no",
            "550 no",
            "mx.b.example",
        ),
        ("192.0.2.9 does not like recipient. Remote host said: 550 no", "550 no", "192.0.2.9"),
        ("rejected by mx.b.example. [192.0.2.1]. It said: 550 no", "550 no", "mx.b.example"),
    ],
)
def test_what_introduces_the_words_is_cut_and_the_host_kept(
    words: str, text: str, host: str
) -> None:
    reply = reply_from(words)
    assert reply is not None
    assert (reply.text, reply.host) == (text, host)


def test_the_host_that_is_told_wins() -> None:
    reply = reply_from("host mx.b.example said: 550 no", host="mta.example")
    assert reply is not None
    assert reply.host == "mta.example"


def test_words_are_kept_to_their_limit() -> None:
    reply = reply_from("550 " + "é" * 20_000)
    assert reply is not None
    assert MAX_TEXT_BYTES - 2 <= len(reply.text.encode()) <= MAX_TEXT_BYTES


@pytest.mark.parametrize("nothing", ["", " \r\n\t", "\x00"])
def test_nothing_is_no_reply(nothing: str) -> None:
    assert reply_from(nothing) is None


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("550 no such user (in reply to RCPT TO command)", Command.RCPT),
        ("554 spam (in reply to end of DATA command)", Command.DATA),
        ("554 no (in reply to MAIL FROM command)", Command.MAIL),
        ("SMTP error from remote mail server after MAIL FROM:<a@b.example>: 553 no", Command.MAIL),
        ("SMTP error from remote mail server after end of data: 550 spam", Command.DATA),
        ("SMTP error from remote mail server after pipelined RCPT TO:<x>: 550 no", Command.RCPT),
        ("SMTP error from remote mail server after initial connection: 554 no", Command.CONNECT),
        (">>> MAIL From:<a@b.example> <<< 501 bad sender", Command.MAIL),
        ("mx does not like recipient. Remote host said: 550 no", Command.RCPT),
        ("mx failed after I sent the message. Remote host said: 554 no", Command.DATA),
        ("after data came, 550 no such user", None),
        ("550 no such user", None),
    ],
)
def test_the_command_that_was_refused_is_the_one_the_report_names(
    words: str, command: Command | None
) -> None:
    reply = reply_from(words)
    assert reply is not None
    assert reply.command is command
