"""A real Prometheus that scrapes one address every second and is asked over its HTTP API."""

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

_CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: {job}
    static_configs: [{{targets: ["{target}"]}}]
"""


@dataclass(frozen=True)
class Prometheus:
    """Answers of the HTTP API; a query Prometheus refuses fails the test with its words."""

    url: str
    job: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an instant query gives now."""
        found: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return found

    def query_range(self, expression: str, seconds: float, step: str) -> list[dict[str, Any]]:
        """What a range query gives for the last seconds."""
        end = time.time()
        found: list[dict[str, Any]] = self._get(
            "query_range", query=expression, start=end - seconds, end=end, step=step
        )["result"]
        return found

    def label_values(self, label: str, selector: str) -> list[str]:
        """What Grafana's label_values(selector, label) asks for."""
        values: list[str] = self._get(f"label/{label}/values", **{"match[]": selector})
        return values

    def alerts(self) -> set[str]:
        """The names of the alerts that are pending or firing."""
        return {a["labels"]["alertname"] for a in self._get("alerts")["alerts"]}

    def wait_until(self, expression: str, seconds: float = 60) -> None:
        """Polls until an instant query gives something; fails after so many seconds."""
        deadline = time.monotonic() + seconds
        while not self.query(expression):
            assert time.monotonic() < deadline, f"no answer to {expression}"
            time.sleep(0.1)

    def _get(self, route: str, **parameters: str | float) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{route}", params=parameters, timeout=30)
        assert answer.status_code == 200, f"{parameters}: {answer.text}"
        return answer.json()["data"]


def require_prometheus() -> None:
    """Skips the test where Prometheus is missing, and says what to do about it."""
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        pytest.skip("Prometheus is missing: install the Debian package prometheus")


@contextlib.contextmanager
def running(
    folder: Path, target: str, *, job: str = "bouncer", rules: Path | None = None
) -> Iterator[Prometheus]:
    """Prometheus on a free port of 127.0.0.1 until the block ends; `target` is host:port."""
    require_prometheus()
    port = free_port()
    config = folder / "prometheus.yml"
    config.write_text(
        _CONFIG.format(job=job, target=target, rules=json.dumps(str(rules)) if rules else "")
    )
    log_file = folder / "prometheus.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    prometheus = Prometheus(f"http://127.0.0.1:{port}", job)
    try:
        _wait_until_up(prometheus, process, log_file)
        yield prometheus
    finally:
        process.kill()  # nothing of it is kept
        process.wait()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, for fixtures of a module or a session."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_up(
    prometheus: Prometheus, process: subprocess.Popen[bytes], log_file: Path
) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, f"prometheus ended:\n{log_file.read_text()}"
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{prometheus.url}/-/ready", timeout=5).status_code == 200:
                return
        time.sleep(0.05)
    pytest.fail(f"prometheus is not ready:\n{log_file.read_text()}")
