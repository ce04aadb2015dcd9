"""How many readings go through, from a full queue and live, and what else can at the most."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import psycopg

from store.observations import Observations
from tests.bench import readers, table_copy
from tests.bench.publisher import Load
from tests.bench.rig import DEVICES, Rig
from tests.fixtures.broker import TOWN

# Without a notice for so long the database is asked whether everything has come.
QUIET_S = 0.5
STUCK_S = 60.0
PATIENCE_S = 600.0


@dataclass(frozen=True)
class Speed:
    """What was measured: messages a second, and microseconds of processor a message, by part."""

    what: str
    messages_per_s: float
    readings: int = 1
    processor_us: dict[str, float] = field(default_factory=dict)

    @property
    def readings_per_s(self) -> float:
        """Readings a second."""
        return self.messages_per_s * self.readings


def load_of(rig: Rig, messages: int, readings: int, rate: float = 0.0, times: str = "") -> Load:
    """Return a load whose readings are newer than every stored one."""
    return Load(TOWN, DEVICES, messages, readings, rig.start_ms(), rate, times=times)


def fill(rig: Rig, messages: int, readings: int) -> None:
    """Let messages wait at the broker; nobody listens."""
    with rig.publishing(load_of(rig, messages, readings)) as publishing:
        publishing.go()
        publishing.wait(PATIENCE_S)
    time.sleep(0.5)


def drain(rig: Rig, messages: int, readings: int) -> Speed:
    """Drain a full queue with the gateway; its start is not counted."""
    fill(rig, messages, readings)
    with _watched(rig, messages * readings) as watch:
        rig.start_gateway()
    rig.stop_gateway()
    return watch.speed(f"drain, {readings} a message", readings)


def live(rig: Rig, messages: int, readings: int) -> Speed:
    """Publish as fast as the broker lets us while the gateway takes in: until all is committed."""
    rig.start_gateway()
    load = load_of(rig, messages, readings)
    with rig.publishing(load) as publishing, _watched(rig, messages * readings) as watch:
        publishing.go()
        publishing.wait(PATIENCE_S)
    rig.stop_gateway()
    return watch.speed(f"live, {readings} a message", readings)


def peer_drain(rig: Rig, kind: str, messages: int, readings: int = 1) -> Speed:
    """Drain a full queue with one of `tests.bench.readers`."""
    fill(rig, messages, readings)
    return _peer(rig, kind, messages, readings, f"drain, {readings} a message")


def peer_live(rig: Rig, kind: str, messages: int, readings: int = 1) -> Speed:
    """Publish as fast as the broker lets us while a peer takes in."""
    with rig.publishing(load_of(rig, messages, readings)) as publishing:
        later = threading.Timer(1.0, publishing.go)
        later.start()
        speed = _peer(rig, kind, messages, readings, f"live, {readings} a message")
        later.join()
        publishing.wait(PATIENCE_S)
    return speed


def _peer(rig: Rig, kind: str, messages: int, readings: int, what: str) -> Speed:
    before = rig.processor_s()
    process = readers.start(kind, rig.sessions(), messages, rig.dsn.owner)
    first_s, last_s, own_s = readers.finish(process, PATIENCE_S)
    used = {name: s - before[name] for name, s in rig.processor_s().items()} | {"reader": own_s}
    return Speed(
        f"{kind}, {what}",
        messages / (last_s - first_s),
        readings,
        {name: s / messages * 1e6 for name, s in used.items()},
    )


def copy(rig: Rig, rows: int, batch: int) -> Speed:
    """COPY rows into the same table, a transaction a batch, and do nothing else."""
    with psycopg.connect(rig.dsn.gateway) as conn:
        streams = np.array(
            [row[0] for row in conn.execute("select datastream_id from datastream where "
                                            "property = 'depth_m' order by 1")], np.int32
        )  # fmt: skip
        n = batch - batch % len(streams)
        start = rig.start_ms()
        before, began = rig.processor_s(), time.monotonic()
        for first in range(0, rows, n):
            turn = (first + np.arange(n)) // len(streams)
            time_ms = start + 1000 * turn
            columns = Observations(
                np.tile(streams, n // len(streams)),
                np.ones(n, np.int32),
                time_ms,
                time_ms + 500,
                turn % 9 / 1000.0,
                turn,
                np.ones(n, np.uint8),
                np.zeros(n, np.int16),
                np.zeros(n, np.int16),
                np.full(n, np.nan),
            )
            table_copy.copy(conn, columns)
            conn.commit()
        seconds = time.monotonic() - began
        done = -(-rows // n) * n
        used = {name: s - before[name] for name, s in rig.processor_s().items()}
    return Speed(
        f"bare COPY, {n:,} a transaction",
        done / seconds,
        1,
        {name: s / done * 1e6 for name, s in used.items()},
    )


class _Watch:
    """When readings were committed, as the database's own notices tell, from the first on."""

    def __init__(self, rig: Rig, readings: int) -> None:
        self._rig = rig
        self._before = rig.stored()
        self._expected = self._before + readings
        self._began = self._ended = 0.0
        self._first = 0
        self._used: dict[str, float] = {}

    def run(self) -> None:
        """Look until everything is committed."""
        with psycopg.connect(self._rig.dsn.owner, autocommit=True) as conn:
            conn.execute("listen mizumori_live")
            next(conn.notifies(timeout=PATIENCE_S, stop_after=1))
            self._first = self._rig.stored() - self._before
            before, self._began = self._rig.processor_s(), time.monotonic()
            while True:
                came = False
                for _ in conn.notifies(timeout=QUIET_S):
                    self._ended, came = time.monotonic(), True
                after = self._rig.processor_s()
                stored = self._rig.stored()
                if stored >= self._expected:
                    break
                if not came and time.monotonic() - max(self._began, self._ended) > STUCK_S:
                    raise TimeoutError(f"{stored} of {self._expected} readings are stored")
        self._used = {name: after[name] - before[name] for name in after}

    def speed(self, what: str, readings: int) -> Speed:
        """Return what was seen from the first commit to the last."""
        messages = (self._expected - self._before - self._first) / readings
        if self._ended <= self._began:
            raise ValueError("too few messages: the first commit took all of them")
        return Speed(
            what,
            messages / (self._ended - self._began),
            readings,
            {name: s / messages * 1e6 for name, s in self._used.items()},
        )


@contextmanager
def _watched(rig: Rig, readings: int) -> Iterator[_Watch]:
    """Watch from before the gateway takes anything, until everything is committed."""
    watch = _Watch(rig, readings)
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(watch.run)
        yield watch
        looking.result()
