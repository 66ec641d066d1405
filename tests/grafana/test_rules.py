"""The alerts: promtool checks their text and plays their tests."""

import subprocess

import pytest
import yaml

from tests.grafana import dashboard as read
from tests.servers.prometheus import require_prometheus

FOLDER = read.RULES.parent
ALERTS = [r for g in yaml.safe_load(read.RULES.read_text())["groups"] for r in g["rules"]]


def promtool(*arguments: str) -> str:
    require_prometheus()
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, cwd=FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_accepts_the_configuration_and_the_rules() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "config", "prometheus.yml")


def test_the_alerts_fire_when_they_should() -> None:
    assert "SUCCESS" in promtool("test", "rules", "rules.test.yml")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda a: str(a["alert"]))
def test_an_alert_has_a_test_a_severity_and_advice(alert: dict[str, dict[str, str]]) -> None:
    assert str(alert["alert"]) in (FOLDER / "rules.test.yml").read_text()
    assert alert["labels"]["severity"]
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"].endswith(".")
