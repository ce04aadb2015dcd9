"""The API over a real database, served by the real server on a free port."""

import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from api.app import create_app
from api.service import listen, server
from api.settings import ApiSettings
from deploy.provisioning import provisioning as hands
from deploy.settings import Settings
from store.database import Database
from tests.api.seed import Seed


@dataclass(frozen=True)
class Api:
    """A served application."""

    app: object
    client: httpx.Client
    port: int
    stop: object

    def get(self, path, **query):
        return self.client.get(f"/api/v1{path}", params=query)

    def ok(self, path, **query):
        answer = self.get(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def problem(self, path, status, slug, **query):
        answer = self.get(path, **query)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        body = answer.json()
        assert body["type"] == f"urn:mizumori:problem:{slug}"
        assert body["status"] == status
        assert body["title"]
        assert body["title_ja"]
        assert body["detail"]
        return body


@contextmanager
def serving(
    dsn, checks=None, answer_within_s=30.0, provisioning=None, send_bytes=None, listens=True,
    **settings,
):  # fmt: skip
    """Serve the API for a database until the block ends, with patience for a busy machine.

    `send_bytes` is what the system takes of an answer that nobody reads. With `listens` it is
    served once the live feed hears of changes: what was announced before, no page hears of.
    """
    chosen = ApiSettings(port=0, **{"request_timeout_s": 60.0, **settings})
    database = Database(dsn, name="test-api", max_size=8, answer_within_s=answer_within_s)
    app = create_app(chosen, database, checks, provisioning or hands(Settings()))
    listener = listen(chosen)
    if send_bytes:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_bytes)
    port = listener.getsockname()[1]
    running = server(chosen, app)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()

    def stop():
        running.should_exit = True
        thread.join(60)
        assert not thread.is_alive()

    try:
        deadline = time.monotonic() + 60
        while not (running.started and (app.state.feed.connected or not listens)):
            assert time.monotonic() < deadline
            assert thread.is_alive()
            time.sleep(0.01)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield Api(app, client, port, stop)
    finally:
        stop()
        database.close()


@pytest.fixture
def seed(database_dsn):
    with Database(database_dsn.owner, name="test-seed", max_size=2, answer_within_s=60) as database:
        yield Seed(database)


@pytest.fixture
def api(database_dsn, seed):  # noqa: ARG001 (every test has its town)
    with serving(database_dsn.api) as served:
        yield served


@pytest.fixture
def stream(seed):
    """The depth of the town's flood sensor."""
    return seed.streams["f1", "depth_m"]
