"""Spoiled messages of every format through the decoder: `python -m tests.fuzz --cases 1000000`.

Each one comes between two good ones of a neighbour. Nothing may escape, no neighbour may be lost,
memory may not grow, and what is accepted must be storable: finite or missing, within the times
of the settings.
"""

import argparse
import collections
import math
import random
import resource
import sys
import time

from gateway.decoder import Decoder
from gateway.intake import Message
from gateway.reasons import Reason
from gateway.registry import build
from gateway.settings import GatewaySettings
from store.fleet import DatastreamRow, DeviceRow, FleetRows, TownRow
from tests.fuzz.seeds import FORMATS
from tests.fuzz.spoil import TOKENS, spoil
from tests.gateway.conftest import NOW_MS

BATCH = 50
PROPERTIES = ("depth_m", "temp_c")


class Source:
    tenant_id, partition_no, partitions = 1, None, 4


def town():
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


def good(number: int) -> Message:
    return message(
        b"mz/v1/kawabe/d/calm/up", b'{"ts": %d, "m": {"depth_m": 0.5}}' % (NOW_MS + number)
    )


def batch_of(dice: random.Random) -> tuple[list[Message], int]:
    """Return spoiled messages with good ones between them, and how many are good."""
    messages = [good(0)]
    for number in range(1, BATCH + 1):
        device = dice.randrange(len(FORMATS))
        payload = spoil(dice, dice.choice(FORMATS[device][2]))
        topic = b"mz/v1/kawabe/d/dev-%d/up" % (device + 1)
        if dice.random() < 0.1:
            place = dice.randrange(len(topic))
            topic = topic[:place] + dice.choice(TOKENS) + topic[place + dice.randrange(3) :]
        messages += [message(topic, payload), good(number)]
    return messages, BATCH + 1


def check(decoder: Decoder, registry, messages, calm: int, seen: collections.Counter) -> None:
    batch = decoder.decode(messages, registry, 10**9)
    assert len(batch.messages) == len(messages)
    seen["accepted"] += len(messages) - calm - len(batch.refused)
    own = registry.devices[1, "calm"].streams["depth_m"]
    assert (batch.rows.sensor == own).sum() == calm, "a neighbour was lost"
    for refused in batch.refused:
        assert refused.reason in set(Reason)
        assert len(refused.detail) <= 600, refused.detail
        seen[str(refused.reason)] += 1
    settings = GatewaySettings()
    assert not any(math.isinf(value) for value in batch.rows.value.tolist())
    times = batch.rows.time_ms.tolist() + [one.time_ms for one in batch.positions]
    assert max(times) <= NOW_MS + settings.max_future_s * 1000 + len(messages)
    assert min(times) >= settings.earliest_time.timestamp() * 1000
    for place in batch.positions:
        for number in (place.lat, place.lon, place.speed_kmh, place.course_deg, place.hdop):
            assert number is None or abs(number) <= 1e6


def run(cases: int, seed: int, report=lambda *_: None) -> collections.Counter:
    """Decode so many spoiled messages."""
    registry, seen = town(), collections.Counter()
    decoder = Decoder(GatewaySettings())
    done = 0
    while done < cases:
        # A batch is repeatable by itself: the seed and its number.
        dice = random.Random(f"{seed}/{done}")
        messages, calm = batch_of(dice)
        try:
            check(decoder, registry, messages, calm, seen)
        except BaseException:
            print(f"batch {seed}/{done}", file=sys.stderr)
            raise
        done += BATCH
        report(done)
        registry._routes.clear()
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started, sizes = time.monotonic(), []

    def report(done: int) -> None:
        if done % 50_000 == 0:
            sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
            print(f"{done} cases, at most {sizes[-1] // 1024} MiB", flush=True)

    seen = run(arguments.cases, arguments.seed, report)
    if len(sizes) > 4:
        half = sizes[len(sizes) // 2]
        assert sizes[-1] < half * 1.1, f"memory grows: {sizes}"
    print(f"{arguments.cases} cases in {time.monotonic() - started:.0f} s, nothing escaped")
    for reason, count in seen.most_common():
        print(f"{count:>9} {reason}")


if __name__ == "__main__":
    main()
