"""The API as a process: what it refuses at the start, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from api.base_map import BaseMap
from api.errors import StartError
from api.service import check_exposure, listen
from api.settings import ApiSettings
from tests.api.sse import Stream
from tests.fixtures.ports import free_port


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "mizumori.example.lan"])
def test_listening_beyond_this_machine_needs_a_word(host):
    with pytest.raises(StartError, match=r"there is no login yet: keep 127\.0\.0\.1, or set"):
        check_exposure(ApiSettings(host=host))
    check_exposure(ApiSettings(host=host, allow_unauthenticated=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.53"])
def test_loopback_needs_none(host):
    check_exposure(ApiSettings(host=host))


def test_a_taken_port_is_named_with_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"port {port} on 127\.0\.0\.1: another program has"):
            listen(ApiSettings(port=port))


def test_an_address_of_another_machine_is_named():
    with pytest.raises(StartError, match=r"does not have that address: correct api\.host"):
        listen(ApiSettings(host="192.0.2.1", port=0))


def test_a_base_map_that_is_none_is_named(tmp_path):
    path = tmp_path / "map.geojson"
    with pytest.raises(StartError, match="cannot be read"):
        BaseMap.read(path)
    for text in ("", "[]", "{}", '{"features": [{"geometry": null}]}', '{"features": 3}'):
        path.write_text(text)
        with pytest.raises(StartError, match="is not a GeoJSON collection"):
            BaseMap.read(path)


SERVE = """
import sys
from api.service import run
from api.settings import ApiSettings
from store.database import Database
with Database(sys.argv[1], name="test-service") as database:
    run(ApiSettings(port=int(sys.argv[2]), graceful_stop_s=300), database)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("seed")
def test_a_signal_ends_it_orderly_although_feeds_are_open(database_dsn, number):
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, database_dsn.api, str(port)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.1)
        feed = Stream(port, "/api/v1/sakata/live")
        assert feed.next()["event"] == "hello"
        os.kill(process.pid, number)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        assert "Traceback" not in output
        assert "/ready" not in output  # no line per request
        assert feed.next() is None
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
