import json
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from firmware_sim import town
from firmware_sim.errors import TownError
from firmware_sim.modem import Broker
from firmware_sim.plan import demo_plan
from tests.firmware_sim.desk import Desk
from tests.fixtures.broker import wait_until

CODES = [device["code"] for device in demo_plan().devices]


def short_plan(history_h, **changes):
    """The demo town with few hours of history, in a storm that began 20 s before its start.

    `changes` replace parts of a device.
    """
    devices = tuple(
        {**device, "history_h": history_h, **changes.get(device["code"], {})}
        for device in demo_plan().devices
    )
    storm = {**demo_plan().storm, "first_after_s": -20}
    return replace(demo_plan(), devices=devices, storm=storm)


class RunningTown:
    """The demo town against a broker, with fewer hours of history and the chosen faults."""

    def __init__(self, nats, memory_file, **changes):
        self.stop = threading.Event()
        self.said, self.tally, self.error = [], None, None
        self._arguments = {
            "broker": Broker(nats.host, nats.mqtt_port),
            "secrets": {code: nats.secrets["mizumori", code] for code in CODES},
            "stop": self.stop,
            "plan": short_plan(0.1, **changes),
            "memory_file": memory_file,
            "report": self.said.append,
        }
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            self.tally = town.run(**self._arguments)
        except Exception as error:  # noqa: BLE001  shown by end()
            self.error = error

    def end(self):
        self.stop.set()
        self._thread.join(20)
        assert self.error is None, self.error
        return self.tally


@pytest.fixture
def broker(nats):
    nats.add_town("mizumori", CODES)
    return nats


def test_the_town_brings_its_history_goes_on_live_and_remembers(broker, tmp_path, monkeypatch):
    monkeypatch.setattr(town, "FIRST_REPORT_S", 1.5)
    desk = Desk(broker, broker.accounts["mizumori"])
    memory = tmp_path / "memory.json"
    running = RunningTown(broker, memory)
    try:
        desk.wait(lambda d: {code for code, _ in d.readings} == set(CODES), 30)
        desk.wait(lambda d: {code for code, online in d.status if online} == set(CODES))
        desk.wait(
            lambda d: max(s["m"].get("depth_m", 0) for _, s in d.readings if "m" in s) > 0.05, 60
        )
        wait_until(lambda: running.said)
    finally:
        first = running.end()
    assert (first.pending, first.dropped, first.refused) == (0, 0, {})
    assert len(desk.readings) == first.acknowledged
    assert re.fullmatch(
        r"\d+ of 23 devices on the line, \d+ readings delivered, \d+ waiting, 0 given up\.",
        running.said[0],
    )
    kept = json.loads(memory.read_text())
    highest = {code: max(desk.sequences(code)) for code in CODES}
    assert {code: mark[0] for code, mark in kept["devices"].items()} == highest

    second = RunningTown(broker, memory)
    try:
        desk.wait(lambda d: max(d.sequences("plow-01")) > highest["plow-01"] + 1, 30)
    finally:
        second.end()
    times = [(code, s["ts"]) for code, s in desk.readings if code != "flood-05"]
    doubled = [c for c in {code for code, _ in times} if c != "flood-09"]
    desk.close()
    for code in doubled:
        own = [ts for device, ts in times if device == code]
        assert len(own) == len(set(own)), code
        assert sorted(desk.sequences(code)) == list(range(1, len(own) + 1))


RUN = """
import json, sys, threading
from pathlib import Path
from firmware_sim import town
from firmware_sim.modem import Broker
from tests.firmware_sim.test_town import short_plan
port, memory, secrets = json.load(sys.stdin)
town.run(broker=Broker("127.0.0.1", port), secrets=secrets, stop=threading.Event(),
         plan=short_plan(0.1), memory_file=Path(memory))
"""


def test_a_town_killed_without_warning_repeats_what_was_not_safe_and_nothing_else(broker, tmp_path):
    desk = Desk(broker, broker.accounts["mizumori"])
    memory = tmp_path / "memory.json"
    killed = subprocess.Popen(
        [sys.executable, "-c", RUN], stdin=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    try:
        secrets = {code: broker.secrets["mizumori", code] for code in CODES}
        json.dump([broker.mqtt_port, str(memory), secrets], killed.stdin)
        killed.stdin.close()
        # Past the first writing of the memory, and then some: what is sent after it is repeated.
        desk.wait(lambda d: memory.exists() and len(d.sequences("plow-01")) > 73, 60)
    finally:
        killed.kill()
        killed.wait()
    seen = len(desk.sequences("plow-01"))
    running = RunningTown(broker, memory)
    try:
        desk.wait(lambda d: max(d.sequences("plow-01")) > seen + 1, 60)
    finally:
        running.end()
    desk.close()
    said = {}
    for code, sample in desk.readings:
        assert said.setdefault((code, sample["seq"]), sample) == sample, "repeated, but different"
    for code in CODES:
        numbers = sorted(seq for device, seq in said if device == code)
        assert numbers == list(range(1, len(numbers) + 1)), code


def test_a_device_without_power_leaves_its_will(broker):
    desk = Desk(broker, broker.accounts["mizumori"])
    fault = {"kind": "power", "after_s": 26, "for_s": 600}
    running = RunningTown(broker, None, **{"flood-08": {"faults": [fault]}})
    try:
        desk.wait(lambda d: ("flood-08", False) in d.status, 30)
        assert ("flood-08", True) in desk.status
        assert [code for code, online in desk.status if not online] == ["flood-08"]
    finally:
        running.end()
        desk.close()


def test_a_missing_secret_and_a_damaged_memory_are_one_sentence(tmp_path):
    arguments = {"broker": Broker("127.0.0.1", 1), "stop": threading.Event()}
    with pytest.raises(TownError, match=r"There is no secret for flood-01, .* provision the town"):
        town.run(secrets={}, **arguments)
    memory = tmp_path / "memory.json"
    memory.write_text("{}")
    with pytest.raises(TownError, match=r"damaged .* delete it"):
        town.run(secrets=dict.fromkeys(CODES, "x"), memory_file=memory, **arguments)


def test_water_of_the_town_runs_down_to_its_underpasses():
    """Heights let sensors of a place be held against each other: who is wet above a dry one?"""
    height = {"street": [], "underpass": []}
    for site in demo_plan().sites:
        if site["kind"] in height:
            height[site["kind"]].append(site["ground_m"])
    assert max(height["underpass"]) < min(height["street"])
