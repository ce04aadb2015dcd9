"""Headers that keep the console to itself: no foreign script, no frame, no stale answer."""

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

API_PREFIX = "/api/"


def content_security_policy(tiles_url: str) -> str:
    """Write the policy: everything from here, pictures also from the host of the map tiles.

    Examples
    --------
    >>> "img-src 'self' data: https://tiles.example.lan;" in content_security_policy(
    ...     "https://tiles.example.lan/{z}/{x}/{y}.png"
    ... )
    True
    """
    images = "'self' data:"
    if tiles_url:
        parts = urlsplit(tiles_url)
        # Leaflet's {s} stands for one of several servers: a.tiles..., b.tiles...
        host = parts.netloc.replace("{s}", "*")
        images += f" {parts.scheme}://{host}"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        f"font-src 'self'; manifest-src 'self'; img-src {images}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class SecurityHeaders:
    """ASGI middleware that adds the headers to every answer."""

    def __init__(self, app: ASGIApp, tiles_url: str) -> None:
        self._app = app
        self._policy = content_security_policy(tiles_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and the answer back with the headers."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self._policy
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                headers["Cross-Origin-Opener-Policy"] = "same-origin"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                # The page asks each time, and the ETag spares the transfer; figures are never kept.
                api = scope["path"].startswith(API_PREFIX) or "etag" not in headers
                headers.setdefault("Cache-Control", "no-store" if api else "no-cache")
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
