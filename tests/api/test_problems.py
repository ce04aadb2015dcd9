"""Every error has one shape, and words that a person can act on."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from structlog.testing import capture_logs

from store import site_catalog
from tests.api.conftest import serving
from tests.fixtures.broker import wait_until


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/nowhere/overview", "unknown-town"),
        ("/nowhere/live", "unknown-town"),
        ("/%00/overview", "unknown-town"),
        ("/" + "a" * 5000 + "/overview", "unknown-town"),
        ("/sakata/devices/none", "unknown-device"),
        ("/sakata/devices/a%00b", "unknown-device"),
        ("/sakata/datastreams/999999/observations", "unknown-datastream"),
        ("/sakata/nothing", "unknown-address"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(api, path, slug):
    body = api.problem(path, 404, slug)
    if slug == "unknown-town":
        assert "GET /api/v1/towns lists them" in body["detail"]


@pytest.mark.parametrize("path", ["/nothing.html", "/css/none.css", "/../pyproject.toml", "/%00"])
def test_a_missing_page_is_a_problem_too(api, path):
    answer = api.client.get(path)
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:mizumori:problem:unknown-address"


@pytest.mark.parametrize("path", ["/api/v1/towns", "/api/v1/sakata/alerts", "/health"])
def test_another_method_is_refused_and_the_right_one_named(api, path):
    answer = api.client.post(path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert answer.json()["type"] == "urn:mizumori:problem:method-not-allowed"
    assert "use GET" in answer.json()["detail"]


def test_every_mistake_of_a_request_is_named(api):
    body = api.problem("/sakata/alerts", 422, "mistake-in-request", state="new", limit="x")
    assert {error["field"] for error in body["errors"]} == {"state", "limit"}
    body = api.problem("/sakata/datastreams/x/observations", 422, "mistake-in-request")
    assert body["errors"][0]["field"] == "datastream_id"


def test_a_fault_of_the_program_tells_a_number_and_no_trace(api, monkeypatch):
    def wrong(*_args):
        raise KeyError("Nowhere")

    monkeypatch.setattr(site_catalog, "sites", wrong)
    with capture_logs() as logged:
        body = api.problem("/sakata/sites", 500, "internal")
    number = body["detail"].split("the number ")[1].split(" ")[0]
    assert "Nowhere" not in str(body)
    assert "Traceback" not in str(body)
    assert [entry["incident"] for entry in logged] == [number]


def test_a_statement_that_takes_too_long_is_given_up(database_dsn, seed):
    with serving(database_dsn.api, request_timeout_s=1.0) as api:
        with seed.database.transaction() as conn:
            conn.execute("lock table device in access exclusive mode")
            body = api.problem("/sakata/devices", 503, "too-slow")
            assert "shorter time range" in body["detail"]
            assert api.get("/sakata/devices").headers["retry-after"] == "5"
        wait_until(lambda: api.get("/sakata/devices").status_code == 200)


def test_requests_that_wait_for_the_database_leave_health_alone(database_dsn, seed):
    with (
        serving(database_dsn.api, threads=2) as api,
        httpx.Client(base_url=api.client.base_url, timeout=60) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        with seed.database.transaction() as conn:
            conn.execute("lock table device in access exclusive mode")
            waiting = [pool.submit(client.get, "/api/v1/sakata/devices") for _ in range(8)]
            assert api.client.get("/health").json() == {"state": "alive"}
            assert not any(each.done() for each in waiting)
        assert {each.result().status_code for each in waiting} == {200}


def test_headers_keep_the_console_to_itself(api):
    answer = api.client.get("/api/v1/towns")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "img-src 'self' data:;" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers


def test_the_tiles_host_and_no_other_may_send_pictures(database_dsn):
    url = "https://{s}.tiles.example.lan/{z}/{x}/{y}.png"
    with serving(database_dsn.api, tiles_url=url, tiles_attribution="GSI") as api:
        answer = api.get("/console-settings")
        assert answer.json()["tiles_url"] == url
        assert answer.json()["attribution"] == "GSI"
        policy = answer.headers["content-security-policy"]
        assert "img-src 'self' data: https://*.tiles.example.lan;" in policy


def test_static_files_are_asked_for_each_time_and_sent_once(api):
    answer = api.client.get("/basemap/tohoku.geojson")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"
    etag = {"If-None-Match": answer.headers["etag"]}
    assert api.client.get("/basemap/tohoku.geojson", headers=etag).status_code == 304
    index = api.client.get("/")
    assert index.status_code == 200
    assert index.headers["content-type"].startswith("text/html")
