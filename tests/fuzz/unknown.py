"""Spoiled messages of devices that the town does not know, and their approval."""

import collections
import random
import time

from gateway.decoder import Decoder
from gateway.message import Message
from gateway.newcomers import Newcomers
from gateway.quarantine import Quarantine
from gateway.settings import GatewaySettings
from store import newcomers
from store.mistakes import MistakesError
from tests.fuzz.decoded import CALM, calm, check
from tests.fuzz.ground import Ground
from tests.fuzz.pushed import Source
from tests.fuzz.seeds import FORMATS
from tests.fuzz.spoil import TOKENS, spoil

MESSAGES = 25
# Batches after which the town's devices that registered themselves are gone again.
FRESH_AFTER = 20
# What a person may say of a device when it is approved.
TEXTS = ("", " ", "水位計", "A" * 5000, "\x00", "plow", "active", "quarantined", "-")
NUMBERS = (None, 0.0, -1.0, 38.2, 1e308, float("inf"), float("nan"))
SAID = {
    "kind": TEXTS,
    "name_ja": TEXTS,
    "name_en": TEXTS,
    "state": TEXTS,
    "site": TEXTS,
    "lat": NUMBERS,
    "lon": NUMBERS,
    "expected_interval_s": NUMBERS[1:],
}


class Unknown:
    """Each message of an unknown device comes before a good one of a neighbour."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.decoder = Decoder(GatewaySettings())
        self.newcomers = Newcomers(ground.gateway)
        self.quarantine = Quarantine(per_hour=1000)
        self.batches = 0
        self.registry = ground.registry()

    def batch(self, dice: random.Random, seen: collections.Counter) -> None:
        source, now_ms = Source(self.ground.tenant_id), round(time.time() * 1000)
        messages = []
        for number in range(MESSAGES):
            topic = b"mz/v1/kawabe/d/new-%d/up" % dice.randrange(300)
            if dice.random() < 0.2:
                place = dice.randrange(len(topic))
                topic = topic[:place] + dice.choice(TOKENS) + topic[place:]
            body = spoil(dice, dice.choice(dice.choice(FORMATS)[2]))
            messages.append(Message(source, 1, 1, topic, body, now_ms))
            messages.append(Message(source, 1, 1, CALM, calm(number), now_ms))
        decoded = self.decoder.decode(messages, self.registry, 10**9)
        batch = self.newcomers.take_down(decoded, self.registry, [])
        assert len(batch.refused) == len(decoded.refused)
        check(batch, self.registry, MESSAGES, seen)
        with self.ground.gateway.transaction() as conn:
            self.quarantine.write(conn, batch.refused)
        self._approve(dice, seen)
        self.batches += 1
        if self.batches % FRESH_AFTER == 0:
            self._forget()

    def close(self) -> None:
        pass

    def _approve(self, dice: random.Random, seen: collections.Counter) -> None:
        """Let some in as a person would, who says odd things now and then."""
        owner, tenant = self.ground.owner, self.ground.tenant_id
        for _ in range(3):
            changes = {}
            if dice.random() < 0.5:
                name = dice.choice(list(SAID))
                changes[name] = dice.choice(SAID[name])
            try:
                with owner.transaction():
                    newcomers.approve(owner, tenant, f"new-{dice.randrange(300)}", changes)
            except MistakesError:
                seen["not_approved"] += 1
            except newcomers.NotThereError:
                seen["not_there"] += 1
            else:
                seen["approved"] += 1

    def _forget(self) -> None:
        with self.ground.owner.transaction():
            for table in ("link_state", "link_event", "datastream", "device"):
                of = "device_id in (select device_id from device where learned is not null)"
                self.ground.owner.execute(f"delete from {table} where {of}")
            self.ground.owner.execute("delete from quarantine")
        self.registry = self.ground.registry()
