"""Each metric of gateway and jobs is explained, and nothing else is."""

import re
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram

import gateway.metrics
import jobs.metrics

DOCUMENT = Path(__file__).parents[2] / "docs/metrics.md"


@pytest.mark.parametrize(
    ("heading", "module"), [("Gateway", gateway.metrics), ("Jobs", jobs.metrics)]
)
def test_each_metric_is_explained(heading, module):
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text.split(f"\n## {heading} ")[1].split("\n## ")[0]
    written = re.findall(r"^\| `(\w+)(?:\{(.*?)\})?` \| .+ \| .+ \|$", section, re.MULTILINE)
    assert dict(written) == {
        f"{family.name}_total" if isinstance(metric, Counter) else family.name: ",".join(
            metric._labelnames
        )
        for metric in vars(module).values()
        if isinstance(metric, Counter | Gauge | Histogram)
        for family in metric.describe()
    }
