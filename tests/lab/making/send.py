"""One message a case through the mail server under test."""

import smtplib
from collections.abc import Sequence

HOST = "mx.sender.example"


def send(
    case: str,
    *recipients: str,
    options: Sequence[str] = (),
    recipient_options: Sequence[str] = (),
    size: int = 0,
    utf8: bool = False,
    domain: str = "receiver.example",
) -> None:
    """The envelope sender names the case, so that a report names it too."""
    to = [name if "@" in name else f"{name}@{domain}" for name in recipients or (case,)]
    text = (
        "From: News <news@sender.example>\r\n"
        f"To: {', '.join(to)}\r\n"
        f"Subject: Case {case}\r\n"
        "Date: Sun, 01 Nov 2026 10:00:00 +0000\r\n"
        f"Message-ID: <{case}@sender.example>\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\n"
        "Hello, this is the newsletter.\r\n" + "Lorem ipsum dolor sit amet.\r\n" * (size // 28)
    )
    try:
        with smtplib.SMTP(HOST, 25, local_hostname="app.sender.example") as door:
            door.ehlo()
            mail = list(options) + (["SMTPUTF8", "BODY=8BITMIME"] if utf8 else [])
            sender = f"bounces+{case}@bounces.example"
            door.sendmail(sender, to, text.encode(), mail, list(recipient_options))
    except smtplib.SMTPException as error:
        print(case, type(error).__name__, error, flush=True)


def main() -> None:
    for case in (
        "nouser",
        "gmail",
        "full",
        "disabled",
        "zen",
        "dmarc",
        "greylist",
        "softfull",
        "plain",
        "badsender",
        "s3150",
        "relay",
        "access",
        "spam",
        "virus",
        "dataplain",
    ):
        send(case)
    send("ratelimit", domain="limited.example")
    send("mailtoobig", "reader")
    send("sizelimit", "reader", domain="small.example", size=3000)
    send("refused", "reader", domain="closed.example")
    send("greeting", "reader", domain="banner.example")
    send("busy", "reader", domain="busy.example")
    send("rude", "reader", domain="rude.example")
    send("nxdomain", "reader", domain="gone.example")
    send("nullmx", "reader", domain="nullmx.example")
    send("three", "nouser", "full", "reader")
    send("mixed", "nouser", "zen", "greylist")
    both = ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;alias@elsewhere.example"]
    asked = ["RET=HDRS", "ENVID=campaign-7"]
    send("relayed", "reader", options=asked, recipient_options=both)
    send("relayedfailed", "nouser", options=asked, recipient_options=both)
    send("delivered", "local@sender.example", options=asked, recipient_options=both)
    send("expanded", "team@sender.example", options=asked, recipient_options=both)
    send("utf8", "nouser+ü@receiver.example", utf8=True)
    send("utf8unsupported", "ü@ascii.example", utf8=True)


if __name__ == "__main__":
    main()
