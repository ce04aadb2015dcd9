"""A setting or a metric that a page or a message names is there: who is told of it finds it."""

import ast
import re
from pathlib import Path

import pytest

from deploy.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
ROOMS = ("api", "deploy", "detectors", "gateway", "jobs", "store")
MODULES = sorted(path for room in ROOMS for path in ROOT.glob(f"{room}/**/*.py"))
SECTIONS = {
    name: set(field.annotation.model_fields)
    for name, field in Settings.model_fields.items()
    if hasattr(field.annotation, "model_fields")
}
NAMED = re.compile(rf"(?<![\w./-])({'|'.join(SECTIONS)})\.([a-z][a-z0-9_]*)(?![\w./-]*\()")
ENDINGS = {"md", "ja", "toml", "conf", "log", "py", "example"}


def missing(text):
    """Names of the kind `section.key` that are neither a setting, a file nor a module."""
    return [
        f"{section}.{key}"
        for section, key in NAMED.findall(text)
        if key not in SECTIONS[section] | ENDINGS
        and not any((ROOT / section / f"{key}{ending}").exists() for ending in ("", ".py"))
    ]


def messages(path):
    """The sentences of a module but its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {ast.get_docstring(node, clean=False) for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)}  # fmt: skip
    for node in ast.walk(tree):
        said = node.value if isinstance(node, ast.Constant) else None
        if isinstance(said, str) and " " in said and said not in docs:
            yield said


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_that_a_page_names_are_there(page):
    spans = re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8"))
    assert [one for span in spans for one in missing(span)] == []


def test_settings_that_messages_name_are_there():
    found = {
        str(path.relative_to(ROOT)): names
        for path in MODULES
        if (names := [one for text in messages(path) for one in missing(text)])
    }
    assert found == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_metrics_that_a_page_names_are_explained(page):
    explained, _ = (ROOT / "docs/metrics.md").read_text(encoding="utf-8").split("\n## Alarms")
    known = set(re.findall(r"^\| `(\w+)", explained, re.MULTILINE))
    named = re.findall(
        r"`(mizumori_(?:api|gateway|town)_[a-z_]+)", page.read_text(encoding="utf-8")
    )
    assert [name for name in named if name not in known and not name.endswith("_")] == []
