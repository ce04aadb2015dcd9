"""Routes and metrics are documented, and the OpenAPI document is complete."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
VERBS = ("GET", "POST", "PATCH")


@pytest.fixture
def document(api):
    return api.ok("/openapi.json")


def test_each_route_stands_in_the_table_and_each_of_the_table_is_a_route(document):
    section = (ROOT / "ARCHITECTURE.md").read_text().split("## API")[1].split("## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    written = {
        ((verb or "GET").lower(), path.split("?")[0])
        for cell in cells
        for verb, path in re.findall(r"`(?:(GET|POST|PATCH) )?(/[^`]+)`", cell)
    }
    offered = {
        (method, path.removeprefix("/api/v1"))
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert offered == written


def test_every_route_is_described_with_its_answer_and_its_problems(document):
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert method.upper() in VERBS
            assert operation["description"], path
            answer = operation["responses"].get("200") or operation["responses"]["201"]
            assert answer["content"], path
            if path.startswith("/api/v1/{tenant}"):
                writes = method != "get" and not path.endswith("/backtest")
                for status in ("404", "422", "500", "503", *(("401", "413") if writes else ())):
                    content = operation["responses"][status]["content"]
                    schema = {"$ref": "#/components/schemas/Problem"}
                    assert content == {"application/problem+json": {"schema": schema}}, path
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert "title_ja" in document["components"]["schemas"]["Problem"]["properties"]


def test_each_metric_is_explained(api, seed):
    seed.latest(seed.streams["f1", "depth_m"], 0.1)
    api.ok("/towns")
    text = api.client.get("/metrics").text
    found = {
        name if family.type != "counter" else f"{name}_total"
        for family in text_string_to_metric_families(text)
        for name in [family.name]
        if not name.endswith("_created")
    }
    section = (ROOT / "docs/metrics.md").read_text().split("\n## API\n")[1].split("\n## ")[0]
    written = set(re.findall(r"^\| `(\w+)", section, re.MULTILINE))
    ours = ("mizumori_api_", "mizumori_town_")  # others count in the same process in tests
    assert {name for name in found if name.startswith(ours)} == written
    assert 'mizumori_town_devices{link="unknown",town="sakata"} 4.0' in text
    assert 'mizumori_api_requests_total{route="/api/v1/towns",status="200"} 1.0' in text
