"""`bouncer classify`: files, trees, Maildirs, mboxes, standard input."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = (Path(__file__).parents[2] / "docs/examples/first-bounce.eml").read_bytes()
LETTER = b"From: a@example.com\nTo: b@example.org\nSubject: Lunch\n\nAt noon?\n"
SEPARATOR = b"From MAILER-DAEMON Sun Mar  1 12:00:00 2026\n"


def classify(*paths: str | Path, status: int = 0, stdin: bytes = b"") -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "bouncer", "classify", "--format", "jsonl", *map(str, paths)],
        input=stdin,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == status, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_file_is_one_object_with_its_path_as_given(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(EXAMPLE)
    (answer,) = classify(tmp_path / "a.eml")
    assert answer["path"] == f"{tmp_path}/a.eml"
    assert (answer["format"], answer["error"]) == ("dsn", None)
    (event,) = answer["events"]
    assert (event["kind"], event["class"]) == ("bounce", "hard")
    assert (event["category"], event["fix_owner"]) == ("recipient_unknown", "list")
    assert (event["recipient"], event["smtp_code"]) == ("gone@receiver.example", 550)
    assert event["message_id"] == "march-4711@example.com"


def test_a_tree_is_read_in_order_and_twice_the_same(tmp_path: Path) -> None:
    for name in ("b/2.eml", "a/1.eml", "b/c/3.eml", ".hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(EXAMPLE if name != "b/2.eml" else LETTER)
    answers = classify(tmp_path)
    names = [str(Path(a["path"]).relative_to(tmp_path)) for a in answers]
    assert names == ["a/1.eml", "b/2.eml", "b/c/3.eml"]
    assert [a["events"][0]["kind"] for a in answers] == ["bounce", "unrecognised", "bounce"]
    assert classify(tmp_path) == answers


def test_of_a_maildir_only_what_was_delivered_is_read(tmp_path: Path) -> None:
    for folder in ("cur", "new", "tmp"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"1.{folder}").write_bytes(EXAMPLE)
    (tmp_path / "dovecot.index").write_bytes(b"\0")
    names = [Path(a["path"]).name for a in classify(tmp_path)]
    assert names == ["1.cur", "1.new"]


def test_each_message_of_an_mbox_has_a_number(tmp_path: Path) -> None:
    mbox = SEPARATOR + EXAMPLE + b"\n" + SEPARATOR + LETTER + b"\n"
    (tmp_path / "box").write_bytes(mbox)
    answers = classify(tmp_path / "box")
    assert [a["path"].rpartition("/")[2] for a in answers] == ["box#1", "box#2"]
    assert [a["events"][0]["kind"] for a in answers] == ["bounce", "unrecognised"]


def test_what_is_named_eml_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "two.eml").write_bytes(SEPARATOR + EXAMPLE + b"\n" + SEPARATOR + LETTER + b"\n")
    (answer,) = classify(tmp_path)
    assert answer["path"].endswith("/two.eml")


def test_one_message_with_a_separator_is_no_mbox(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(SEPARATOR + EXAMPLE)
    (answer,) = classify(tmp_path / "one")
    assert answer["path"].endswith("/one")


def test_a_name_that_is_no_utf8_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/n\xff.eml")).write_bytes(EXAMPLE)
    (answer,) = classify(tmp_path)
    assert answer["path"] == f"{tmp_path}/n\ufffd.eml"


def test_standard_input_is_a_dash() -> None:
    (answer,) = classify("-", stdin=EXAMPLE)
    assert (answer["path"], answer["format"]) == ("-", "dsn")


def test_a_file_that_cannot_be_read_is_said_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "1.eml").symlink_to(tmp_path / "1.eml")
    (tmp_path / "2.eml").write_bytes(EXAMPLE)
    (tmp_path / "3.eml").write_bytes(b"")
    os.mkfifo(tmp_path / "4.eml")
    answers = classify(tmp_path, status=1)
    assert [a["error"] for a in answers] == ["Too many levels of symbolic links", None, None]
    kinds = [[e["kind"] for e in a["events"]] for a in answers]
    assert kinds == [[], ["bounce"], ["unrecognised"]]


def test_a_missing_path_is_a_wrong_call(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bouncer", "classify", str(tmp_path / "nowhere")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr == f"bouncer: {tmp_path}/nowhere: there is no such file\n"


@pytest.mark.parametrize("octets", [b"\0" * 100, b"\xff\xfe" * 50, b"From " * 1000, b":\n" * 500])
def test_whatever_it_is_given_the_answer_is_json(octets: bytes) -> None:
    (answer,) = classify("-", stdin=octets)
    assert answer["events"][0]["kind"] == "unrecognised"
