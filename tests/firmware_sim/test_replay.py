import threading
import time
from pathlib import Path

import pytest

from firmware_sim import replay
from firmware_sim.errors import RecordingError
from firmware_sim.modem import Broker
from firmware_sim.recording import read_recording
from tests.firmware_sim.desk import Desk
from tests.fixtures.broker import DEVICES, TOWN

FLOOD, POND = DEVICES
DATA = Path(__file__).parents[1] / "data"
BEGIN_MS = 1_695_988_800_000  # 2023-09-29T12:00:00Z


@pytest.fixture
def desk(nats):
    desk = Desk(nats, nats.account)
    yield desk
    desk.close()


def now_ms():
    return time.time_ns() // 1_000_000


def play(nats, path, **options):
    return replay.run(
        path,
        broker=Broker(nats.host, nats.mqtt_port),
        tenant=TOWN,
        secrets={device: secret for (_, device), secret in nats.secrets.items()},
        **options,
    )


def two_devices(tmp_path, count=60):
    lines = ["time_utc,device,depth_m,ph"]
    for n in range(count):
        clock = f"2023-09-29T12:{n // 6:02}:{n % 6 * 10:02}Z"
        lines += [f"{clock},{FLOOD},{n / 1000},", f"{clock},{POND},,{7 + n / 1000}"]
    path = tmp_path / "recording.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_own_times_arrive_as_recorded_in_order_and_counted(nats, desk, tmp_path):
    seen = []
    report = play(
        nats, two_devices(tmp_path), times="own", speed=float("inf"), progress=seen.append
    )
    desk.wait(lambda d: len(d.readings) >= 120)
    assert (report.sent, report.acknowledged, report.total, report.exit_code) == (120,) * 3 + (0,)
    assert str(report).startswith("120 of 120 readings of 2 devices sent, 120 acknowledged")
    assert (seen[-1].offered, seen[-1].acknowledged) == (120, 120)
    for device in DEVICES:
        samples = [sample for code, sample in desk.readings if code == device]
        assert [sample["ts"] for sample in samples] == [BEGIN_MS + n * 10_000 for n in range(60)]
    assert desk.readings[0][1].keys() == {"ts", "seq", "m"}


def test_shifted_times_keep_their_distances_and_are_never_from_the_future(nats, desk, tmp_path):
    arrived = []
    on_append = desk.readings

    class Stamped(list):
        def __iadd__(self, items):
            arrived.extend((now_ms(), sample["ts"]) for _, sample in items)
            return super().__iadd__(items)

    desk.readings = Stamped(on_append)
    begin_ms = now_ms()
    report = play(nats, two_devices(tmp_path), times="now", speed=300)
    desk.wait(lambda d: len(d.readings) >= 120)
    end_ms = now_ms()
    assert report.seconds >= 590 / 300
    assert report.complete
    assert all(sent_ms <= at_ms for at_ms, sent_ms in arrived)
    times = sorted(sample["ts"] for _, sample in desk.readings)
    assert times[-1] - times[0] == 590_000
    assert begin_ms < times[-1] <= end_ms
    assert times[0] == BEGIN_MS + report.shift_ms


def test_a_logger_whose_clock_steps_back_is_played_without_loss(nats, desk):
    for device in ("tank-30cm", "tank-60cm"):
        nats.add_device(device)
    path = DATA / "pond_clock_steps_2020-01.csv.gz"
    report = play(nats, path, times="own", speed=float("inf"))
    assert report.acknowledged == 2000
    desk.wait(lambda d: len(d.readings) >= 2000)
    recording = read_recording(path)
    for device in recording.devices:
        recorded = [row.sample.time_ms for row in recording.rows if row.device == device]
        assert [sample["ts"] for code, sample in desk.readings if code == device] == recorded


def test_a_broker_killed_in_the_middle_of_a_replay_loses_nothing(nats, desk, tmp_path):
    path = two_devices(tmp_path, 360)
    reports = []
    player = threading.Thread(
        target=lambda: reports.append(play(nats, path, times="own", speed=600))
    )
    player.start()
    desk.wait(lambda d: len(d.readings) > 100)
    nats.restart()
    player.join(60)
    assert reports[0].exit_code == 0
    desk.wait(lambda d: all(len(set(d.sequences(code))) == 360 for code in DEVICES))
    for device in DEVICES:
        assert list(dict.fromkeys(desk.sequences(device))) == list(range(1, 361))


def test_a_device_that_is_not_let_in_makes_the_replay_fail_and_is_named(nats, tmp_path):
    report = replay.run(
        two_devices(tmp_path, 5),
        broker=Broker(nats.host, nats.mqtt_port),
        tenant=TOWN,
        secrets={FLOOD: nats.secrets[TOWN, FLOOD], POND: "guessed"},
        times="own",
        speed=float("inf"),
        patience_s=3.0,
        ready_s=1.0,
    )
    assert (report.acknowledged, report.exit_code) == (5, 1)
    assert f"does not let {POND} in" in str(report)


def test_it_ends_when_told(nats, tmp_path):
    stop = threading.Event()

    def progress(so_far):
        if so_far.acknowledged:
            stop.set()

    # Played to its end it would take ten minutes.
    report = play(nats, two_devices(tmp_path), times="own", speed=1, stop=stop, progress=progress)
    assert report.exit_code == 1
    assert 0 < report.acknowledged < 120


@pytest.mark.parametrize(
    ("speed", "times"), [(0, "own"), (-1, "own"), (float("nan"), "own"), (0.5, "now")]
)
def test_an_impossible_speed_is_refused_before_anything_is_sent(tmp_path, speed, times):
    with pytest.raises(RecordingError, match="speed must be above 0"):
        replay.run(
            two_devices(tmp_path, 1),
            broker=Broker("127.0.0.1", 1),
            tenant=TOWN,
            secrets={FLOOD: "a", POND: "b"},
            speed=speed,
            times=times,
        )


def test_missing_secrets_are_named(tmp_path):
    with pytest.raises(RecordingError, match=f"no secret for {POND}: register"):
        replay.run(
            two_devices(tmp_path, 1),
            broker=Broker("127.0.0.1", 1),
            tenant=TOWN,
            secrets={FLOOD: "a"},
        )
