"""Answers are gzipped for whoever takes them so, and no other answer changes by that."""

import asyncio
import gzip

import httpx
import pytest
from starlette.responses import Response

from api.compression import Compression

MAP = "/basemap/tohoku.geojson"
DEVICES = "/api/v1/sakata/devices"


@pytest.fixture
def ask(api):
    """Send a request as a client that takes answers in this coding, and leave them packed."""

    def send(path, coding, method="GET", **headers):
        headers = {"Accept-Encoding": coding, **headers}
        with api.client.stream(method, path, headers=headers) as answer:
            return answer, b"".join(answer.iter_raw())

    return send


@pytest.mark.parametrize("path", [DEVICES, MAP, "/js/main.js", "/api/v1/openapi.json"])
def test_a_large_answer_is_gzipped_for_who_takes_it_so(ask, path):
    plain, whole = ask(path, "identity")
    assert "content-encoding" not in plain.headers
    packed, body = ask(path, "br, gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == whole
    assert len(body) < len(whole) / 2
    for answer in (plain, packed):
        assert answer.headers["vary"].count("Accept-Encoding") == 1


@pytest.mark.parametrize("coding", ["identity", "br", "gzip;q=0", "gzip; q=0.0, br"])
def test_who_refuses_gzip_has_none(ask, coding):
    answer, _ = ask(DEVICES, coding)
    assert "content-encoding" not in answer.headers


def test_a_small_answer_stays_as_it_is(ask):
    answer, body = ask("/health", "gzip")
    assert "content-encoding" not in answer.headers
    assert int(answer.headers["content-length"]) == len(body)


def test_pictures_in_pixels_stay_as_they_are_and_drawn_ones_do_not():
    async def coding(kind):
        transport = httpx.ASGITransport(Compression(Response(b" " * 5000, media_type=kind)))
        async with httpx.AsyncClient(transport=transport, base_url="http://town") as client:
            answer = await client.get("/", headers={"Accept-Encoding": "gzip"})
        return answer.headers.get("content-encoding")

    assert asyncio.run(coding("image/png")) is None
    assert asyncio.run(coding("image/svg+xml")) == "gzip"


def test_a_refusal_says_on_which_headers_it_rests(ask):
    answer, _ = ask("/api/v1/nowhere/devices", "gzip", **{"Accept-Language": "ja"})
    assert answer.status_code == 404
    assert answer.headers["vary"] == "Accept-Language, Accept-Encoding"


@pytest.mark.parametrize("path", [MAP, "/api/v1/sakata/map/base"])
def test_a_gzipped_answer_is_asked_for_again_by_its_tag(ask, path):
    plain, _ = ask(path, "identity")
    packed, _ = ask(path, "gzip")
    tag = packed.headers["etag"]
    assert tag == f"W/{plain.headers['etag']}"
    for known in (tag, plain.headers["etag"]):
        again, body = ask(path, "gzip", **{"If-None-Match": known})
        assert (again.status_code, body) == (304, b"")
        assert again.headers["etag"] == tag
        assert "Accept-Encoding" in again.headers["vary"]


def test_a_part_of_a_file_is_one_of_the_file_and_never_of_its_gzipped_form(ask):
    _, whole = ask(MAP, "identity")
    part, body = ask(MAP, "gzip", Range="bytes=10-2999")
    assert part.status_code == 206
    assert "content-encoding" not in part.headers
    assert body == whole[10:3000]
    packed, _ = ask(MAP, "gzip")
    assert "accept-ranges" not in packed.headers
    # Who has half of the gzipped form must not get the rest of the plain one.
    rest = {"Range": "bytes=3000-", "If-Range": packed.headers["etag"]}
    answer, body = ask(MAP, "gzip", **rest)
    assert answer.status_code == 200
    assert gzip.decompress(body) == whole


def test_head_names_no_length_that_get_does_not_have(ask):
    packed, body = ask(MAP, "gzip", "HEAD")
    assert (packed.status_code, body) == (200, b"")
    assert "content-length" not in packed.headers
    plain, _ = ask(MAP, "identity", "HEAD")
    assert int(plain.headers["content-length"]) > 100_000


def test_the_live_feed_is_not_gzipped_and_comes_at_once(api):
    with (
        httpx.Client(base_url=api.client.base_url, headers={"Accept-Encoding": "gzip"}) as client,
        client.stream("GET", "/api/v1/sakata/live") as feed,
    ):
        assert "content-encoding" not in feed.headers
        assert b"event: hello" in next(feed.iter_raw())
