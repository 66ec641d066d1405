"""The chart in both forms and with its options."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

import bouncer
from bouncer.config import Config
from bouncer.config_file import load
from tests.helm.chart import CHART, EXAMPLES, ROOT, Rendered, Values, example, render, with_

_OPTIONS: list[Values] = [
    {"tls": {"existingSecret": ""}, "smtpService": {"type": "ClusterIP", "nodePort": None}},
    {"tls": {"existingSecret": "mx"}, "smtpService": {"type": "LoadBalancer", "nodePort": None}},
    {"roles": ["pipeline", "api"], "networkPolicy": {"enabled": True}},
    {"roles": ["smtp"], "dashboard": {"enabled": True}, "prometheusRule": {"enabled": True}},
    {"serviceMonitor": {"enabled": True}, "podDisruptionBudget": {"enabled": False}},
    {
        "apiKeys": {"existingSecret": {"name": "keys"}},
        "webhookSecrets": {"existingSecret": "hooks"},
    },
    {"securityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}},
    {"serviceAccount": {"create": False, "name": "mail"}, "nameOverride": "returns"},
    {"image": {"repository": "images.example.com/b", "tag": "2", "digest": ""}},
]
_NAMED = {
    f"{name}-{n}": {**example(name), **options}
    for name, (n, options) in itertools.product(EXAMPLES, enumerate([{}, *_OPTIONS]))
}
COMBINATIONS = [pytest.param(values, id=name) for name, values in _NAMED.items()]
_SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.mark.parametrize("name", [None, *EXAMPLES])
def test_helm_finds_nothing_to_complain_about(name: str | None) -> None:
    report = helm_python.lint(CHART, example(name) if name else None, strict=True)
    assert report["errors"] == []
    assert [m for m in report["messages"] if m["severity"] > 1] == []


@pytest.mark.parametrize("version", ["1.25", kubernetes_validate.latest_version()])
def test_kubernetes_knows_every_field(version: str) -> None:
    manifests = {
        json.dumps(manifest, sort_keys=True)
        for values in _NAMED.values()
        for manifest in render(values).manifests
    }
    for text in sorted(manifests):
        manifest = json.loads(text)
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            assert manifest["apiVersion"] == "monitoring.coreos.com/v1"  # of an operator


@pytest.mark.parametrize("values", COMBINATIONS)
def test_a_pod_can_do_no_more_than_it_has_to(values: Values) -> None:
    chart = render(values)
    pod, container = chart.pod, chart.container
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"].get("runAsUser", 10001) == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["resources"]["limits"]["memory"]
    assert all(port["containerPort"] > 1024 for port in container["ports"])
    assert all("hostPort" not in port for port in container["ports"])
    for account in chart.all("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("values", COMBINATIONS)
def test_what_is_written_to_is_mounted(values: Values) -> None:
    chart = render(values)
    mounts = {m["mountPath"]: m for m in chart.container["volumeMounts"]}
    volumes = {v["name"] for v in chart.pod["volumes"]}
    claims = {c["metadata"]["name"] for c in chart.workload["spec"].get("volumeClaimTemplates", [])}
    assert {m["name"] for m in mounts.values()} == volumes | claims
    writable = {path for path, mount in mounts.items() if not mount.get("readOnly")}
    sqlite = chart.workload["kind"] == "StatefulSet"
    assert writable == ({"/tmp", "/var/lib/bouncer"} if sqlite else {"/tmp"})


@pytest.mark.parametrize("values", COMBINATIONS)
def test_bouncer_accepts_the_configuration(values: Values, tmp_path: Path) -> None:
    chart = render(values)
    config = _loaded(chart, tmp_path)
    assert config.metrics.listen == "0.0.0.0:9025"
    assert config.domains
    sqlite = chart.workload["kind"] == "StatefulSet"
    url = config.store.url.get_secret_value()
    assert url == "sqlite:////var/lib/bouncer/bouncer.db" if sqlite else "postgresql" in url
    assert (config.smtp.tls is not None) == bool(values.get("tls", {}).get("existingSecret"))


def _loaded(chart: Rendered, folder: Path) -> Config:
    """bouncer.yaml read as in the pod, with the secrets at the paths it names."""
    mounted = [m["mountPath"] for m in chart.container["volumeMounts"]]
    for path in re.findall(r"_file: (\S+)", chart.config):
        assert str(Path(path).parent) in mounted, f"{path} is not mounted"
        here = folder / path.lstrip("/")
        here.parent.mkdir(parents=True, exist_ok=True)
        here.write_text("postgresql://u@db/b" if path.endswith("/url") else _SECRET)
    file = folder / "bouncer.yaml"
    file.write_text(chart.config.replace("/run/secrets", f"{folder}/run/secrets"))
    variables = {
        e["name"]: e.get("value", '[{"name": "ops", "sha256": "%s"}]' % ("0" * 64))
        for e in chart.container.get("env", [])
    }
    return load(file, variables)


@pytest.mark.parametrize("values", COMBINATIONS)
def test_what_refers_to_another_finds_it(values: Values) -> None:
    chart = render(values)
    template = chart.workload["spec"]["template"]
    ports = {p["name"] for p in chart.container["ports"]}
    labels = template["metadata"]["labels"].items()
    selectors = [s["spec"]["selector"] for s in chart.all("Service")]
    selectors += [m["spec"]["selector"]["matchLabels"] for m in chart.all("PodDisruptionBudget")]
    selectors += [m["spec"]["podSelector"]["matchLabels"] for m in chart.all("NetworkPolicy")]
    for selector in [*selectors, chart.workload["spec"]["selector"]["matchLabels"]]:
        assert selector.items() <= labels
    for service in chart.all("Service"):
        assert {p["targetPort"] for p in service["spec"]["ports"]} <= ports
    for policy in chart.all("NetworkPolicy"):
        opened = {p["port"] for rule in policy["spec"]["ingress"] for p in rule["ports"]}
        assert opened == ports
    for monitor in chart.all("ServiceMonitor"):
        http = chart.one("Service", "-http")
        selected = monitor["spec"]["selector"]["matchLabels"].items()
        assert selected <= http["metadata"]["labels"].items()
        assert selected > chart.workload["spec"]["selector"]["matchLabels"].items()
        assert monitor["spec"]["endpoints"][0]["port"] in {p["name"] for p in http["spec"]["ports"]}
    if chart.workload["kind"] == "StatefulSet":
        assert chart.workload["spec"]["serviceName"] in {
            s["metadata"]["name"] for s in chart.all("Service")
        }
    names = [(m["kind"], m["metadata"]["name"]) for m in chart.manifests]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("values", COMBINATIONS)
def test_the_probes_ask_for_what_they_are_for(values: Values) -> None:
    container = render(values).container
    asked = {k: container[f"{k}Probe"]["httpGet"] for k in ("startup", "liveness", "readiness")}
    assert {k: v["path"] for k, v in asked.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    assert {v["port"] for v in asked.values()} == {"metrics"}


def test_sqlite_is_one_pod_with_a_volume() -> None:
    chart = render(example("sqlite"))
    assert chart.workload["kind"] == "StatefulSet"
    assert chart.workload["spec"]["replicas"] == 1
    (claim,) = chart.workload["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert chart.all("PodDisruptionBudget") == []


def test_sqlite_with_two_replicas_is_refused() -> None:
    with pytest.raises(helm_python.HelmRenderError, match="SQLite is one file of one process"):
        render(with_(example("sqlite"), replicas=2))


def test_postgresql_is_a_deployment_of_several_pods() -> None:
    chart = render(with_(example("postgresql"), replicas=None))
    assert chart.workload["kind"] == "Deployment"
    assert chart.workload["spec"]["replicas"] == 2
    assert chart.workload["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert chart.one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert chart.pod["terminationGracePeriodSeconds"] == 60


def test_smtp_is_on_25_and_keeps_the_address_of_the_peer() -> None:
    service = render(example("sqlite")).one("Service", "-smtp")["spec"]
    assert service["type"] == "LoadBalancer"
    assert service["externalTrafficPolicy"] == "Local"
    assert [(p["port"], p["targetPort"]) for p in service["ports"]] == [(25, "smtp")]


def test_every_fault_of_the_values_is_told_at_once() -> None:
    with pytest.raises(helm_python.HelmRenderError) as refused:
        render({"store": {"kind": "postgresql"}})
    for key in ("config.domains", "config.smtp.hostname", "store.existingSecret.name"):
        assert key in str(refused.value)


def test_pods_that_take_no_mail_need_no_host_name(tmp_path: Path) -> None:
    chart = render(with_(example("blocklists-only"), config__smtp={}))
    assert _loaded(chart, tmp_path).smtp.listen == ("127.0.0.1:2525",)
    assert chart.container["args"][-2:] == ["--only", "dnsbl,webhooks"]


def test_a_webhook_without_a_secret_is_refused() -> None:
    webhooks = [{"name": "ops", "url": "https://ops.example.com/", "events": ["*"]}]
    with pytest.raises(helm_python.HelmRenderError, match="webhook 0 has no secret"):
        render(with_(example("sqlite"), config__webhooks=webhooks))


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_secret_is_in_secrets_only(name: str) -> None:
    chart = render(example(name))
    for manifest in chart.manifests:
        if manifest["kind"] != "Secret":
            assert "whsec_" not in json.dumps(manifest)
            assert "hunter2" not in json.dumps(manifest)
    inline = {k for s in chart.all("Secret") for k in s["stringData"]}
    assert inline == {
        "sqlite-full": {"webhook-crm"},
        "postgresql-inline": {"store-url"},
    }.get(name, set())


def test_v1_stays_closed_without_a_key() -> None:
    chart = render(example("sqlite"))
    assert yaml.safe_load(chart.config)["api"]["listen"] == "127.0.0.1:8025"
    assert [p["name"] for p in chart.one("Service", "-http")["spec"]["ports"]] == ["metrics"]
    assert "/v1 is closed" in chart.notes


def test_a_changed_configuration_or_secret_restarts_the_pods() -> None:
    def annotations(values: Values) -> dict[str, str]:
        found: dict[str, str] = render(values).workload["spec"]["template"]["metadata"][
            "annotations"
        ]
        return found

    before = example("postgresql-inline")
    after = with_(before, config__log={"level": "debug"})
    assert annotations(before)["checksum/config"] != annotations(after)["checksum/config"]
    after = with_(before, config__store__url="postgresql://bouncer:other@db.example.com/bouncer")
    assert annotations(before)["checksum/config"] == annotations(after)["checksum/config"]
    assert annotations(before)["checksum/secret"] != annotations(after)["checksum/secret"]


def test_only_dns_the_database_and_the_webhooks_can_be_reached() -> None:
    def reached(name: str) -> set[int]:
        rules = render(example(name)).one("NetworkPolicy")["spec"]["egress"]
        return {p["port"] for rule in rules for p in rule["ports"]}

    assert reached("sqlite") == {53}
    assert reached("sqlite-full") == {53, 5353, 8443, 443, 123}
    assert reached("postgresql") == {53, 6432, 8080}


def test_mail_comes_from_anywhere_and_http_from_the_namespace() -> None:
    smtp, api, metrics = render(example("postgresql")).one("NetworkPolicy")["spec"]["ingress"]
    assert "from" not in smtp
    assert api["from"] == metrics["from"] == [{"podSelector": {}}]


def test_the_notes_name_the_records_of_every_domain() -> None:
    notes = render(example("sqlite-full")).notes
    for domain in ("bounces.example.com", "bounces.example.org"):
        assert re.search(rf"{domain}\.\s+MX\s+10 mx\.bounces\.example\.com\.", notes)
        assert re.search(rf'{domain}\.\s+TXT\s+"v=spf1 ', notes)


def test_a_packaged_chart_brings_the_dashboard_and_the_alerts(tmp_path: Path) -> None:
    archive = helm_python.package(CHART, destination=tmp_path)
    chart = render(example("sqlite-full"), Path(archive))
    dashboard = chart.one("ConfigMap", "-dashboard")
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    overview = (ROOT / "grafana/dashboards/overview.json").read_text()
    assert json.loads(dashboard["data"]["bouncer-overview.json"]) == json.loads(overview)
    rules = yaml.safe_load((ROOT / "grafana/prometheus/rules.yml").read_text())
    assert chart.one("PrometheusRule")["spec"] == rules


def test_the_chart_runs_this_version_and_knows_its_sections() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["appVersion"] == bouncer.__version__
    schema = json.loads((CHART / "values.schema.json").read_text())
    sections = set(schema["properties"]["config"]["properties"])
    assert sections == set(Config.model_fields) - {"metrics"}  # which the chart sets


def test_every_value_is_in_the_schema_and_the_readme() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    readme = (CHART / "README.md").read_text()
    assert set(values) == set(schema) - {"global"}
    for key in values:
        assert f"`{key}" in readme, key


@pytest.mark.parametrize(
    "wrong",
    [
        {"replica": 1},
        {"replicas": "2"},
        {"replicas": -1},
        {"store__kind": "mysql"},
        {"store__persistence__size": "ten"},
        {"store__persistence__accessModes": ["ReadWriteMany"]},
        {"config__dnsbls": {}},
        {"config__metrics": {"listen": "0.0.0.0:1"}},
        {"config__smtp__listen": ["0.0.0.0:25"]},
        {"config__api": {"listen": "0.0.0.0:80"}},
        {"config__api": {"keys": [{"name": "ops", "sha256": "secret"}]}},
        {"config__store__url": "sqlite:///bouncer.db"},
        {"config__domains": ["bounces.example.com"]},
        {"config__webhooks": [{"url": "https://ops.example.com/", "events": ["*"]}]},
        {"image__repository": ""},
        {"image__digest": "sha256:abc"},
        {"image__pullPolicy": "Sometimes"},
        {"roles": ["smpt"]},
        {"smtpService__externalTrafficPolicy": "local"},
        {"smtpService__port": 70000},
        {"networkPolicy__smtpFrom": ["0.0.0.0/0"]},
        {"securityContext__runAsUser": 0},
        {"securityContext__privileged": True},
        {"resources": {"limits": {"memory": None}}},
        {"terminationGracePeriodSeconds": 30},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_a_wrong_value_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmValuesError):
        render(with_(example("postgresql"), **wrong))
