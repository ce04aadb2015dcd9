"""A bound on what a request may bring along, before anybody keeps it in memory."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import Kind
from api.problems import problem_response
from detectors.sentence import Sentence


class BodyLimit:
    """ASGI middleware that answers 413 to a body beyond the limit.

    Parameters
    ----------
    app
        The application.
    most_bytes
        Of one body. A length that the request names is believed at once; a body without one is
        counted as it comes.
    """

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._detail = Sentence(
            "A request may bring at most {most} bytes (api.max_body_bytes).", most=most_bytes
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on unless it is too large."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _named_length(scope) > self._most_bytes:
            await self._refuse(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._most_bytes:
                raise HTTPException(Kind.TOO_LARGE.status, self._detail)
            return message

        await self._app(scope, counted, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        # What is still under way of it is not waited for.
        headers = {"Connection": "close"}
        response = problem_response(Kind.TOO_LARGE, self._detail, scope, headers=headers)
        await response(scope, receive, send)


def _named_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
