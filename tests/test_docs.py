"""What the documents name is there: functions in docs/flow.md, links everywhere."""

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
STEPS = re.findall(r"`([a-z_/]+)\.py:\s([A-Za-z_.]+)`", (ROOT / "docs/flow.md").read_text())


def test_the_flow_names_a_function_at_each_step() -> None:
    assert len(STEPS) >= 12


@pytest.mark.parametrize(("module", "name"), STEPS)
def test_what_the_flow_names_is_there(module: str, name: str) -> None:
    found = importlib.import_module("bouncer." + module.replace("/", "."))
    assert callable(reduce(getattr, name.split("."), found))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
