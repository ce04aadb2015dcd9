"""Operators' own topics and Sparkplug groups: from a stream of spoiled messages to devices'."""

import collections
import random
from datetime import UTC, datetime

from gateway.decoder import Decoder
from gateway.foreign_topic import ForeignTopic
from gateway.message import Message
from gateway.operator_topics import overlap, parse_topics
from gateway.reasons import Reason
from gateway.registry import build
from gateway.relay.translation import SparkplugTranslator, TopicTranslator, Translated
from gateway.settings import GatewaySettings
from gateway.sparkplug.host import Host
from store.fleet import DatastreamRow, DeviceRow, FleetRows, TownRow
from tests.fuzz.decoded import BATCH, PROPERTIES, check, message
from tests.fuzz.seeds import ENTRIES, FORMATS
from tests.fuzz.spoil import TOKENS, spoil
from tests.gateway.conftest import NOW_MS
from tests.gateway.sparkplug_messages import (
    DOUBLE,
    INT64,
    double,
    long_,
    metric,
    payload,
)

GROUP = "spBv1.0/ponds/"  # what the broker lets through
EDGES = ("gate", "calm", "pump", "made-up")
DEVICES = ("", "pond-1", "pond-2")
KINDS = ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH", "NCMD", "STATE")
TOPICS = "application/+/device/{device}/event/up"
SAMPLE = "application/7/device/{}/event/up"
# More edge nodes and devices than a host remembers, so that what it forgets is met too.
MADE_UP = 5_000
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


class Session:
    operator_codec, window_messages = "sparkplug-b", 100


class Source:
    """An operator's intake. None of its messages is overtaken once it is long subscribed."""

    tenant_id, partition_no, partitions, generation = 1, None, 4, 1
    session = Session()
    subscribed_since: datetime | None = None


def registry():
    """Devices of the edge nodes, one of a network server, and the neighbour."""
    codes = [f"{edge}_{device}".strip("_") for edge in EDGES for device in DEVICES]
    params = {"map": ENTRIES}
    devices = [
        DeviceRow(number, 1, None, code, "pond_probe", "active", "sparkplug-b", 60.0, params)
        for number, code in enumerate(codes, 1)
    ]
    codec, params, _ = FORMATS[9]
    devices.append(DeviceRow(500, 1, None, "lora", "pond_probe", "active", codec, 60.0, params))
    streams = [
        DatastreamRow(10 * device.device_id + n, 1, device.device_id, name)
        for device in devices
        for n, name in enumerate(PROPERTIES)
    ]
    return build(FleetRows([TownRow(1, "kawabe", False)], devices, streams, [], None, {}))


def _birth(seq: int, ts: int) -> bytes:
    return payload(
        metric("bdSeq", kind=INT64, value=long_(0)),
        metric("pressure", alias=1, kind=DOUBLE, value=double(0.05)),
        metric("temperature", alias=2, kind=DOUBLE, value=double(9)),
        ts=ts, seq=seq,
    )  # fmt: skip


def _data(seq: int, ts: int) -> bytes:
    return payload(
        metric(alias=1, ts=ts, value=double(0.05)), metric(alias=2, value=double(8)), ts=ts, seq=seq
    )


class Relayed:
    """Each spoiled message comes between two good ones of a calm edge node."""

    def __init__(self) -> None:
        self.registry, self.decoder = registry(), Decoder(GatewaySettings())
        self.source = Source()
        self.host = Host()
        self.sparkplug = SparkplugTranslator("kawabe", self.host, overtaken_s=1.0)
        self.topics = TopicTranslator("kawabe", ForeignTopic.parse(TOPICS))
        self.sent = 0
        self.seq = 0

    def batch(self, dice: random.Random, seen: collections.Counter) -> None:
        self._parse(dice, seen)
        if dice.random() < 0.3:
            self._server(dice, seen)
        else:
            self._nodes(dice, seen)

    def close(self) -> None:
        pass

    def _parse(self, dice: random.Random, seen: collections.Counter) -> None:
        """Read spoiled topics as an operator's settings have them, and look for devices in them."""
        texts = [
            _odd(dice, dice.choice((TOPICS, "tele/{device}/SENSOR", "spBv1.0/ponds/#")))
            for _ in range(2)
        ]
        found = []
        for text in texts:
            try:
                found.append(parse_topics(text))
            except ValueError:
                seen["topics_refused"] += 1
        for one in found:
            assert not any(overlap(one, other) != overlap(other, one) for other in found)
            if isinstance(one, ForeignTopic):
                assert one.subjects("kawabe", 8)
                one.device_in(_odd(dice, one.filter))

    def _server(self, dice: random.Random, seen: collections.Counter) -> None:
        good = dice.choice(FORMATS[9][2])
        messages = [self._message(SAMPLE.format("lora"), good)]
        for _ in range(BATCH):
            topic = SAMPLE.format(dice.choice(("lora", "unknown", "calm", "水位", "")))
            topic = _odd(dice, topic) if dice.random() < 0.5 else topic
            messages += [self._message(topic, spoil(dice, good)), messages[0]]
        self.source.session = type("Session", (Session,), {"operator_codec": "chirpstack"})
        out = self.topics.translate(messages, self.registry)
        assert out.settled == messages
        self._hold(out, seen)
        kept = [body for topic, body in out.messages if topic == "mz/v1/kawabe/d/lora/up"]
        assert kept.count(good) >= BATCH + 1, "a neighbour was lost"

    def _nodes(self, dice: random.Random, seen: collections.Counter) -> None:
        self.source.session = Session()
        # The broker has just come back, or has long been there.
        lately = dice.random() < 0.5
        self.source.subscribed_since = None if lately else LONG_AGO
        messages = [self._neighbour("NBIRTH", _birth(0, self._tick()))]
        for _ in range(BATCH):
            messages.append(self._spoiled(dice))
            messages.append(self._neighbour("NDATA", _data(self._next(), self._tick())))
        waiting = len(self.sparkplug.unread)
        out = self.sparkplug.translate(messages, self.registry)
        assert len(out.settled) + len(self.sparkplug.unread) == len(messages) + waiting
        if dice.random() < 0.2:  # the broker did not confirm: all of it comes again
            self.sparkplug.begin_again()
            again = [
                Message(self.source, 1, m.mid, m.topic, m.payload, NOW_MS, False, True)
                for m in messages
            ]
            out = self.sparkplug.translate(again, self.registry)
            assert len(out.settled) + len(self.sparkplug.unread) == len(again)
        if lately and dice.random() < 0.5:
            self.source.subscribed_since = LONG_AGO  # the wait is over
            self._hold(self.sparkplug.translate([], self.registry), seen)
            assert not self.sparkplug.unread
        assert len(self.sparkplug.unread) <= Session.window_messages // 2
        self._hold(out, seen)
        calm = [
            message(topic.encode(), body)
            for topic, body in out.messages
            if topic == "mz/v1/kawabe/d/calm/up"
        ]
        check(self.decoder.decode(calm, self.registry, 10**9), self.registry, BATCH + 1, seen)

    def _hold(self, out: Translated, seen: collections.Counter) -> None:
        """Hold what was made of messages to what may be published, and to what can be decoded."""
        for topic, body in (*out.messages, *out.status, *out.commands):
            assert topic.isprintable()
            assert not set(topic) & set("+#\x00")
            assert isinstance(body, bytes)
        for one in out.refused:
            assert one.reason in set(Reason)
            assert len(one.detail) <= 600, one.detail
            seen[str(one.reason)] += 1
        seen["handed_on"] += len(out.messages)
        seen["births_kept"] += len(out.births)
        handed = [message(topic.encode(), body) for topic, body in out.messages]
        batch = self.decoder.decode(handed, self.registry, 10**9)
        assert len(batch.messages) == len(handed)

    def _message(self, topic: str, body: bytes, mid: int = 1) -> Message:
        return Message(self.source, 1, mid, topic.encode("utf-8", "surrogatepass"), body, NOW_MS)

    def _neighbour(self, kind: str, body: bytes) -> Message:
        return self._message(f"spBv1.0/ponds/{kind}/calm", body)

    def _spoiled(self, dice: random.Random) -> Message:
        made_up = f"e{dice.randrange(MADE_UP)}"
        edge = dice.choice(("gate", "pump", "made-up", made_up))
        device = dice.choice((*DEVICES, made_up))
        kind = dice.choice(KINDS)
        topic = f"{GROUP}{kind}/{edge}" + (f"/{device}" if kind.startswith("D") else "")
        if dice.random() < 0.1:
            topic = GROUP + _odd(dice, topic.removeprefix(GROUP))
        seq, ts = dice.randrange(256), NOW_MS + dice.randrange(-10_000, 10_000)
        body = _birth(seq, ts) if kind.endswith("BIRTH") else _data(seq, ts)
        body = spoil(dice, body) if dice.random() < 0.5 else body
        one = self._message(topic, body, dice.randrange(3))
        return one if b"/calm" not in one.topic else self._spoiled(dice)

    def _tick(self) -> int:
        self.sent = (self.sent + 1) % 500_000
        return NOW_MS + self.sent

    def _next(self) -> int:
        self.seq = self.seq % BATCH + 1
        return self.seq


def _odd(dice: random.Random, topic: str) -> str:
    place = dice.randrange(len(topic) + 1)
    token = dice.choice((*(one.decode("latin-1") for one in TOKENS), "/", "+", "#", "{device}", ""))
    return topic[:place] + token + topic[place + dice.randrange(5) :]
