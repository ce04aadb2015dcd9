"""Spoiled requests to the HTTP listener, and what it hands on of them."""

import asyncio
import collections
import json
import random
import time

from gateway.decoder import Decoder
from gateway.message import Message
from gateway.push.app import PushApp
from gateway.push.delivery import Delivery
from gateway.push.receipts import Receipts
from gateway.quarantine import Quarantine
from gateway.settings import BrokerSettings, GatewaySettings
from tests.fuzz.decoded import check
from tests.fuzz.ground import OPERATORS, TOKEN, Ground
from tests.fuzz.seeds import FORMATS
from tests.fuzz.spoil import TOKENS, spoil

REQUESTS = 25
ANSWERS = {202, 400, 401, 403, 404, 405, 413, 422}
CODES = ("dev-1", "unknown", "", "水位", "\x00", "a" * 100, "../calm", "dev-10", "%2e")


class Source:
    partition_no, partitions = None, 1

    def __init__(self, tenant_id: int) -> None:
        self.tenant_id = tenant_id


class Confirmed:
    @staticmethod
    def is_published() -> bool:
        return True


class Straight(Delivery):
    """A delivery whose broker confirms at once and whose gateway commits at once."""

    def __init__(self, ground: Ground, settings: GatewaySettings, registry) -> None:
        self.receipts = Receipts(ground.gateway)
        broker = BrokerSettings(kind="mosquitto", host="nowhere")
        super().__init__(ground.gateway, broker, settings, lambda: registry, self.receipts)
        self.account = ground.account
        self.published: list[tuple[str, bytes]] = []

    def _publisher(self, _tenant_id: int):
        return self

    def publish(self, messages):
        *bodies, (_, receipt) = messages
        self.published += bodies
        self.receipts._seen(json.loads(receipt)["probe"])
        return [Confirmed()] * len(messages)


class Pushed:
    """Spoiled requests, each before a good one, all under one settings' limits."""

    def __init__(self, ground: Ground) -> None:
        self.ground, self.registry = ground, ground.registry()
        self.settings = GatewaySettings(
            push_per_minute=10**9, push_wait_s=120, max_message_bytes=20_000
        )
        self.delivery = Straight(ground, self.settings, self.registry)
        self.app = PushApp(self.settings, ground.gateway, self.delivery)
        self.decoder = Decoder(self.settings)
        self.quarantine = Quarantine(per_hour=1000)
        self.runner = asyncio.Runner()

    def batch(self, dice: random.Random, seen: collections.Counter) -> None:
        now_ms = round(time.time() * 1000)
        for number in range(REQUESTS):
            status, said = self.runner.run(self._ask(*self._spoiled(dice)))
            assert status in ANSWERS, said
            seen[f"{status} {said.get('outcome', '')}".strip()] += 1
            good = b'{"ts": %d, "m": {"depth_m": 0.5}}' % (now_ms + number)
            status, said = self.runner.run(self._ask("/push/kawabe/calm", _headers("own"), [good]))
            assert (status, said["outcome"]) == (202, "stored"), "a neighbour was lost"
        published, self.delivery.published = self.delivery.published, []
        source = Source(self.ground.tenant_id)
        messages = [
            Message(source, 1, 1, topic.encode(), body, now_ms) for topic, body in published
        ]
        batch = self.decoder.decode(messages, self.registry, 10**9)
        assert len(batch.messages) == len(messages)
        check(batch, self.registry, REQUESTS, seen)
        with self.ground.gateway.transaction() as conn:
            self.quarantine.write(conn, batch.refused)
        assert not self.delivery.receipts._waiting
        assert not any(self.delivery._under_way.values())

    def close(self) -> None:
        self.runner.close()
        self.app.close()

    async def _ask(self, path, headers, chunks, method="POST", query=b""):
        """Send one request; return the status and the document of the answer."""
        events = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        if events:
            events[-1]["more_body"] = False
        coming, sent = iter(events), []

        async def receive():
            return next(coming, {"type": "http.disconnect"})

        async def send(event):
            sent.append(event)

        scope = {
            "type": "http", "path": path, "method": method, "headers": headers,
            "query_string": query,
        }  # fmt: skip
        await self.app(scope, receive, send)
        start, body = sent
        return start["status"], json.loads(body["body"])

    def _spoiled(self, dice: random.Random):
        operator, codec, field = dice.choice(OPERATORS)
        number = dice.choice([n for n, one in enumerate(FORMATS) if one[0] == codec])
        body = dice.choice(FORMATS[number][2])
        if field and dice.random() < 0.7:
            body = _naming(dice, body, field)
        if dice.random() < 0.8:
            body = spoil(dice, body)
        device = dice.choice(CODES) if dice.random() < 0.5 else f"dev-{number + 1}"
        path = f"/push/kawabe/{device}" if dice.random() < 0.5 else "/push/kawabe"
        if dice.random() < 0.1:
            place = dice.randrange(len(path))
            path = path[:place] + dice.choice(TOKENS).decode("latin-1") + path[place:]
        headers = _headers(operator)
        if dice.random() < 0.2:
            odd = dice.choice(TOKENS) if dice.random() < 0.8 else b"9" * 5000
            name = dice.choice((b"authorization", b"content-length", b"idempotency-key"))
            headers.append((name, odd + dice.randbytes(3)))
        if dice.random() < 0.3:
            headers.append((b"idempotency-key", b"%d" % dice.randrange(10)))
        cuts = sorted(dice.randrange(len(body) + 1) for _ in range(dice.randrange(3)))
        chunks = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        if dice.random() < 0.02:
            chunks = []  # the sender goes before it has said anything
        query = dice.choice((b"", b"event=up", b"", b"event=join", b"%ff&&=;" * 50, b"event=%00"))
        return path, headers, chunks, "PUT" if dice.random() < 0.05 else "POST", query


def _headers(operator: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + TOKEN.format(operator).encode())]


def _naming(dice: random.Random, body: bytes, field: str) -> bytes:
    """Let a body name its device, as a text, a number, or something that is no name at all."""
    value = json.loads(body)
    *path, last = field.split(".")
    place = value
    for part in path:
        place = place.setdefault(part, {})
    place[last] = dice.choice((*CODES, *CODES, 5, 10**30, -1, 1e300, True, None, ["dev-1"], {}))
    return json.dumps(value).encode()
