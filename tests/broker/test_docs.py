"""The operator's guide names every finding and every setting it depends on."""

import re
from pathlib import Path

import pytest

from deploy.broker import findings
from deploy.broker.violations import Refusal

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["broker.md", "broker.ja.md"])
def test_every_finding_is_explained(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    source = Path(findings.__file__).read_text(encoding="utf-8")
    codes = set(re.findall(r'Severity\.\w+,\s+"([a-z_]+)"|\(severity, "([a-z_]+)"', source))
    named = {code for pair in codes for code in pair if code} - {"sessions", "refused"}
    # Who came in since is no finding: `refused` counts them where nothing is refused.
    named |= {f"refused_{refusal}" for refusal in Refusal if refusal is not Refusal.LOGIN_ONCE}
    assert len(named) > 10
    assert [code for code in sorted(named) if f"`{code}`" not in text] == []
