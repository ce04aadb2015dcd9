"""Answers are sent gzipped to whoever takes them so: a town's line is often a narrow one."""

import re
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What is smaller goes out in one packet either way.
LEAST_BYTES: Final = 1400
# Measured: docs/performance.md, "The console with a large town".
LEVEL: Final = 5
_TAKES_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))")


class Compression:
    """ASGI middleware that gzips answers.

    The live feed, pictures in pixels and parts of a file go out as they are. Nothing secret can be
    guessed from the length of an answer: there is no cookie that another page could make a browser
    send along, a token comes only from who knows it, and no answer puts a stored secret beside what
    a request says. A login by cookie would have to keep its secrets out of these bodies.

    Parameters
    ----------
    app
        The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._gzipping = GZipMiddleware(app, minimum_size=LEAST_BYTES, compresslevel=LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        gzips = _TAKES_GZIP.search(Headers(scope=scope).get("accept-encoding", "")) is not None
        head = scope["method"] == "HEAD"

        async def send_described(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if "Accept-Encoding" not in headers.get("vary", ""):
                    headers.add_vary_header("Accept-Encoding")
                if gzips:
                    _describe(headers, message["status"], head=head)
            await send(message)

        await (self._gzipping if gzips and not head else self._app)(scope, receive, send_described)


def _describe(headers: MutableHeaders, status: int, *, head: bool) -> None:
    """Say of an answer what is true of its gzipped form too."""
    if status in {200, 304} and "etag" in headers and not headers["etag"].startswith("W/"):
        # Plain and gzipped are the same answer but not the same bytes: nobody may take a part of
        # the one for a part of the other.
        headers["ETag"] = f"W/{headers['etag']}"
    if head and "content-length" in headers:
        del headers["content-length"]  # nobody has gzipped it to know
    if "content-encoding" in headers and "accept-ranges" in headers:
        del headers["accept-ranges"]
