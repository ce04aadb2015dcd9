"""A disk that is full or read-only stops intake with a clear word; afterwards all goes on alone."""

import json
import re
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.chaos.disk import missing
from tests.chaos.ground import Ground
from tests.chaos.publisher import Publisher
from tests.chaos.rounds import TOWN, enrol, settled
from tests.fixtures.broker import wait_until

MESSAGES = 300
# What was being written when the disk became read-only has met another error than what came after.
WORDS = {"full": "no space left", "read-only": "(read-only|input/output error)"}


@pytest.fixture(scope="module")
def ground():
    if reason := missing():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="mizumori-disks-") as name:
        Path(name).chmod(0o711)  # the account that runs the database passes through
        made = Ground(Path(name))
        try:
            made.start()
            yield made
        finally:
            made.close()


@pytest.fixture(scope="module")
def publisher(ground):
    made = Publisher(TOWN, enrol(ground, 2), "127.0.0.1", ground.device_port, seed=5)
    yield made
    made.close()


def ready(ground):
    """What /ready answers: status and words."""
    try:
        with urllib.request.urlopen(f"{ground.url}/ready", timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def unready(ground, words=""):
    """Wait until /ready says so, in such words."""
    seen = []

    def told():
        seen.append(ready(ground))
        status, body = seen[-1]
        return status == 503 and re.search(words, json.dumps(body), re.IGNORECASE)

    try:
        wait_until(told)
    except TimeoutError:
        raise AssertionError(f"/ready says {seen[-1]}\n{ground.said()}\n{ground.logs()}") from None


def recovers(ground, publisher):
    """Nothing is done by hand: all is acknowledged and stored once, and /ready says so."""
    assert publisher.drain(120) == 0, f"{ground.said()}\n{ground.logs()}"
    found = settled(ground, publisher)
    assert found.sound, f"{found}\n{ground.logs()}"
    wait_until(lambda: ready(ground)[0] == 200, message="it is not ready again")


def doctor(ground):
    return ground.run("doctor", "--no-probe").stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", ["broker", "database"])
@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_bad_disk_loses_nothing_and_is_told(ground, publisher, part, kind):
    disk = ground.disks[f"{part}-disk"]
    publisher.send(MESSAGES, 100)
    recovers(ground, publisher)
    before = outages(ground)
    disk.fill() if kind == "full" else disk.spoil()
    try:
        publisher.send(MESSAGES, 100)
        if part == "broker":
            unready(ground, f"does not store messages.*{WORDS[kind]}")
            # What had been acknowledged is drained all the same.
            publisher.settle()
            assert not settled(ground, publisher).lost
        else:
            wait_until(lambda: outages(ground) > before, message="nobody noticed")
            unready(ground)
        said = doctor(ground)
        told = f"0.0 GB free for the {part}" if kind == "full" else WORDS[kind]
        assert re.search(told, said, re.IGNORECASE), said
    finally:
        if kind == "full":
            disk.free()
        else:
            disk.repair(lambda: ground.end(part))
    recovers(ground, publisher)


def outages(ground):
    """How often the gateway has said that the database is away."""
    log = ground.data_dir / "log" / "gateway.log"
    return log.read_text(errors="replace").count("database_away")
