"""Plays a recording through the broker, as its devices would have sent it."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from firmware_sim.errors import RecordingError
from firmware_sim.modem import Broker, Modem
from firmware_sim.radio import Radio
from firmware_sim.recording import Recording, read_recording

IN_FLIGHT = 32


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replay is.

    Parameters
    ----------
    total, offered, acknowledged
        Readings in the recording, given to their devices, and acknowledged by the broker.
    """

    total: int
    offered: int
    acknowledged: int


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What became of a replay.

    Parameters
    ----------
    total, sent, acknowledged
        Readings in the recording, published, and acknowledged by the broker.
    devices
        How many devices took part.
    seconds
        How long it took.
    shift_ms
        What was added to every recorded time.
    refused
        Device code to the broker's reason, for devices that were not let in.
    """

    total: int
    sent: int
    acknowledged: int
    devices: int
    seconds: float
    shift_ms: int
    refused: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """Whether the broker acknowledged every reading."""
        return self.acknowledged == self.total

    @property
    def exit_code(self) -> int:
        """0 if complete, else 1."""
        return 0 if self.complete else 1

    def __str__(self) -> str:
        text = (
            f"{self.sent} of {self.total} readings of {self.devices} devices sent, "
            f"{self.acknowledged} acknowledged, in {self.seconds:.1f} s."
        )
        for device, reason in sorted(self.refused.items()):
            text += f" The broker does not let {device} in: {reason}."
        return text


def run(
    path: Path,
    *,
    broker: Broker,
    tenant: str,
    secrets: Mapping[str, str],
    speed: float = 1.0,
    times: Literal["now", "own"] = "now",
    stop: threading.Event | None = None,
    progress: Callable[[Progress], None] | None = None,
    in_flight: int = IN_FLIGHT,
    patience_s: float = 60.0,
    ready_s: float = 30.0,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> ReplayReport:
    """Publish every reading of a recording at its moment, QoS 1, and wait for every PUBACK.

    Parameters
    ----------
    path
        The recording.
    broker
        Where the broker listens for MQTT.
    tenant
        The town's code.
    secrets
        Device code to secret, for every device of the recording.
    speed
        How many times faster than recorded; infinity: as fast as the broker takes it.
    times
        `now`: all times are shifted by the same amount, so that the last reading carries the
        time at which it is sent, and no reading is ever from the future. `own`: as recorded.
    stop
        Set from outside to end the replay early.
    progress
        Called about twice a second.
    in_flight
        How many messages of one device may wait for their PUBACK.
    patience_s
        How long the broker may acknowledge nothing, after everything was sent, before it ends.
    ready_s
        How long the replay waits for all devices to be let in before it starts.
    now_ms
        The clock, milliseconds since 1970 UTC.

    Returns
    -------
    ReplayReport
        The counts; `exit_code` says whether all is well.

    Raises
    ------
    RecordingError
        If the recording is wrong, the speed is below 1 or not positive, or a device has no secret.
    """
    if not speed > 0 or (times == "now" and speed < 1):
        raise RecordingError(
            f"The speed must be above 0, and at least 1 when times are shifted to now, not {speed}."
        )
    recording = read_recording(path)
    missing = [device for device in recording.devices if device not in secrets]
    if missing:
        raise RecordingError(
            f"The town {tenant} has no secret for {', '.join(missing)}: register the devices of "
            "the recording first (--register)."
        )
    modems = {
        device: Modem(broker, tenant, device, secrets[device], in_flight=in_flight, batch=1)
        for device in recording.devices
    }
    player = _Player(
        recording,
        modems,
        stop=stop or threading.Event(),
        progress=progress,
        patience_s=patience_s,
        ready_s=ready_s,
    )
    return player.run(speed, times, now_ms)


class _Player:
    def __init__(
        self,
        recording: Recording,
        modems: Mapping[str, Modem],
        *,
        stop: threading.Event,
        progress: Callable[[Progress], None] | None,
        patience_s: float,
        ready_s: float,
    ) -> None:
        self._recording = recording
        self._modems = modems
        self._radio = Radio(list(modems.values()))
        self._stop = stop
        self._progress = progress
        self._patience_s = patience_s
        self._ready_s = ready_s
        self._offered = 0
        self._next_progress_s = 0.0

    def run(
        self, speed: float, times: Literal["now", "own"], now_ms: Callable[[], int]
    ) -> ReplayReport:
        rows = self._recording.rows
        begin_s = time.monotonic()
        shift_ms = 0
        try:
            self._connect()
            start_s = time.monotonic()
            if times == "now":
                length_ms = 0 if math.isinf(speed) else int(self._recording.span_ms / speed)
                shift_ms = now_ms() + length_ms - self._recording.last_time_ms
            for row in rows:
                due_s = start_s + (row.due_ms - rows[0].due_ms) / 1000 / speed
                if not self._wait(due_s, self._modems[row.device]):
                    break
                time_ms = row.sample.time_ms
                assert time_ms is not None
                sample = replace(row.sample, time_ms=time_ms + shift_ms)
                self._modems[row.device].offer([sample])
                self._offered += 1
            self._finish()
        finally:
            self._radio.close()
        tally = self._radio.tally()
        return ReplayReport(
            total=len(rows),
            sent=tally.published,
            acknowledged=tally.acknowledged,
            devices=len(self._modems),
            seconds=time.monotonic() - begin_s,
            shift_ms=shift_ms,
            refused=tally.refused,
        )

    def _connect(self) -> None:
        """Bring every device on the line first: the clock of the replay starts with all of them."""
        now_s = time.monotonic()
        for modem in self._modems.values():
            modem.power_on(now_s)
        while not self._stop.is_set() and time.monotonic() < now_s + self._ready_s:
            self._radio.turn(0.02)
            if all(modem.online for modem in self._modems.values()):
                return

    def _wait(self, due_s: float, modem: Modem) -> bool:
        """Serve the network until the moment has come and the device's store is not piling up."""
        while not self._stop.is_set():
            left_s = due_s - time.monotonic()
            if left_s <= 0 and len(modem.backlog) < modem.backlog.capacity // 2:
                return True
            self._radio.turn(min(max(left_s, 0.001), 0.1))
            self._tell()
        return False

    def _finish(self) -> None:
        last, since_s = -1, time.monotonic()
        while not self._stop.is_set() and any(modem.pending for modem in self._radio.modems):
            self._radio.turn(0.05)
            self._tell()
            acknowledged = self._radio.tally().acknowledged
            if acknowledged != last:
                last, since_s = acknowledged, time.monotonic()
            elif time.monotonic() - since_s > self._patience_s:
                break
        self._tell(last=True)

    def _tell(self, *, last: bool = False) -> None:
        now_s = time.monotonic()
        if self._progress is not None and (last or now_s >= self._next_progress_s):
            self._next_progress_s = now_s + 0.5
            self._progress(
                Progress(
                    total=len(self._recording.rows),
                    offered=self._offered,
                    acknowledged=self._radio.tally().acknowledged,
                )
            )
