"""The real API over a real database, for the browser."""

import functools
import multiprocessing
import time

import httpx
import pytest

from store.database import Database
from tests.console import serve
from tests.console.town import Town
from tests.fixtures.ports import free_port

# Loading the API takes longer than most tests here: one process does, and forks off the others.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.console.serve"])


class ApiProcess:
    """The API as a process that can be killed and started again on its port."""

    def __init__(self, dsn):
        self.dsn = dsn
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        self.process = PROCESSES.Process(target=serve.main, args=(self.dsn, str(self.port)))
        self.process.start()
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{self.url}/health", timeout=2).raise_for_status()
            except httpx.HTTPError:
                assert self.process.is_alive(), f"the API ended with {self.process.exitcode}"
                assert time.monotonic() < deadline, "the API did not start"
                time.sleep(0.02)
            else:
                return

    def kill(self):
        self.process.kill()
        self.process.join(60)

    def get(self, path):
        answer = httpx.get(f"{self.url}/api/v1{path}", timeout=60)
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
    with Database(database_dsn.owner, name="test-seed", max_size=2, answer_within_s=60) as database:
        yield database


@pytest.fixture
def town(owner):
    return Town(owner)
