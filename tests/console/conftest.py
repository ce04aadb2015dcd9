"""The real API over a real database, for the browser."""

import functools
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from store.database import Database
from tests.console.town import Town

ROOT = Path(__file__).parents[2]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ApiProcess:
    """The API as a process that can be killed and started again on its port."""

    def __init__(self, dsn):
        self.dsn = dsn
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.console.serve", self.dsn, str(self.port)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx.get(f"{self.url}/health", timeout=2).raise_for_status()
            except httpx.HTTPError:
                assert self.process.poll() is None, self.process.stderr.read().decode()
                assert time.monotonic() < deadline, "the API did not start"
                time.sleep(0.05)
            else:
                return

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        self.process.stderr.close()

    def get(self, path):
        answer = httpx.get(f"{self.url}/api/v1{path}", timeout=20)
        answer.raise_for_status()
        return answer.json()


@pytest.fixture
def visit(browse, api_process):
    """Open the console of the API that the test may kill."""
    return functools.partial(browse, api_process.url)


@pytest.fixture
def api_process(database_dsn):
    api = ApiProcess(database_dsn.api)
    api.start()
    yield api
    api.kill()


@pytest.fixture
def owner(database_dsn):
    with Database(database_dsn.owner, name="test-seed", max_size=2) as database:
        yield database


@pytest.fixture
def town(owner):
    return Town(owner)
