"""The chart as the tests see it: rendered by Helm (a PyPI wheel that carries its engine)."""

import copy
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "bouncer"
Values = dict[str, Any]
Manifest = dict[str, Any]


def example(name: str) -> Values:
    """The values of helm/bouncer/ci/<name>-values.yaml."""
    values: Values = yaml.safe_load((CHART / "ci" / f"{name}-values.yaml").read_text())
    return values


EXAMPLES = sorted(p.name.removesuffix("-values.yaml") for p in (CHART / "ci").iterdir())


def with_(values: Values, **dotted: Any) -> Values:
    """The values with these changed: `store__kind="sqlite"` sets store.kind."""
    changed = copy.deepcopy(values)
    for path, value in dotted.items():
        *parents, key = path.split("__")
        place = changed
        for parent in parents:
            place = place.setdefault(parent, {})
        place[key] = value
    return changed


@dataclass(frozen=True)
class Rendered:
    """What `helm install demo` would send, and say."""

    manifests: list[Manifest]
    notes: str

    def all(self, kind: str) -> list[Manifest]:
        return [m for m in self.manifests if m["kind"] == kind]

    def one(self, kind: str, suffix: str = "") -> Manifest:
        (found,) = [m for m in self.all(kind) if m["metadata"]["name"].endswith(suffix)]
        return found

    @property
    def workload(self) -> Manifest:
        (found,) = [*self.all("StatefulSet"), *self.all("Deployment")]
        return found

    @property
    def pod(self) -> Manifest:
        pod: Manifest = self.workload["spec"]["template"]["spec"]
        return pod

    @property
    def container(self) -> Manifest:
        (container,) = self.pod["containers"]
        found: Manifest = container
        return found

    @property
    def config(self) -> str:
        """bouncer.yaml."""
        name = self.workload["metadata"]["name"]
        (text,) = [
            m["data"]["bouncer.yaml"]
            for m in self.all("ConfigMap")
            if m["metadata"]["name"] == name
        ]
        return str(text)


def render(values: Values, chart: Path = CHART) -> Rendered:
    """Raises what Helm raises."""
    return _rendered(json.dumps(values, sort_keys=True), chart)


@functools.cache
def _rendered(values_json: str, chart: Path) -> Rendered:
    values = json.loads(values_json)
    with helm_python.Chart.load(chart) as loaded:
        loaded.validate_schema(values)
        files = loaded.render(values, name="demo", namespace="mail")
    notes = "".join(text for name, text in files.items() if name.endswith("NOTES.txt"))
    manifests = [
        manifest
        for name, text in files.items()
        if not name.endswith("NOTES.txt")
        for manifest in yaml.safe_load_all(text)
        if manifest
    ]
    return Rendered(manifests, notes)
