"""A real browser before the real API over a real database."""

import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import sync_playwright

from store.database import Database
from tests.console.town import Town

ROOT = Path(__file__).parents[2]
GET = "Chromium is missing: get it with `apt install chromium`."
WIDE = {"width": 1280, "height": 800}
NARROW = {"width": 390, "height": 844}


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


# Playwright keeps an event loop in this thread while it runs, in which no other test could run
# one of its own: not for longer than a module.
@pytest.fixture(scope="module")
def chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        if os.environ.get("CI") == "true":
            pytest.fail(GET)
        pytest.skip(GET)
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to run as root; the pages are our own.
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


class Watched:
    """A page whose console, errors and requests are kept."""

    def __init__(self, page, url):
        self.page = page
        self.url = url
        self.complaints = []
        self.requests = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def _console(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, path="/"):
        self.page.goto(self.url + path)
        self.page.wait_for_selector('#connection[data-state="live"]')
        return self.page

    def foreign(self):
        inside = (self.url, "data:", "blob:")
        return [request for request in self.requests if not request.startswith(inside)]


@pytest.fixture
def browse(chromium):
    """Open a console: `browse(url, "/#/kawabe/flood", language="ja", size=WIDE)`."""
    contexts = []

    def open_page(url, path="/", *, language="ja", size=WIDE, strict=True, live=True, **context):
        locale = {"ja": "ja-JP", "en": "en-US"}[language]
        made = chromium.new_context(viewport=size, locale=locale, **context)
        made.set_default_timeout(20_000)
        watched = Watched(made.new_page(), url)
        contexts.append((made, watched, strict))
        if live:
            watched.open(path)
        else:
            watched.page.goto(url + path)
        return watched

    yield open_page
    try:
        for _, watched, strict in contexts:
            assert watched.foreign() == []
            if strict:
                assert watched.complaints == []
    finally:
        for made, _, _ in contexts:
            made.close()


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
