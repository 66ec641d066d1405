"""Transcripts of sessions: each answer belongs to one recipient."""

from bouncer.mail.reply import Command
from bouncer.reports.transcript import replies_in

_SESSION = """
   ----- Transcript of session follows -----
... while talking to mx.example.org.:
>>> RCPT To:<ada@example.org>
<<< 550-5.1.1 Nobody of that name
<<< 550 5.1.1 lives here
550 5.1.1 <ada@example.org>... User unknown
>>> DATA
<<< 554 5.7.1 No parcels
554 5.0.0 <bob@example.org>... Service unavailable
550 5.1.2 <cy@gone.example>... Host unknown (Name server: gone.example.: host not found)
dan... Deferred: Connection refused by mx.example.net.
"""


def test_an_answer_to_rcpt_is_about_the_recipient_of_the_command() -> None:
    reply = replies_in(_SESSION)["ada@example.org"]
    assert (reply.code, reply.status, reply.command) == (550, "5.1.1", Command.RCPT)
    assert (reply.text, reply.host) == (
        "550 5.1.1 Nobody of that name lives here",
        "mx.example.org",
    )


def test_an_answer_to_data_is_about_the_recipient_named_behind_it() -> None:
    reply = replies_in(_SESSION)["bob@example.org"]
    assert (reply.text, reply.command) == ("554 5.7.1 No parcels", Command.DATA)


def test_without_an_answer_the_reporters_words_count() -> None:
    told = replies_in(_SESSION)
    assert told["cy@gone.example"].text.startswith("550 5.1.2 <cy@gone.example>... Host unknown")
    assert told["cy@gone.example"].command is None
    assert told["dan"].text == "Deferred: Connection refused by mx.example.net."


def test_a_text_without_a_session_has_none() -> None:
    assert replies_in("550 5.1.1 <ada@example.org>... User unknown") == {}


def test_client_and_server_may_be_letters() -> None:
    session = "C: RCPT TO:<ada@example.org>\nS: 551 User not local; try <eve@example.net>\n"
    told = replies_in(session)
    assert (told["ada@example.org"].code, list(told)) == (551, ["ada@example.org"])
