"""What a report for people says, and of whom: nobody is dead for what was said of another."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bouncer.classify import rules
from bouncer.classify.category import BounceClass
from bouncer.events import Event, Source
from bouncer.reading import Arrival, read_arrival
from bouncer.reports.report import Kind

RULES = rules.load()
ARRIVAL = Arrival("0", "", Source.FILE, datetime(2026, 3, 1, tzinfo=UTC))
DAEMON = "Mail Delivery System <mailer-daemon@isp.example>"


def events_of(
    body: str,
    *,
    subject: str = "Undelivered Mail Returned to Sender",
    author: str = DAEMON,
    path: str = "<>",
    to: str = "news@shop.example",
) -> tuple[Event, ...]:
    header = f"Return-Path: {path}\nFrom: {author}\nTo: {to}\nSubject: {subject}\n"
    mime = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
    return read_arrival(f"{header}{mime}\n{body}\n".encode(), ARRIVAL, {}, RULES).events


@pytest.mark.parametrize(
    "body",
    [
        (
            "Please check the address, or use the new address list.\n\nuser@x.example\n\n"
            "550 5.1.1 RESOLVER.ADR.RecipNotFound"
        ),
        (
            "For help please use the address below or our site.\n\n  user@x.example\n\n"
            "550 5.1.1 User unknown"
        ),
        "Please check that this is the correct address:\n\n  user@x.example\n\nUser unknown.",
        "Das Postfach ist ab sofort geschlossen.\n\nuser@x.example: 550 5.1.1 unbekannt",
        "Para ayuda utilice la web. Destinatario: user@x.example: usuario desconocido",
        "<user@x.example>: 550 5.1.1 User unknown\n\nHis new address is not user@x.example",
        "Not delivered to user@x.example: user unknown.\n\nFragen an: info@isp.example",
        "Not delivered to user@x.example: user unknown.\n\nMail an: support@isp.example",
    ],
)
def test_who_failed_is_found_beside_other_addresses_and_advice(body: str) -> None:
    (event,) = events_of(body)
    assert (event.recipient, event.class_) == ("user@x.example", BounceClass.HARD)


@pytest.mark.parametrize(
    "body",
    [
        "Bob has left and this address is no longer in use. For sales turn to:\n\nann@x.example",
        "This account is closed. Your mail was passed on to ann@x.example",
        "Das Postfach wurde geschlossen. Ihre Nachricht wurde weitergeleitet an ann@x.example",
        "Esta cuenta está desactivada. Para su mensaje escriba a la dirección:\n\nann@x.example",
        "The account bob@corp.example has been disabled after 5 failed logins.",
        "Your password for user ann@corp.example has expired and the account is locked.",
        "The address ann@corp.example has unsubscribed from your newsletter.",
        "mail for user ann@corp.example: mailbox not found",
    ],
)
@pytest.mark.parametrize("author", ["Corp <corp@corp.example>", "postmaster@corp.example"])
def test_a_program_that_names_somebody_does_not_kill_them(body: str, author: str) -> None:
    for event in events_of(body, subject="Hello", author=author):
        assert event.kind is not Kind.BOUNCE
        assert event.class_ is not BounceClass.HARD


@pytest.mark.parametrize(
    "supposed",
    [
        "This happens when the recipient address does not exist.",
        "In most cases the mailbox does not exist.",
        "Common reasons for bounces:\n\n * The mailbox does not exist\n * The mailbox is full",
        "Q: What does 5.1.1 mean?\nA: The user does not exist.",
        "Subject: User unknown - how we fixed it",
    ],
)
def test_what_stands_beside_a_reply_is_not_what_the_server_said(supposed: str) -> None:
    reply = "<user@x.example>: host mx said: 550 Zork frobnicated (in reply to RCPT TO command)"
    (event,) = events_of(f"{reply}\n\n{supposed}")
    assert event.class_ is BounceClass.SOFT


@pytest.mark.parametrize("asked", ["Fragen an: info@isp.example", "Mail an: help@isp.example"])
def test_the_rest_of_a_report_may_say_why_but_not_of_whom(asked: str) -> None:
    (event,) = events_of(f"Ihre Mail wurde nicht zugestellt: Empfänger unbekannt.\n\n{asked}")
    assert event.class_ is BounceClass.SOFT


@pytest.mark.parametrize(
    "subject",
    [
        "Undeliverable: mail of user news@shop.example",
        "news@shop.example: your message could not be delivered",
        "Mail to news@shop.example from bob@x.example: delivery failed",
    ],
)
def test_the_returned_mail_knows_better_than_the_subject(subject: str) -> None:
    returned = "--- original message ---\nFrom: news@shop.example\nTo: bob@x.example\n"
    body = f"Your mail could not be delivered: user unknown.\n\n{returned}"
    (event,) = events_of(body, subject=subject, to="bounces+77@shop.example")
    assert event.recipient == "bob@x.example"


@pytest.mark.parametrize(
    "body",
    [
        (
            "Error: no such user\n\na@x.example: please try later, mailbox is full\n"
            "b@x.example: unable to deliver, connection timed out\n"
            "c@x.example: delivery attempts are delayed by greylisting"
        ),
        (
            "Reason: the user does not exist\n\na@x.example: This message exceeds the size limit\n"
            "b@x.example: your message looks like spam"
        ),
    ],
)
def test_what_is_said_of_each_counts_more_than_what_is_said_of_all(body: str) -> None:
    assert {event.class_ for event in events_of(body)} == {BounceClass.SOFT}


@pytest.mark.parametrize(
    ("body", "status", "class_"),
    [
        ("<user@x.example>\nStatus: 5.1.1\nError: delivery failed", "5.1.1", BounceClass.HARD),
        ("user@x.example: #5.1.1\n\nError: the server had a problem", "5.1.1", BounceClass.HARD),
        (
            "Your mail to user@x.example could not be delivered: user unknown.\n\nReason: 1234 x",
            None,
            BounceClass.HARD,
        ),
    ],
)
def test_a_label_hides_nothing(body: str, status: str | None, class_: BounceClass) -> None:
    (event,) = events_of(body)
    assert (event.status, event.class_) == (status, class_)


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        (
            "Zustellung verzögert",
            (
                "Ihre Nachricht an user@x.example konnte noch nicht zugestellt werden: Domain nicht"
                " gefunden. Nach 5 Tagen wird die Nachricht endgültig zurückgesandt."
            ),
        ),
        ("x", "您的邮件已延迟，无法投递。系统5天后放弃。\n\nuser@x.example: 用户不存在"),
        (
            "Aviso",
            (
                "Su mensaje se ha retrasado, se seguirá intentando 5 días antes del rechazo"
                " definitivo.\n\nuser@x.example: dominio no existe"
            ),
        ),
    ],
)
def test_that_somebody_will_give_up_is_a_delay(subject: str, body: str) -> None:
    (event,) = events_of(body, subject=subject)
    assert event.kind is Kind.DELAY


@pytest.mark.parametrize(
    "body",
    [
        "再試行しましたが、配信できませんでした。\n\nuser@x.example\nユーザーが存在しません。",
        "재시도했으나 전송 실패\n\nuser@x.example: 사용자가 존재하지 않습니다",
        "user@x.example: użytkownik nie istnieje. Kolejne próby nie będą podejmowane",
        "user@x.example: gebruiker bestaat niet. Er wordt geen nieuwe poging gedaan",
        "user@x.example: utente sconosciuto. Non verranno fatti ulteriori tentativi",
        "user@x.example: utilisateur inconnu. Il n'y aura pas de nouvelles tentatives",
        "user@x.example: 550 5.1.1 user unknown\n\nIf you are still trying to reach them, call.",
    ],
)
def test_that_nobody_tries_again_is_a_bounce(body: str) -> None:
    (event,) = events_of(body)
    assert (event.kind, event.class_) == (Kind.BOUNCE, BounceClass.HARD)


@pytest.mark.parametrize(
    "subject", ["Application was refused", "Email blocked", "Invoice not sent"]
)
def test_a_person_who_writes_of_an_account_is_no_server(subject: str) -> None:
    body = "Sorry, the account kim@partner.example does not exist."
    person = {"author": "Kim <kim@x.example>", "path": "<kim@x.example>"}
    (event,) = events_of(body, subject=subject, **person)
    assert event.kind is Kind.UNRECOGNISED


@pytest.mark.parametrize("author", ["noreply@isp.example", "postmaster@isp.example"])
def test_a_daemon_may_have_a_sender_of_its_own(author: str) -> None:
    named = f"Mail Delivery System <{author}>"
    (event,) = events_of(
        "Not delivered:\n\n  user@x.example\n    User unknown",
        subject="x",
        author=named,
        path=author,
    )
    assert event.class_ is BounceClass.HARD


@pytest.mark.parametrize(
    "said",
    [
        "550 mailbox is unavailable for technical reasons",
        "550 mailbox unavailable for a few minutes",
        "550 User not available for one hour",
        "550 Votre message au compte destinataire n'a pas été remis: la connexion a été fermée",
        "554 Le compte destinataire utilise un filtre strict et votre message a été supprimé",
        "554 5.4.7 - Delivery expired (message too old) 'timeout'",
        "521 5.2.1 :  (HVU:B1)  https://postmaster.aol.com/error-codes#554hvub1",
    ],
)
def test_what_is_no_word_about_the_mailbox_does_not_kill_it(said: str) -> None:
    (event,) = events_of(f"<user@aol.com>: host mx.aol.com said: {said}")
    assert event.class_ is BounceClass.SOFT


def test_the_owners_of_a_list_can_be_who_failed() -> None:
    (event,) = events_of("Not delivered:\n\n  birds-request@x.example\n    User unknown")
    assert event.recipient == "birds-request@x.example"


def test_whoever_forwards_mail_is_not_its_sender() -> None:
    said = b"You sent a mail to kat@b.example. The account was deactivated."
    mail = b"Return-Path: <>\nFrom: a@b.example\n\n" + said
    forwarded = replace(ARRIVAL, sender="SRS0=x=y=b.example=@forward.example")
    (event,) = read_arrival(mail, forwarded, {}, RULES).events
    assert event.recipient == "kat@b.example"


@pytest.mark.parametrize(
    "use",
    [
        "Please use:",
        "Please use the following address instead:",
        "Bitte verwenden Sie:",
        "Veuillez utiliser :",
        "Por favor utilice:",
        "Ab sofort:",
    ],
)
def test_whom_to_write_to_instead_has_not_failed(use: str) -> None:
    failed = "The recipient bob@x.example is unknown here: user unknown."
    (event,) = events_of(f"The mail could not be delivered. {failed}\n\n{use}\n\n  ann@x.example")
    assert (event.recipient, event.class_) == ("bob@x.example", BounceClass.HARD)


@pytest.mark.parametrize(
    "subject",
    ["Password reset", "Wartung der Anlage", "Voicemail from 123", "Your maintenance newsletter"],
)
@pytest.mark.parametrize(
    "said",
    [
        "<user@x.example>: host mx said: 550 5.1.1 User unknown (in reply to RCPT TO command)",
        "This message to you has been written by a program.\n\n<user@x.example>: 550 no such user",
        (
            "Your message\n  Subject: A mail to you was blocked\nhas failed.\n\n<user@x.example>:\n"
            "User unknown\n\n--- original message ---\nFrom: news@shop.example\n"
        ),
    ],
)
def test_a_notice_does_not_quote_a_server_or_return_mail(subject: str, said: str) -> None:
    (event,) = events_of(f"It could not be delivered.\n\n{said}", subject=subject)
    assert (event.recipient, event.class_) == ("user@x.example", BounceClass.HARD)


@pytest.mark.parametrize(
    ("body", "class_"),
    [
        ("user@x.example: no such user\nError: Message rejected", BounceClass.HARD),
        ("user@x.example\nUser unknown\n\nReason: delivery time expired", BounceClass.HARD),
        (
            (
                "user@x.example\n  message too large\n\nExplanation:\nThe user does not exist or"
                " the mailbox cannot take this size."
            ),
            BounceClass.SOFT,
        ),
        ("<user@x.example>: mailbox is full\n\nLegend:\nCause: user unknown", BounceClass.SOFT),
    ],
)
def test_own_words_about_the_mailbox_count_more_than_a_label(
    body: str, class_: BounceClass
) -> None:
    (event,) = events_of(f"Delivery failed:\n\n{body}")
    assert event.class_ is class_


@pytest.mark.parametrize(
    "body",
    [
        (
            "Reason: the user does not exist\nRecipient: a@x.example\n\nReason: mailbox full\n"
            "Recipient: b@x.example"
        ),
        "Reason: user unknown\n\n a@x.example\n\nReason: mailbox full\n\n b@x.example",
        "Error: User unknown\n\na@x.example\n\nThese are delayed:\n\nb@x.example",
    ],
)
def test_a_reason_is_not_said_of_those_behind_another(body: str) -> None:
    last = events_of(f"Delivery failed.\n\n{body}")[-1]
    assert (last.recipient, last.class_) == ("b@x.example", BounceClass.SOFT)


def test_each_of_two_is_told_though_one_is_the_reader() -> None:
    told = "<me@shop.example>:\nmailbox full (#5.2.2)\n\n<bob@x.example>:\nno mailbox here (#5.1.1)"
    events = events_of(told, to="me@shop.example")
    assert [event.recipient for event in events] == ["me@shop.example", "bob@x.example"]


def test_who_signs_with_a_telephone_is_no_recipient() -> None:
    body = "Your mail to bob@x.example was not delivered: user unknown.\n\nAnn Lee\nann@isp.example"
    (event,) = events_of(f"{body}     Tel. 0815")
    assert (event.recipient, event.class_) == ("bob@x.example", BounceClass.HARD)
