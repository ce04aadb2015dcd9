"""Who gets an alert finds what it means: every rule, kind and level is in the document."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from detectors.level_labels import LEVEL_LABELS
from detectors.profiles import DEFAULT_RULES
from detectors.rules import KINDS
from detectors.track import Location, Speed

DOCS = Path(__file__).parents[2] / "docs"
# Kinds without a rule in a town: fixes of vehicles are tested without one.
UNRULED = {Location.kind, Speed.kind}


@pytest.fixture(params=["alerts.md", "alerts.ja.md"])
def page(request):
    return (DOCS / request.param).read_text(encoding="utf-8")


def test_every_default_rule_is_named(page):
    """Several at once as `pond-…-flat`."""
    names = re.findall(r"`([a-z][a-z0-9…-]+)`", page)
    patterns = [re.compile(name.replace("…", "[a-z0-9-]+")) for name in names]
    codes = [rule.code for rule in DEFAULT_RULES]
    assert [code for code in codes if not any(p.fullmatch(code) for p in patterns)] == []


def test_every_kind_of_rule_is_named(page):
    assert [kind for kind in KINDS.keys() - UNRULED if f"`{kind}`" not in page and
            f"`{kind}:" not in page] == []  # fmt: skip


def test_every_level_is_called_what_the_console_calls_it(page):
    now = datetime(2026, 6, 1, tzinfo=UTC)
    newest = {
        (label.scheme, label.level): label
        for label in sorted(LEVEL_LABELS, key=lambda label: label.valid_from)
        if label.valid_from <= now and label.level
    }
    japanese = [label.label_ja for label in newest.values()]
    assert [said for said in japanese if said not in page] == []
    if "## Ponds" in page:
        english = [label.label_en for label in newest.values()]
        assert [said for said in english if said not in page] == []
