"""Runs a simulated town against a broker, until it is told to stop."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.devices.device import Device
from firmware_sim.errors import TownError
from firmware_sim.modem import Broker, Modem
from firmware_sim.plan import TownPlan, build_devices, demo_plan
from firmware_sim.radio import Radio, Tally
from firmware_sim.storm import Weather

SEED = 2026
TICK_S = 0.1
SAVE_EVERY_S = 5.0
FIRST_REPORT_S = 10.0
REPORT_EVERY_S = 60.0
LONGEST_GAP_MS = 6 * 3_600_000  # more than this a logger's memory does not hold


@dataclass(frozen=True)
class Memory:
    """What the devices keep in their flash memory while the town is off.

    Parameters
    ----------
    first_onset_ms
        Onset of the storm that the run started with.
    devices
        Device code to (sequence number, time) of the newest reading that is safe at the broker.
    """

    first_onset_ms: int
    devices: Mapping[str, tuple[int, int]]


def run(
    *,
    broker: Broker,
    secrets: Mapping[str, str],
    stop: threading.Event,
    plan: TownPlan | None = None,
    memory_file: Path | None = None,
    report: Callable[[str], None] | None = None,
    seed: int = SEED,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> Tally:
    """Let every device of a town measure and send, until `stop` is set.

    On the first start the devices bring some hours of readings with them, as after a long time
    without network. Later starts continue where the last one ended.

    Parameters
    ----------
    broker
        Where the broker listens for MQTT.
    secrets
        Device code to secret.
    stop
        Set from outside to end the run.
    plan
        The town; the demo town if None.
    memory_file
        Where the devices' memory is kept between runs; None: they forget.
    report
        Called with one sentence from time to time.
    seed
        Same seed and same times, same readings.
    now_ms
        The clock, milliseconds since 1970 UTC.

    Returns
    -------
    Tally
        What became of the samples.

    Raises
    ------
    TownError
        If a device has no secret, its model is wrong, or the memory cannot be kept.
    """
    plan = plan or demo_plan()
    missing = [device["code"] for device in plan.devices if device["code"] not in secrets]
    if missing:
        raise TownError(
            f"There is no secret for {', '.join(missing)}: provision the town {plan.code} again."
        )
    start_ms = now_ms()
    memory = _recall(memory_file)
    first_onset_ms = start_ms + int(plan.storm["first_after_s"] * 1000)
    if memory is not None:
        first_onset_ms = memory.first_onset_ms
    weather = Weather(first_onset_ms, plan.storm["period_s"], seed)
    devices = list(build_devices(plan, weather, seed=seed))
    for device, described in zip(devices, plan.devices, strict=True):
        hours = described.get("history_h", plan.history_h)
        seq, measured_ms = 0, start_ms - int(hours * 3_600_000)
        if memory is not None and device.code in memory.devices:
            seq, measured_ms = memory.devices[device.code]
        device.resume(seq, max(measured_ms, start_ms - LONGEST_GAP_MS))
    modems = [
        Modem(broker, plan.code, device.code, secrets[device.code], seed=seed) for device in devices
    ]
    town = _Town(devices, modems, first_onset_ms, memory_file, report or (lambda _line: None))
    return town.run(stop, now_ms)


class _Town:
    def __init__(
        self,
        devices: list[Device],
        modems: list[Modem],
        first_onset_ms: int,
        memory_file: Path | None,
        report: Callable[[str], None],
    ) -> None:
        self._pairs = list(zip(devices, modems, strict=True))
        self._radio = Radio(modems)
        self._first_onset_ms = first_onset_ms
        self._memory_file = memory_file
        self._report = report
        self._refused: Mapping[str, str] = {}

    def run(self, stop: threading.Event, now_ms: Callable[[], int]) -> Tally:
        next_save_s = time.monotonic()
        next_report_s = next_save_s + FIRST_REPORT_S
        try:
            while not stop.is_set():
                self._tick(now_ms())
                self._radio.turn(TICK_S)
                clock_s = time.monotonic()
                if clock_s >= next_save_s:
                    next_save_s = clock_s + SAVE_EVERY_S
                    self._remember()
                    self._name_refusals()
                if clock_s >= next_report_s:
                    next_report_s = clock_s + REPORT_EVERY_S
                    self._report(self._sentence())
            self._radio.drain(timeout_s=2.0)
            self._remember()
        finally:
            self._radio.close()
        return self._radio.tally()

    def _tick(self, time_ms: int) -> None:
        for device, modem in self._pairs:
            modem.offer(device.collect(time_ms))
            if not device.has_line(time_ms):
                if modem.powered:
                    modem.cut()
            else:
                modem.power_on(time.monotonic(), within_s=1.0)

    def _remember(self) -> None:
        if self._memory_file is None:
            return
        marks = {
            device.code: device.confirm(modem.acknowledged_seq) for device, modem in self._pairs
        }
        text = json.dumps({"first_onset_ms": self._first_onset_ms, "devices": marks})
        fresh = self._memory_file.with_suffix(".new")
        try:
            fresh.write_text(text, "utf-8")
            fresh.replace(self._memory_file)
        except OSError as error:
            raise TownError(
                f"The devices' memory {self._memory_file} cannot be written: {error.strerror}."
            ) from error

    def _name_refusals(self) -> None:
        refused = self._radio.tally().refused
        for device in sorted(refused.keys() - self._refused.keys()):
            self._report(f"The broker does not let {device} in: {refused[device]}.")
        self._refused = refused

    def _sentence(self) -> str:
        tally = self._radio.tally()
        return (
            f"{tally.online} of {len(self._pairs)} devices on the line, "
            f"{tally.acknowledged} readings delivered, {tally.pending} waiting, "
            f"{tally.dropped} given up."
        )


def _recall(memory_file: Path | None) -> Memory | None:
    if memory_file is None or not memory_file.exists():
        return None
    try:
        kept = json.loads(memory_file.read_text("utf-8"))
        return Memory(
            first_onset_ms=int(kept["first_onset_ms"]),
            devices={code: (int(mark[0]), int(mark[1])) for code, mark in kept["devices"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise TownError(
            f"The devices' memory {memory_file} is damaged ({error}): delete it, and they start "
            "with a new history."
        ) from error
