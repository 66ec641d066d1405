"""Reports that tests have read again, and a rule of an operator about one: written by hand."""

# It decides docs/examples/first-bounce.eml.
OWN_RULE = """
[[rule]]
id = "own.gone"
category = "recipient_moved"
pattern = "there is no such user here"
examples = ["550 5.1.1 there is no such user here"]
source = "our own postmaster"
"""

_DSN = """\
From: MAILER-DAEMON@mx.receiver.example
To: bounce@bounces.example.com
Subject: Undelivered Mail Returned to Sender
Date: Sun, 01 Mar 2026 12:00:00 +0000
Message-ID: <{number}@mx.receiver.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="frontier"

--frontier
Content-Type: text/plain; charset=us-ascii

Your message could not be delivered.

--frontier
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.receiver.example

{groups}
--frontier
Content-Type: text/rfc822-headers

From: News <news@example.com>
Subject: What is new

--frontier--
"""
_GROUP = """\
Final-Recipient: rfc822; {recipient}
Action: failed
Status: 5.0.0
Remote-MTA: dns; in.receiver.example
Diagnostic-Code: smtp; 550 {words}
"""


def bounce(words: str, *recipients: str, number: int = 0) -> bytes:
    """A delivery status notification: every recipient was refused with these words."""
    groups = "\n".join(_GROUP.format(recipient=r, words=words) for r in recipients)
    return _DSN.format(groups=groups, number=number).encode()
