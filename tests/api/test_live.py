"""The live feed: what is committed and announced arrives, at every browser of the town."""

import asyncio
import socket
import threading
import time
from statistics import median

import httpx
import psycopg
import pytest

from api import live
from api.subscriber import Subscriber
from tests.api.conftest import serving
from tests.api.seed import ago, now
from tests.api.sse import listening
from tests.fixtures.broker import wait_until


def test_it_says_hello_with_the_clock_and_how_to_come_back(api):
    with listening(api) as feed:
        hello = feed.next()
        assert hello["event"] == "hello"
        assert hello["retry"] == "3000"
        assert hello["id"]
        assert hello["data"]["town"] == "sakata"
        assert hello["data"]["time"].endswith("Z")
        assert feed.headers["content-type"].startswith("text/event-stream")
        assert feed.headers["cache-control"] == "no-store"


def test_a_reading_arrives_after_its_commit_and_not_before(api, seed, stream):
    with listening(api) as feed:
        feed.next("hello")
        seed.latest(stream, 0.12, rate=0.6)
        assert feed.says_nothing()
        seed.notify(datastreams=[stream])
        reading = feed.next("reading")["data"]
        assert reading["datastream"] == stream
        assert (reading["device"], reading["property"]) == ("f1", "depth_m")
        assert (reading["value"], reading["flag"], reading["rate_per_h"]) == (0.12, 1, 0.6)


def test_alerts_links_and_positions_arrive(api, seed, stream):
    ids = seed.devices_of(seed.town)
    with listening(api) as feed:
        feed.next("hello")
        alert = seed.alert(stream, level=2)
        seed.notify(alerts=[alert])
        event = feed.next("alert")["data"]
        assert event == api.ok("/sakata/alerts")["items"][0]
        seed.link("f1", "silent")
        seed.notify(links=[ids["f1"]])
        link = feed.next("link")["data"]
        assert (link["device"], link["state"]) == ("f1", "silent")
        seed.positions("plow-1", [(now(), 38.9, 139.8, True)])
        seed.notify(devices=[ids["plow-1"]])
        position = feed.next("position")["data"]
        assert (position["device"], position["lat"], position["blade"]) == ("plow-1", 38.9, True)


def test_another_town_hears_nothing(api, seed, stream):
    other = seed.add_town("tsuruoka")
    theirs = seed.streams_of(other)["f1", "depth_m"]
    with listening(api) as feed, listening(api, "/api/v1/tsuruoka/live") as their_feed:
        feed.next("hello")
        their_feed.next("hello")
        seed.latest(theirs, 0.3)
        seed.latest(stream, 0.1)
        # Even a notification with a foreign id shows nothing of the other town.
        seed.notify(other, datastreams=[theirs, stream])
        assert their_feed.next("reading")["data"]["datastream"] == theirs
        seed.notify(datastreams=[stream, theirs])
        assert feed.next("reading")["data"]["datastream"] == stream
        for each in (feed, their_feed):
            assert each.says_nothing("reading")


def test_a_notification_that_cannot_be_read_ends_nothing(api, seed, stream):
    with listening(api) as feed:
        feed.next("hello")
        for payload in ("", "[]", "{", '{"tenant_id": "x"}', '{"tenant_id": 1, "alerts": [null]}'):
            seed.execute("select pg_notify('mizumori_live', %s)", payload)
        seed.latest(stream, 0.1)
        seed.notify(datastreams=[stream])
        assert feed.next("reading")["data"]["value"] == 0.1


def test_a_changed_catalog_asks_the_page_to_load_anew(api, seed):
    with listening(api) as feed:
        feed.next("hello")
        seed.execute("select pg_notify('mizumori_config', '{\"kind\": \"broker\"}')")
        seed.execute("select pg_notify('mizumori_config', '{\"kind\": \"device\"}')")
        assert feed.next("reload")["data"] == {"reason": "config"}
        assert feed.says_nothing("reload")


@pytest.mark.usefixtures("seed")
def test_a_page_that_came_before_the_feed_listened_loads_anew(database_dsn, monkeypatch):
    """What was announced between its load and the first LISTEN, nobody heard."""
    listens, connect = threading.Event(), psycopg.AsyncConnection.connect

    async def later(*given, **named):
        await asyncio.to_thread(listens.wait, 60)
        return await connect(*given, **named)

    monkeypatch.setattr(live, "ANSWER_S", 60.0)
    monkeypatch.setattr(psycopg.AsyncConnection, "connect", later)
    with serving(database_dsn.api, listens=False) as api, listening(api) as feed:
        feed.next("hello")
        listens.set()
        assert feed.next("reload")["data"] == {"reason": "database_back"}


@pytest.mark.usefixtures("seed")
def test_heartbeats_come_although_nothing_happens(database_dsn, monkeypatch):
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.2)
    with serving(database_dsn.api) as api, listening(api) as feed:
        for _ in range(3):
            beat = feed.next("heartbeat")
            assert beat["data"]["database"] == "ok"


def test_fifty_browsers_get_everything_and_do_not_slow_health(api, seed, stream):
    async def watch():
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client:
            url = f"http://127.0.0.1:{api.port}"
            ready, done = asyncio.Semaphore(0), []

            async def browser():
                async with client.stream("GET", f"{url}/api/v1/sakata/live") as response:
                    async for line in response.aiter_lines():
                        if line == "event: hello":
                            ready.release()
                        if line.startswith("event: reading"):
                            done.append(time.monotonic())
                            return

            browsers = [asyncio.create_task(browser()) for _ in range(50)]
            for _ in browsers:
                await asyncio.wait_for(ready.acquire(), 60)
            took_s = []
            for _ in range(20):
                begun = time.monotonic()
                assert (await client.get(f"{url}/health")).status_code == 200
                took_s.append(time.monotonic() - begun)
            gauge = (await client.get(f"{url}/metrics")).text
            assert 'mizumori_api_live_clients{town="sakata"} 50.0' in gauge
            await asyncio.to_thread(seed.latest, stream, 0.2)
            await asyncio.to_thread(seed.notify, datastreams=[stream])
            await asyncio.wait_for(asyncio.gather(*browsers), 60)
            return median(took_s)

    assert asyncio.run(watch()) < 5
    gauge = 'mizumori_api_live_clients{town="sakata"} 0.0'
    wait_until(lambda: gauge in api.client.get("/metrics").text)


@pytest.mark.usefixtures("seed")
def test_more_browsers_than_allowed_are_refused_in_words(database_dsn):
    with serving(database_dsn.api, live_clients=1) as api, listening(api) as feed:
        feed.next("hello")
        body = api.problem("/sakata/live", 503, "live-feed-full")
        assert "api.live_clients" in body["detail"]


def test_a_browser_that_reads_too_slowly_is_let_go_and_told():
    async def fall_behind():
        waiting = Subscriber(3, lambda: b"reload ")
        assert all(waiting.give(b"%d " % n) for n in range(3))
        assert not waiting.give(b"3 ")
        assert waiting.give(b"4 ")  # let go once, it is not counted again
        return [chunk async for chunk in waiting.stream(lambda: b"beat ", 10.0)]

    assert asyncio.run(fall_behind()) == [b"reload "]


def test_one_stuck_browser_does_not_hold_up_the_others(database_dsn, seed, stream):
    ids = [seed.alert(stream, onset=ago(minutes=m)) for m in range(40)]
    with serving(database_dsn.api, live_queue=200, graceful_stop_s=1.0, send_bytes=4096) as api:
        stuck = socket.socket()
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # counts before it connects
        stuck.connect(("127.0.0.1", api.port))
        stuck.sendall(b"GET /api/v1/sakata/live HTTP/1.1\r\nHost: x\r\n\r\n")
        dropped = "mizumori_api_live_dropped_total 1.0"
        with listening(api) as feed:
            feed.next("hello")
            for _ in range(100):  # until the buffers of the connection are full
                if dropped in api.client.get("/metrics").text:
                    break
                seed.notify(alerts=ids)
                for _ in ids:
                    assert feed.next("alert")
            assert dropped in api.client.get("/metrics").text
        # Neither does it hold up the end: `serving` waits for the server to stop.
        api.stop()
        stuck.close()


@pytest.mark.usefixtures("seed")
def test_open_feeds_do_not_hold_up_the_end(database_dsn):
    with serving(database_dsn.api, graceful_stop_s=300.0) as api, listening(api) as feed:
        feed.next("hello")
        api.stop()
        assert feed.next() is None
