"""Messages of devices, of every format, through the decoder; and what may be said of any batch."""

import collections
import math
import random

from gateway.batch import Batch
from gateway.decoder import Decoder
from gateway.message import Message
from gateway.reasons import Reason
from gateway.registry import Registry, build
from gateway.settings import GatewaySettings
from store.fleet import DatastreamRow, DeviceRow, FleetRows, TownRow
from tests.fuzz.seeds import FORMATS
from tests.fuzz.spoil import TOKENS, spoil
from tests.gateway.conftest import NOW_MS

BATCH = 50
PROPERTIES = ("depth_m", "temp_c")
CALM = b"mz/v1/kawabe/d/calm/up"


class Source:
    tenant_id, partition_no, partitions = 1, None, 4


def town() -> Registry:
    """A device of every format, and a neighbour."""
    devices = [
        DeviceRow(number, 1, None, f"dev-{number}", "plow", "active", codec, 60.0, params)
        for number, (codec, params, _) in enumerate(FORMATS, 1)
    ]
    devices.append(DeviceRow(1000, 1, None, "calm", "flood_level", "active", "native", 60.0))
    streams = [
        DatastreamRow(10 * device.device_id + n, 1, device.device_id, name)
        for device in devices
        for n, name in enumerate(PROPERTIES)
    ]
    return build(FleetRows([TownRow(1, "kawabe", False)], devices, streams, [], None, {}))


def message(topic: bytes, payload: bytes) -> Message:
    return Message(Source(), 1, 1, topic, payload, NOW_MS)


def calm(number: int) -> bytes:
    return b'{"ts": %d, "m": {"depth_m": 0.5}}' % (NOW_MS + number)


def check(batch: Batch, registry: Registry, neighbours: int, seen: collections.Counter) -> None:
    """Hold a decoded batch to what every batch is to be, with so many readings of the neighbour."""
    own = registry.devices[next(iter(registry.town_codes)), "calm"].streams["depth_m"]
    assert (batch.rows.sensor == own).sum() == neighbours, "a neighbour was lost"
    for refused in batch.refused:
        assert refused.reason in set(Reason)
        assert len(refused.detail) <= 600, refused.detail
        seen[str(refused.reason)] += 1
    settings = GatewaySettings()
    assert not any(math.isinf(value) for value in batch.rows.value.tolist())
    received = [one.received_ms for one in batch.messages]
    times = batch.rows.time_ms.tolist() + [one.time_ms for one in batch.positions]
    assert max(times) <= max(received) + settings.max_future_s * 1000 + len(received)
    assert min(times) >= settings.earliest_time.timestamp() * 1000
    for place in batch.positions:
        for number in (place.lat, place.lon, place.speed_kmh, place.course_deg, place.hdop):
            assert number is None or abs(number) <= 1e6


class Decoded:
    """Each spoiled message comes between two good ones of a neighbour."""

    def __init__(self) -> None:
        self.registry, self.decoder = town(), Decoder(GatewaySettings())

    def batch(self, dice: random.Random, seen: collections.Counter) -> None:
        messages = [message(CALM, calm(0))]
        for number in range(1, BATCH + 1):
            device = dice.randrange(len(FORMATS))
            payload = spoil(dice, dice.choice(FORMATS[device][2]))
            topic = b"mz/v1/kawabe/d/dev-%d/up" % (device + 1)
            if dice.random() < 0.1:
                place = dice.randrange(len(topic))
                topic = topic[:place] + dice.choice(TOKENS) + topic[place + dice.randrange(3) :]
            messages += [message(topic, payload), message(CALM, calm(number))]
        found = self.decoder.decode(messages, self.registry, 10**9)
        assert len(found.messages) == len(messages)
        check(found, self.registry, BATCH + 1, seen)
        seen["accepted"] += BATCH - len(found.refused)
        assert len(self.registry._routes) <= len(FORMATS) + 1, "topics nobody has are remembered"

    def close(self) -> None:
        pass
