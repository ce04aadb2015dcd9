"""One browser at the live feed: a bounded queue, and an end for those that read too slowly."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable


class Subscriber:
    """Bytes that wait for one browser.

    Parameters
    ----------
    most
        Events that may wait; one more, and all are replaced by `farewell`.
    farewell
        What tells the browser to load everything anew.
    """

    def __init__(self, most: int, farewell: Callable[[], bytes]) -> None:
        self._most = most
        self._farewell = farewell
        self._waiting: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self.ended = False

    def give(self, event: bytes) -> bool:
        """Queue one event; False if the browser has fallen too far behind and was let go."""
        if self.ended:
            return True
        if len(self._waiting) >= self._most:
            self._waiting.clear()
            self._waiting.append(self._farewell())
            self.end()
            return False
        self._waiting.append(event)
        self._wake.set()
        return True

    def end(self) -> None:
        """Close the stream after what is queued."""
        self.ended = True
        self._wake.set()

    async def stream(self, heartbeat: Callable[[], bytes], every_s: float) -> AsyncIterator[bytes]:
        """Yield what is queued, and a heartbeat at every ``every_s`` seconds."""
        loop = asyncio.get_running_loop()
        due = loop.time() + every_s
        while True:
            if loop.time() >= due:
                self._waiting.append(heartbeat())
                due += every_s
            if self._waiting:
                chunk = b"".join(self._waiting)
                self._waiting.clear()
                yield chunk
                continue
            if self.ended:
                return
            self._wake.clear()
            try:
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            except TimeoutError:
                pass
