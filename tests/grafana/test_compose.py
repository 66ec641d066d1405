"""compose.yaml, the Dockerfile and what they mount, as far as that shows without an engine."""

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

import bouncer
from bouncer.config import Config
from bouncer.config_file import load
from bouncer.errors import ConfigurationError
from tests.grafana import dashboard as read
from tests.grafana import exporter

ROOT = read.ROOT
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def interpolated(text: str, variables: dict[str, str]) -> str:
    """What Compose makes of ${NAME:-default}."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda m: variables.get(m[1]) or m[2], text)


def configured(**variables: str) -> Config:
    """The configuration of the container; its volume is not here, and is not needed for that."""
    environment = {
        name: interpolated(value, variables)
        for name, value in SERVICES["bouncer"]["environment"].items()
    }
    return load(ROOT / "grafana/compose/bouncer.yaml", environment)


def test_bouncer_prometheus_and_grafana_come_up_in_this_order() -> None:
    assert set(SERVICES) == {"bouncer", "prometheus", "grafana"}
    healthy = {"condition": "service_healthy"}
    assert SERVICES["prometheus"]["depends_on"] == {"bouncer": healthy}
    assert SERVICES["grafana"]["depends_on"] == {"prometheus": healthy}
    for service in SERVICES.values():
        assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_and_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")


def test_the_image_is_of_this_version() -> None:
    assert SERVICES["bouncer"]["image"] == f"bouncer:{bouncer.__version__}"


def test_what_is_mounted_exists() -> None:
    for service in SERVICES.values():
        for mount in service["volumes"]:
            source, _, target = mount.partition(":")
            if source.startswith("."):
                assert (ROOT / source).exists(), source
                assert target.endswith(":ro")
            else:
                assert source in COMPOSE["volumes"]


def test_only_loopback_is_published_until_somebody_says_otherwise() -> None:
    for service in SERVICES.values():
        for port in service["ports"]:
            assert interpolated(port, {}).startswith("127.0.0.1:"), port


def test_it_works_as_it_is_with_v1_closed() -> None:
    config = configured()
    assert config.api.listen == "127.0.0.1:8025"
    assert config.api.keys == ()
    assert config.domains
    assert config.store.url.get_secret_value().startswith("sqlite:////var/lib/bouncer/")


def test_v1_cannot_be_opened_without_a_key() -> None:
    with pytest.raises(ConfigurationError, match=r"api\.keys"):
        configured(BOUNCER_API_LISTEN="0.0.0.0:8025")


def test_the_example_of_env_opens_v1() -> None:
    example = (ROOT / ".env.example").read_text()
    lines = re.findall(r"^# ([A-Z_]+)=(.*)$", example, re.MULTILINE)
    known = set(re.findall(r"\$\{(\w+):-", (ROOT / "compose.yaml").read_text()))
    assert {name for name, _ in lines} == known
    values = {name: value.strip("'") for name, value in lines}
    keys = values["BOUNCER_API_KEYS"].replace("<64 hexadecimal digits>", "ab" * 32)
    config = configured(BOUNCER_API_LISTEN=values["BOUNCER_API_LISTEN"], BOUNCER_API_KEYS=keys)
    assert [key.name for key in config.api.keys] == ["ops"]


def test_grafana_asks_prometheus_and_prometheus_asks_bouncer() -> None:
    provisioning = ROOT / "grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["type"] == "prometheus"
    assert source["url"] == "http://prometheus:9090"
    scrape = yaml.safe_load((ROOT / "grafana/prometheus/prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == scrape["global"]["scrape_interval"]
    (job,) = scrape["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    listen = configured().metrics.listen
    assert listen is not None
    assert target == f"bouncer:{listen.rpartition(':')[2]}"


def test_grafana_finds_the_dashboard_where_it_looks() -> None:
    (provider,) = yaml.safe_load(
        (ROOT / "grafana/provisioning/dashboards/bouncer.yaml").read_text()
    )["providers"]
    path = provider["options"]["path"]
    assert f"./grafana/dashboards:{path}:ro" in SERVICES["grafana"]["volumes"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{path}/{read.OVERVIEW.name}"


def test_the_image_runs_as_a_user_of_its_own() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "\nUSER 10001:10001\n" in final
    assert "\nVOLUME /var/lib/bouncer\n" in final
    assert '\nENTRYPOINT ["bouncer"]\n' in final
    assert "\nEXPOSE 2525 8025\n" in final
    assert "--require-hashes" in DOCKERFILE


def test_what_is_copied_into_the_image_is_there_and_not_ignored() -> None:
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    assert allowed[0] == "*"
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert f"!{source}" in allowed


def test_the_health_checks_say_whether_an_answer_comes() -> None:
    found = re.search(r'CMD \["python", "-c", "(.+)"\]', DOCKERFILE)
    assert found is not None
    compose = SERVICES["bouncer"]["healthcheck"]["test"]
    assert compose[:3] == ["CMD", "python", "-c"]
    with exporter.serving() as (address, _):
        for program in (found[1], compose[3]):
            here = re.sub(r"127\.0\.0\.1:8025", address, program)
            alive = subprocess.run([sys.executable, "-c", here], stderr=subprocess.DEVNULL)
            assert alive.returncode == 0
        dead = subprocess.run(
            [sys.executable, "-c", found[1].replace(":8025", ":1")], stderr=subprocess.DEVNULL
        )
    assert dead.returncode != 0
