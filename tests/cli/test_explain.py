"""`bouncer explain` and `bouncer check-rules`."""

import json
from pathlib import Path

from tests.cli.test_commands import run
from tests.letters import OWN_RULE

EXAMPLE = Path(__file__).parents[2] / "docs/examples/first-bounce.eml"


def test_a_message_is_explained_step_by_step(tmp_path: Path) -> None:
    explained = json.loads(run("explain", EXAMPLE, folder=tmp_path).stdout)
    (one,) = explained["events"]
    assert (explained["format"], one["event"]["category"]) == ("dsn", "recipient_unknown")
    assert one["evidence"]["reply_code"] == 550
    assert one["evidence"]["words_from"] == "diagnostic-code"
    assert {"name": "status", "value": "5.1.1", "believed": True} in one["evidence"]["fields"]
    shown = run("explain", "--format", "table", EXAMPLE, folder=tmp_path).stdout
    assert "gone@receiver.example" in shown
    assert f"decided   {one['rules'][0]['id']}" in shown


CONTRADICTION = """\
From: MAILER-DAEMON@mx.example.net
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: X400; /S=mia/O=receiver/
Original-Recipient: rfc822; mia@receiver.example
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.0.0 something failed
X-Supplementary-Info: <mx.receiver.example #5.2.2 smtp;552 5.2.2 mailbox over quota>
--b--
"""


def test_what_was_not_believed_is_shown_too(tmp_path: Path) -> None:
    (tmp_path / "one.eml").write_text(CONTRADICTION)
    explained = json.loads(run("explain", "one.eml", folder=tmp_path).stdout)
    (one,) = explained["events"]
    fields = {f["name"]: f["believed"] for f in one["evidence"]["fields"]}
    assert fields == {
        "final-recipient": False,
        "original-recipient": True,
        "status": False,
        "diagnostic-code": False,
        "x-supplementary-info": True,
    }
    assert (one["event"]["status"], one["event"]["smtp_code"]) == ("5.2.2", 552)
    assert one["evidence"]["words_from"] == "x-supplementary-info"
    assert one["evidence"]["provider_by"] == "nothing: no known name or word"
    shown = run("explain", "--format", "table", "one.eml", folder=tmp_path).stdout
    assert "status: 5.1.1  not believed" in shown


def test_of_an_mbox_the_first_message_is_explained_and_the_rest_mentioned(tmp_path: Path) -> None:
    line = "From MAILER-DAEMON Thu Jan  1 00:00:00 2026\n"
    (tmp_path / "two.mbox").write_text(f"{line}{CONTRADICTION}\n{line}{CONTRADICTION}")
    done = run("explain", "two.mbox", folder=tmp_path)
    assert done.returncode == 0
    assert done.stderr == "bouncer: two.mbox: the first of several messages; classify reads all\n"


def test_a_directory_is_called_one(tmp_path: Path) -> None:
    done = run("explain", tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"bouncer: {tmp_path}: this is a directory: name one message\n"


def test_an_operators_rule_decides_before_ours(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/own.toml").write_text(OWN_RULE)
    directories = json.dumps([str(tmp_path / "rules")])
    environ = {"BOUNCER__RULES__DIRECTORIES": directories}
    explained = json.loads(run("explain", EXAMPLE, folder=tmp_path, environ=environ).stdout)
    (one,) = explained["events"]
    assert (one["event"]["rule"], one["event"]["category"]) == ("own.gone", "recipient_moved")
    assert run("check-rules", folder=tmp_path, environ=environ).returncode == 0
    classified = run("classify", "--format", "jsonl", EXAMPLE, folder=tmp_path, environ=environ)
    assert json.loads(classified.stdout)["events"][0]["rule"] == "own.gone"


def test_the_faults_of_a_rule_file_are_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN_RULE.replace("recipient_moved", "gone_away"))
    done = run("check-rules", path, folder=tmp_path)
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert "category" in done.stderr
    path.write_text(OWN_RULE.replace('there is no such user here"]', 'welcome"]'))
    done = run("check-rules", path, folder=tmp_path)
    assert (done.returncode, "own.gone" in done.stderr) == (1, True)


def test_our_own_rules_have_no_fault(tmp_path: Path) -> None:
    done = run("check-rules", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "the packaged rules: no fault\n")
