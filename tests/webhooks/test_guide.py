"""docs/webhooks.md: what it shows works, and what it lists is what there is."""

import asyncio
import re
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook

from bouncer.config import WebhookEndpoint
from bouncer.events import TYPES
from bouncer.records import DeliveryState
from bouncer.webhooks.retry import Outcome
from tests.webhooks.outbox import BODY, MemoryOutbox, delivery
from tests.webhooks.receiver import SECRET
from tests.webhooks.running import SOON, delivering, endpoint

GUIDE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()


def example(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    return str(found)


async def test_the_python_receiver_verifies_what_is_sent_and_takes_it_once(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    script = tmp_path / "receiver.py"
    script.write_text(example("python"))
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        env={"WEBHOOK_SECRET": SECRET, "PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        hook = endpoint(f"http://127.0.0.1:{port}/hook", SOON * 2000)  # until it listens
        for _ in range(2):
            outbox = MemoryOutbox(delivery())
            async with delivering(outbox, hook):
                (done,) = await outbox.finished()
            assert done.state is DeliveryState.DELIVERED
        forged = hook.model_copy(update={"secret": hook.secret.__class__("whsec_" + "A" * 44)})
        outbox = MemoryOutbox(delivery(2))
        async with delivering(outbox, forged):
            (refused, *_) = await outbox.results(1)
        assert refused.last_status == 401
    finally:
        process.terminate()
        out, _ = await process.communicate()
    assert out.decode() == "webhook.test {'endpoint': 'ops'}\n"


@pytest.mark.parametrize(
    ("change", "status"), [("", 0), ("body", 1), ("id", 1), ("timestamp", 1), ("secret", 1)]
)
async def test_the_shell_example_tells_a_good_signature_from_a_bad_one(
    tmp_path: Path, change: str, status: int
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing: install the Debian package openssl")
    script = tmp_path / "verify.sh"
    script.write_text(example("sh"))
    now = datetime.now(UTC)
    signature = Webhook(SECRET).sign("msg_1", now, BODY)
    stamp = int(now.timestamp()) - (1 if change == "timestamp" else 0)
    identity = "msg_2" if change == "id" else "msg_1"
    process = await asyncio.create_subprocess_exec(
        "sh",
        str(script),
        identity,
        str(stamp),
        f"v1,c29tZXRoaW5n {signature}",
        env={
            "WEBHOOK_SECRET": SECRET if change != "secret" else "whsec_" + "A" * 44,
            "PATH": "/usr/local/bin:/usr/bin:/bin",
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    body = BODY + " " if change == "body" else BODY
    out, _ = await process.communicate(body.encode())
    assert process.returncode == status
    assert out.decode() == ("" if status else "signed with this secret\n")


async def test_the_shell_example_refuses_an_old_signature(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing: install the Debian package openssl")
    script = tmp_path / "verify.sh"
    script.write_text(example("sh"))
    old = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    process = await asyncio.create_subprocess_exec(
        "sh",
        str(script),
        "msg_1",
        str(int(old.timestamp())),
        Webhook(SECRET).sign("msg_1", old, BODY),
        env={"WEBHOOK_SECRET": SECRET, "PATH": "/usr/local/bin:/usr/bin:/bin"},
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate(BODY.encode())
    assert process.returncode == 1
    assert b"5 minutes" in err


def test_the_guide_lists_the_types_that_there_are() -> None:
    listed = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \|", GUIDE, re.MULTILINE)
    assert listed == [t.model_fields["type"].default for t in TYPES]


def test_the_guide_names_the_outcomes_and_the_default_schedule() -> None:
    text = " ".join(GUIDE.split())
    assert all(f"`{outcome.value}`" in text for outcome in Outcome)
    told = "5 seconds, 5 minutes, 30 minutes, 2, 5, 10, 14, 20 and 24 hours"
    assert told in text
    schedule = WebhookEndpoint.model_fields["retry_schedule"].default
    hours = [2, 5, 10, 14, 20, 24]
    assert [int(s.total_seconds()) for s in schedule] == [5, 300, 1800, *(h * 3600 for h in hours)]
