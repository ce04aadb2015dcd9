"""A clock that drifts is named so, with its rate; not one that is off, that stepped, or is late."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from api.devices import Clock
from gateway.decoder import Decoder
from gateway.message import Message
from gateway.settings import GatewaySettings
from store import map as town_map
from store.clocks import WINDOW_MS
from store.database import Database
from tests.jobs.door import START_MS, Place

MINUTE_S, HOUR_S = 60.0, 3600.0
EVERY_S = 1200.0
HOURS = 60
# Three hours into a window.
BEGIN_MS = START_MS // WINDOW_MS * WINDOW_MS + WINDOW_MS + 10_800_000


def gains(minutes_per_hour):
    return lambda t: t * minutes_per_hour / 60.0


def steps(hour, before_s, after_s):
    return lambda t: np.where(t < hour * HOUR_S, before_s, after_s)


def heard_after(seconds):
    return lambda t, rng: t + rng.exponential(seconds, len(t))


def uploaded_every(hours):
    """What was kept comes at once."""
    return lambda t, _: np.ceil((t + 1) / (hours * HOUR_S)) * hours * HOUR_S


def some_hours_late(t, rng):
    """LoRa: minutes on the way, and of ten readings one waits for hours."""
    late = np.where(rng.random(len(t)) < 0.1, rng.uniform(0, 10 * HOUR_S, len(t)), 0.0)
    return t + rng.exponential(2 * MINUTE_S, len(t)) + late


def sent_on_slowly(t, _):
    """Offline for 20 hours; then one reading in 14 minutes, the oldest first, until the newest."""
    offline = t >= 4 * HOUR_S
    sent = 24 * HOUR_S + np.cumsum(offline) * 14 * MINUTE_S
    return np.where(offline, np.maximum(t, sent), t)


# Seconds ahead at t seconds; when a reading of t is received; the drift in seconds a day, or none.
CLOCKS = {
    "gains-1": (gains(1), heard_after(2), 1440.0),
    "gains-5": (gains(5), heard_after(2), 7200.0),
    "gains-5-lora": (gains(5), some_hours_late, 7200.0),
    "loses-1": (gains(-1), heard_after(2), -1440.0),
    "loses-10": (gains(-10), heard_after(2), -14400.0),
    "loses-10-lora": (gains(-10), some_hours_late, -14400.0),
    "quartz": (gains(1 / 12), heard_after(2), 120.0),
    "right": (gains(0), heard_after(2), None),
    "ahead": (steps(0, 0, 300), heard_after(2), None),
    "behind": (steps(0, 0, -10_800), heard_after(2), None),
    "summer-time": (steps(20, 0, 3600), heard_after(2), None),
    "winter-time": (steps(20, 0, -3600), heard_after(2), None),
    "restarted": (steps(31, 0, -47), heard_after(2), None),
    "fix-arrives": (steps(13, 5000, 0), heard_after(2), None),
    "lora": (gains(0), some_hours_late, None),
    "uploads": (gains(0), uploaded_every(7), None),
    "uploads-by-day": (gains(0), uploaded_every(24), None),
    "catches-up": (gains(0), sent_on_slowly, None),
}


@pytest.fixture
def place(database_dsn):
    made = Place(database_dsn)
    yield made
    made.close()


def arrivals(place):
    """Messages of all devices in the order of their receipt."""
    intake = SimpleNamespace(tenant_id=place.tenant_id, partition_no=None, partitions=1)
    found = []
    for number, (code, (ahead_s, received_s, _)) in enumerate(CLOCKS.items()):
        true_s = np.arange(0.0, HOURS * HOUR_S, EVERY_S) + number
        at_s = received_s(true_s, np.random.default_rng(number))
        said_ms = BEGIN_MS + np.round((true_s + ahead_s(true_s)) * 1000).astype(np.int64)
        for said, at in zip(
            said_ms.tolist(), (BEGIN_MS + np.round(at_s * 1000)).tolist(), strict=True
        ):
            payload = json.dumps({"ts": said, "m": {"depth_m": 0.0}}).encode()
            topic = f"mz/v1/kawabe/d/{code}/up".encode()
            found.append(Message(intake, 1, 1, topic, payload, int(at)))
    return sorted(found, key=lambda m: m.received_ms)


def seen(api, tenant_id):
    with api.transaction(tenant_id) as conn:
        return {row.code: Clock.of(row) for row in town_map.devices(conn)}


def test_only_a_clock_that_gains_or_loses_evenly_is_named_drifting_and_with_its_rate(
    place, database_dsn
):
    for code in CLOCKS:
        place.sensor((), code)
    place.door.load()
    decoder, door = Decoder(GatewaySettings()), place.door
    messages, taken, refused = arrivals(place), 0, 0
    with Database(database_dsn.api, name="test-api", answer_within_s=60) as api:
        for hour in range(3, HOURS, 3):
            until = BEGIN_MS + hour * 3_600_000
            some = [m for m in messages[taken:] if m.received_ms < until]
            taken += len(some)
            batch = decoder.decode(some, door.standing.registry, 1_000_000)
            refused += len(batch.refused)
            door.standing = door.committer.commit(batch, door.standing, door.leases, copy=False)
            clocks = seen(api, place.tenant_id)
            for code, (_, _, drift) in CLOCKS.items():
                clock = clocks[code]
                if clock is not None and (drift is None or hour < 12):
                    assert clock.state != "drifting", (code, hour, clock)
                elif hour > 30:
                    assert clock.state == "drifting", (code, hour, clock)
                    assert clock.drift_s_per_day == pytest.approx(drift, rel=0.1), (code, hour)
    assert refused > 500
    assert clocks["gains-5"].offset_s > 4 * HOUR_S
    assert clocks["gains-5"].refused_future > 100
    assert clocks["loses-10"].offset_s < -6 * HOUR_S
    assert clocks["ahead"].state == clocks["summer-time"].state == "ahead"
    assert clocks["behind"].state == clocks["winter-time"].state == "behind_or_delayed"
    assert (
        clocks["fix-arrives"].state == clocks["restarted"].state == clocks["right"].state == "right"
    )
