"""A TCP line on loopback that is reset, cut, swallowed, forgotten and slowed, as networks do."""

import asyncio
import contextlib
import socket
import struct
import threading
from enum import StrEnum

HOST = "127.0.0.1"
CHUNK = 8192
# A poor mobile link: a fifth of a second there and back, 80 kB/s.
SLOW_S = 0.1


class Weather(StrEnum):
    """How a line is."""

    FAIR = "fair"
    SLOW = "slow"
    SWALLOW = "swallow"  # half-open: everything is taken, nothing arrives, nobody says so
    CUT = "cut"  # whoever connects is reset


class Line:
    """Hands connections on to a port, in a thread of its own.

    Parameters
    ----------
    target_port
        On 127.0.0.1.

    Attributes
    ----------
    port
        Where to connect instead.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._weather = Weather.FAIR
        self._ends: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()  # one a connection
        self._forgotten: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._take, HOST, 0))
        self.port = self._server.sockets[0].getsockname()[1]

    def set(self, weather: Weather) -> None:
        """Change the weather. What lived through swallowing has lost bytes: it is reset."""
        self._do(self._set(weather))

    def reset(self) -> None:
        """Reset every connection; new ones come about."""
        self._do(self._reset())

    def forget(self) -> None:
        """Swallow every connection for good, as a router does that has forgotten them.

        New ones come about. Neither end is told, and TCP itself finds nothing wrong.
        """
        self._do(self._forget())

    def close(self) -> None:
        """Reset everything and end."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _set(self, weather: Weather) -> None:
        if weather == Weather.CUT or self._weather == Weather.SWALLOW:
            await self._reset()
        self._weather = weather

    async def _reset(self) -> None:
        for writer in list(self._ends):
            _abort(writer)

    async def _forget(self) -> None:
        self._forgotten |= self._pumps

    async def _end(self) -> None:
        self._server.close()
        await self._reset()
        while self._pumps:
            await asyncio.wait(self._pumps)

    async def _take(self, near_reader, near: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pumps.add(task)
        self._ends.add(near)
        far = None
        try:
            if self._weather == Weather.CUT:
                return
            if self._weather == Weather.SWALLOW:
                await near_reader.read()  # connected, as far as the other side can tell
                return
            far_reader, far = await asyncio.open_connection(HOST, self._target_port)
            self._ends.add(far)
            await asyncio.gather(
                self._pump(task, near_reader, far), self._pump(task, far_reader, near)
            )
        except OSError:
            pass
        finally:
            for writer in filter(None, (near, far)):
                self._ends.discard(writer)
                _abort(writer)
            self._pumps.discard(task)
            self._forgotten.discard(task)

    async def _pump(
        self,
        task: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Hand on one direction until it ends; its end is the other's end as well."""
        while data := await reader.read(CHUNK):
            if self._is_lost(task):
                continue
            if self._weather == Weather.SLOW:
                await asyncio.sleep(SLOW_S)
            writer.write(data)
            await writer.drain()
        if self._is_lost(task):
            return  # the end is not heard of either
        with contextlib.suppress(OSError, RuntimeError):
            writer.close()

    def _is_lost(self, task: asyncio.Task[None]) -> bool:
        return self._weather == Weather.SWALLOW or task in self._forgotten


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset: with no time to linger the kernel sends no orderly end."""
    if writer.transport.is_closing():
        return
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
