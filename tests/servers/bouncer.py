"""The real service, in a process of its own, as an operator starts it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml


class Bouncer:
    """`bouncer serve` with a configuration file, on free ports of 127.0.0.1."""

    program: tuple[str, ...] = ("-m", "bouncer")

    def __init__(
        self, folder: Path, smtp_port: int, http_port: int, config: dict[str, Any]
    ) -> None:
        self.folder = folder
        self.smtp_port = smtp_port
        self.url = f"http://127.0.0.1:{http_port}"
        self.http = httpx.Client(base_url=self.url, timeout=10)
        self._process: subprocess.Popen[bytes] | None = None
        settings: dict[str, Any] = {
            "store": {"url": f"sqlite:///{folder}/bouncer.db"},
            **config,
            "smtp": {
                "listen": [f"127.0.0.1:{smtp_port}"],
                "hostname": "mx.bounces.example.com",
                "drain_accept": "0s",
                "limits": {"connections_per_network": 500},
                **config.get("smtp", {}),
            },
            "api": {"listen": f"127.0.0.1:{http_port}", **config.get("api", {})},
            "log": {"format": "json", **config.get("log", {})},
        }
        self.config_file = folder / "bouncer.yaml"
        self.config_file.write_text(yaml.safe_dump(settings))
        self.log_file = folder / "bouncer.log"

    def start(self, *arguments: str, under: Sequence[str] = ()) -> None:
        """Starts it and waits until it is ready."""
        self.launch(*arguments, under=under)
        wait_until(self.ready, seconds=60, what=self._why_not)

    def launch(self, *arguments: str, under: Sequence[str] = ()) -> None:
        """Starts it, by another program (a tracer) if one is given."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *under,
                    sys.executable,
                    *self.program,
                    "serve",
                    "--config",
                    str(self.config_file),
                    *arguments,
                ],
                stderr=log,
                stdout=log,
                cwd=self.folder,
                env={k: v for k, v in os.environ.items() if not k.startswith("BOUNCER")},
            )

    def ready(self) -> bool:
        """Whether it says that it is; fails when it has ended."""
        assert self._process is not None
        assert self._process.poll() is None, self._why_not()
        with contextlib.suppress(httpx.HTTPError):
            return self.http.get("/readyz", timeout=5).status_code == 200
        return False

    def _why_not(self) -> str:
        return f"bouncer is not ready:\n{self.log_file.read_text()[-4000:]}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: nothing of it can be tidied up."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.terminate()
        return self.wait(60)

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        """The exit status, when it has ended by itself."""
        assert self._process is not None
        return self._process.wait(seconds)

    def ended(self) -> int | None:
        """The exit status, or None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def close(self) -> None:
        self.http.close()
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def events(self, **filters: str | int) -> list[dict[str, Any]]:
        """Every event the API knows, over all its pages."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            parameters = {"limit": 1000, **filters, **({"cursor": cursor} if cursor else {})}
            answer = self.http.get("/v1/events", params=parameters)
            answer.raise_for_status()
            found += answer.json()["items"]
            cursor = answer.json()["next"]
            if cursor is None:
                return found

    def metric(self, line: str) -> float:
        """The value of a metric, written as in the exposition; 0 where it is not there."""
        for row in self.http.get("/metrics").text.splitlines():
            name, _, value = row.rpartition(" ")
            if name == line:
                return float(value)
        return 0.0

    def metrics(self, name: str) -> dict[str, float]:
        """Every series of a metric: its labels as written, and its value."""
        rows = [r.rpartition(" ") for r in self.http.get("/metrics").text.splitlines()]
        return {k: float(v) for k, _, v in rows if k == name or k.startswith(name + "{")}


def wait_until(condition: Any, *, seconds: float = 30, what: Any = "it did not happen") -> None:
    """Polls until the condition holds; fails with `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(what() if callable(what) else what)
        time.sleep(0.05)


@contextlib.contextmanager
def running(bouncer: Bouncer, *arguments: str) -> Iterator[Bouncer]:
    """The service, started and in the end stopped."""
    try:
        bouncer.start(*arguments)
        yield bouncer
    finally:
        bouncer.close()
