"""Read server-sent events as a browser does."""

import contextlib
import json
import queue
import threading
import time

import httpx


class Stream:
    """Events of one connection, read in a thread."""

    def __init__(self, port, path):
        self.events = queue.Queue()
        self.status = None
        self.headers = None
        self._opened = threading.Event()
        self._stopped = False
        self._url = f"http://127.0.0.1:{port}{path}"
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        assert self._opened.wait(60)

    def _read(self):
        with (
            contextlib.suppress(httpx.HTTPError),
            httpx.Client(timeout=90) as client,
            client.stream("GET", self._url) as response,
        ):
            self.status, self.headers = response.status_code, response.headers
            self._opened.set()
            event = {}
            for line in response.iter_lines():
                if self._stopped:
                    return
                if line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif event:
                    event["data"] = json.loads(event["data"])
                    self.events.put(event)
                    event = {}
        self._opened.set()
        self.events.put(None)  # the end

    def next(self, kind=None, timeout=60):
        """The next event (of a kind), None at the end of the stream."""
        deadline = time.monotonic() + timeout
        while True:
            event = self.events.get(timeout=max(0.01, deadline - time.monotonic()))
            if event is None or kind is None or event["event"] == kind:
                return event

    def says_nothing(self, kind=None, seconds=0.3):
        try:
            self.next(kind, timeout=seconds)
        except queue.Empty:
            return True
        return False

    def close(self):
        self._stopped = True


@contextlib.contextmanager
def listening(api, path="/api/v1/sakata/live"):
    stream = Stream(api.port, path)
    try:
        yield stream
    finally:
        stream.close()
