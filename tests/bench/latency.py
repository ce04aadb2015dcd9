"""How long a reading takes: from its publication to the commit, and to a browser."""

import json
import socket
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg
from numpy.typing import NDArray

from tests.bench.rig import DEVICES, Rig
from tests.bench.throughput import PATIENCE_S, load_of
from tests.fixtures.broker import TOWN

SETTLE_S = 2.0
# Reaching this part of a run means that everything is warm.
WARM = 0.2


@dataclass(frozen=True)
class Delay:
    """Percentiles in milliseconds; `seen` is the part of the messages that they are of."""

    p50_ms: float
    p99_ms: float
    seen: float


def measure(rig: Rig, rate: float, seconds: float) -> dict[str, Delay]:
    """Publish at a rate; return publication to commit, and with an API publication to event."""
    rig.start_gateway()
    [alone] = _run(rig, rate, seconds, None)
    with rig.api() as port:
        beside, shown = _run(rig, rate, seconds, port)
    rig.stop_gateway()
    return {
        "publish to commit": alone,
        "publish to commit, the API serving the live feed": beside,
        "publish to event on the live feed": shown,
    }


def _run(rig: Rig, rate: float, seconds: float, port: int | None) -> list[Delay]:
    """Publish for a while; return the delay to the commit, and to the event if there is a port."""
    messages = int(rate * seconds)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        times = Path(folder) / "sent.npy"
        load = load_of(rig, messages, 1, rate, str(times))
        ending = threading.Event()
        with rig.publishing(load) as publishing:
            notices = pool.submit(_notices, rig, ending)
            events = None if port is None else pool.submit(_events, port, ending)
            time.sleep(SETTLE_S)
            publishing.go()
            publishing.wait(PATIENCE_S)
            time.sleep(SETTLE_S)
            ending.set()
        sent = np.load(times)
    found = [_delay(sent, _committed(rig, sent, notices.result()))]
    if events is not None:
        found.append(_delay(sent, _shown(load.start_ms, messages, events.result())))
    return found


def _notices(rig: Rig, ending: threading.Event) -> list[tuple[float, str]]:
    """Gather the notices that commits send, with their moments."""
    found: list[tuple[float, str]] = []
    with psycopg.connect(rig.dsn.owner, autocommit=True) as conn:
        conn.execute("listen mizumori_live")
        while not ending.is_set():
            found += [(time.monotonic(), n.payload) for n in conn.notifies(timeout=0.5)]
    return found


def _events(port: int, ending: threading.Event) -> list[tuple[float, bytes]]:
    """Gather what the live feed sends, with the moments of its pieces."""
    found: list[tuple[float, bytes]] = []
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(f"GET /api/v1/{TOWN}/live HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        sock.settimeout(0.5)
        while not ending.is_set():
            try:
                piece = sock.recv(256 * 1024)
            except TimeoutError:
                continue
            if not piece:
                break
            found.append((time.monotonic(), piece))
    return found


def _committed(
    rig: Rig, sent: NDArray[np.float64], notices: list[tuple[float, str]]
) -> NDArray[np.float64]:
    """Return when each message was committed: the first notice of its datastream after it."""
    with psycopg.connect(rig.dsn.owner) as conn:
        rows = conn.execute(
            "select datastream_id, code from datastream join device using (device_id) "
            "where property = 'depth_m'"
        ).fetchall()
    device_of = {stream: int(code.rpartition("-")[2]) for stream, code in rows}
    moments: dict[int, list[float]] = {}
    for at, payload in notices:
        for stream in json.loads(payload).get("datastreams", ()):
            moments.setdefault(device_of[stream], []).append(at)
    done = np.full(len(sent), np.nan)
    for device, known in moments.items():
        own, times = np.arange(device, len(sent), DEVICES), np.array(known)
        place = np.searchsorted(times, sent[own])
        there = place < len(times)
        done[own[there]] = times[place[there]]
    return done


def _shown(start_ms: int, messages: int, pieces: list[tuple[float, bytes]]) -> NDArray[np.float64]:
    """Return when each message's reading was sent to the browser."""
    shown, rest = np.full(messages, np.nan), b""
    for at, piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if not line.startswith(b"data: ") or b'"device"' not in line:
                continue
            said = json.loads(line[6:])
            if "datastream" not in said:
                continue
            turn = (np.datetime64(said["time"].rstrip("Z"), "ms").astype(int) - start_ms) // 1000
            number = turn * DEVICES + int(said["device"].rpartition("-")[2])
            if 0 <= number < messages:
                shown[number] = at
    return shown


def _delay(sent: NDArray[np.float64], done: NDArray[np.float64]) -> Delay:
    taken = (done - sent)[int(len(sent) * WARM) :] * 1000
    seen = np.isfinite(taken)
    if not seen.any():
        return Delay(np.nan, np.nan, 0.0)
    p50, p99 = np.percentile(taken[seen], [50, 99])
    return Delay(float(p50), float(p99), float(seen.mean()))
