"""What the README promises for the first five minutes, with swaks as its reader has it."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.bouncer import Bouncer, running, wait_until

EXAMPLE = Path(__file__).parents[2] / "docs/examples/first-bounce.eml"


def test_a_first_bounce_is_an_event_a_counter_and_a_suppression(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    if shutil.which("swaks") is None:
        pytest.skip("swaks is missing: install the Debian package swaks")
    with running(Bouncer(tmp_path, free_port(), free_port(), {})) as bouncer:
        done = subprocess.run(
            [
                "swaks", "--server", f"127.0.0.1:{bouncer.smtp_port}", "--from", "<>",
                "--to", "first@bounces.example.com", "--data", f"@{EXAMPLE}",
            ],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        assert "250 2.0.0 Kept as" in done.stdout
        wait_until(bouncer.events, seconds=10)
        (event,) = bouncer.events()
        assert (event["class"], event["category"]) == ("hard", "recipient_unknown")
        assert (event["recipient"], event["status"]) == ("gone@receiver.example", "5.1.1")
        suppressed = bouncer.http.get("/v1/suppressions/gone@receiver.example")
        assert suppressed.json()["events"] == [event["id"]]
        assert (
            bouncer.metric(
                'bouncer_events_total{category="recipient_unknown",class="hard",kind="bounce",'
                'provider="other",sending_domain="none"}'
            )
            == 1
        )
        raw = bouncer.http.get(f"/v1/events/{event['id']}/raw")
        # swaks ends what it sends with an empty line
        assert raw.content.replace(b"\r\n", b"\n").rstrip() == EXAMPLE.read_bytes().rstrip()
        assert bouncer.stop() == 0


def test_the_store_is_there_from_the_shell_while_the_service_runs(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with running(Bouncer(tmp_path, free_port(), free_port(), {})) as bouncer:
        _command(bouncer, "suppressions", "add", "Someone@Example.org")
        answer = bouncer.http.get("/v1/suppressions/someone@example.org").json()
        assert (answer["reason"], answer["source"]) == ("manual", "cli")
        checked = _command(bouncer, "suppressions", "check", "someone@example.org", status=1)
        assert '"address": "someone@example.org"' in checked
        _command(bouncer, "suppressions", "remove", "someone@example.org")
        assert bouncer.http.get("/v1/suppressions/someone@example.org").status_code == 404
        assert _command(bouncer, "events", "list") == "[]\n"


def test_a_second_service_on_the_same_sqlite_file_is_refused(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with running(Bouncer(tmp_path, free_port(), free_port(), {})) as bouncer:
        done = subprocess.run(
            [sys.executable, "-m", "bouncer", "serve", "-c", str(bouncer.config_file)],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 2
        assert "another bouncer" in done.stderr
        assert "Traceback" not in done.stderr


def _command(bouncer: Bouncer, *arguments: str, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bouncer", *arguments, "--config", str(bouncer.config_file)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done.stdout
