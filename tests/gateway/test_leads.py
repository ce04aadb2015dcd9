"""How far a device's clock is ahead is measured from what it sends, whatever is delayed."""

from types import SimpleNamespace

import numpy as np
import pytest

from gateway.batch import Batch, Rows
from gateway.leads import MOST_BEHIND_MS, WORTH_MS, LeadWatch
from store import map as town_map
from store.clocks import WINDOW_MS
from store.marks import Mark
from store.positions import Position, Positions
from tests.jobs.door import START_MS, Place

DAY_MS = 86_400_000
STEP_MS = 600_000
# At the beginning of a window.
BEGIN_MS = START_MS // WINDOW_MS * WINDOW_MS + WINDOW_MS


@pytest.fixture
def place(database_dsn):
    made = Place(database_dsn)
    yield made
    made.close()


def lead(place, device):
    with place.owner.transaction() as conn:
        [row] = town_map.devices(conn, ids=[device])
    return row.clock_offset_s, row.clock_drift_s_per_day


def send(place, stream, ahead_s, since_ms, days, seed):
    """Send every ten minutes; most messages come within seconds, some after up to ten hours.

    `ahead_s` is a function of the days since `since_ms`.
    """
    rng = np.random.default_rng(seed)
    true_ms = since_ms + np.arange(0, round(days * DAY_MS), STEP_MS)
    delay_ms = rng.exponential(2_000, len(true_ms))
    late = rng.random(len(true_ms)) < 0.1
    delay_ms[late] = rng.uniform(0, 36_000_000, late.sum())
    received_ms = (true_ms + delay_ms).astype(np.int64)
    ahead_ms = np.array([ahead_s((t - since_ms) / DAY_MS) * 1000 for t in true_ms])
    said_ms = (true_ms + ahead_ms).astype(np.int64)
    for i in np.argsort(received_ms).tolist():
        if received_ms[i] < true_ms[-1]:
            place.door.take([(stream, int(said_ms[i]), 0.0)], received_ms=int(received_ms[i]))


def test_a_clock_that_gains_two_minutes_a_day_is_seen_to_drift(place):
    device, stream = place.sensor(())
    other, right = place.sensor(())
    place.door.load()
    send(place, stream, lambda days: 120.0 * days, BEGIN_MS, 2.5, seed=1)
    send(place, right, lambda _: 0.0, BEGIN_MS, 2.5, seed=2)
    offset_s, drift = lead(place, device)
    assert offset_s == pytest.approx(300.0, abs=5.0)
    assert drift == pytest.approx(120.0, abs=10.0)
    offset_s, drift = lead(place, other)
    assert -5.0 < offset_s <= 0.0
    assert abs(drift) < 8.0
    # Somebody sets it right: that is a step and no drift, and nothing is left of it after a while.
    send(place, stream, lambda _: 0.0, BEGIN_MS + round(2.5 * DAY_MS), 0.76, seed=3)
    offset_s, drift = lead(place, device)
    assert -5.0 < offset_s <= 0.0
    assert drift is None or abs(drift) < 8.0


def test_what_comes_late_never_makes_a_clock_look_ahead_nor_hides_that_it_is(place):
    device, stream = place.sensor(())
    place.door.load()
    for delay_s, ahead_s in ((3600, 40), (0, 40), (7200, 40), (60, 40)):
        at_ms = BEGIN_MS + delay_s * 10
        place.door.take([(stream, at_ms + ahead_s * 1000 - delay_s * 1000, 0.0)], received_ms=at_ms)
    assert lead(place, device) == (40.0, None)


def test_logger_files_imports_and_stand_in_times_say_nothing_of_a_clock(place):
    device, stream = place.sensor(())
    place.door.load()
    place.door.take([(stream, BEGIN_MS - MOST_BEHIND_MS, 0.0)], received_ms=BEGIN_MS)
    place.door.take([(stream, BEGIN_MS, 0.0)], received_ms=BEGIN_MS, marks=int(Mark.NO_DEVICE_TIME))
    assert lead(place, device) == (None, None)


def test_a_steady_clock_is_written_once_a_window_or_so(place, monkeypatch):
    device, stream = place.sensor(())
    place.door.load()
    written = []
    committed = place.door.committer._leads.committed
    monkeypatch.setattr(
        place.door.committer._leads, "committed",
        lambda leads: (written.append(len(leads.device_id)), committed(leads)),
    )  # fmt: skip
    for i in range(60):
        at_ms = BEGIN_MS + i * 60_000
        place.door.take([(stream, at_ms - 300 - i % 7 * 50, 0.0)], received_ms=at_ms)
    assert sum(written) == 1
    assert lead(place, device) == (-0.3, None)


# Two sensors of device 3, and one of device 40, of the town 2.
FLEET = SimpleNamespace(
    device_id=np.array([3, 3, 40], np.int32), tenant_id=np.array([1, 1, 2], np.int32)
)


def drawn(rng, begin_ms):
    """Rows, fixes of device 40 and of device 41, and (device, town, received, lead) of each."""
    n, m = rng.integers(0, 5, 2)
    received_ms = begin_ms + rng.integers(0, WINDOW_MS // 4, n + m)
    lead = rng.choice([-MOST_BEHIND_MS, -3000, -600, 0, 499, 500, 2000], n + m)
    marks = rng.choice([0, 0, int(Mark.NO_DEVICE_TIME), int(Mark.LATE)], n + m)
    sensor, device = rng.integers(0, 3, n), rng.integers(40, 42, m)
    rows = Rows(
        sensor.astype(np.int32), received_ms[:n] + lead[:n], np.zeros(n),
        np.full(n, -1), marks[:n].astype(np.int16), received_ms[:n],
    )  # fmt: skip
    fixes = Positions.of([
        Position(int(device[i]), 2, int(received_ms[n + i] + lead[n + i]), int(received_ms[n + i]),
                 0.0, 0.0, None, None, None, None, -1, int(marks[n + i]))
        for i in range(m)
    ])  # fmt: skip
    own = marks != Mark.NO_DEVICE_TIME
    own &= lead > -MOST_BEHIND_MS
    of = [*FLEET.device_id[sensor].tolist(), *device.tolist()]
    shown = zip(of, [1 if d == 3 else 2 for d in of], received_ms, lead, strict=True)
    return rows, fixes, [one for one, counts in zip(shown, own, strict=True) if counts]


def plainly_due(shown, written):
    """Return what is due, device by device, given the window and lead that each has written."""
    if not shown:
        return []
    window_ms = max(received for _, _, received, _ in shown) // WINDOW_MS * WINDOW_MS
    found = []
    for device in sorted({one[0] for one in shown}):
        top = max(lead for of, _, _, lead in shown if of == device)
        town = next(town for of, town, _, _ in shown if of == device)
        window, known = written.get(device, (0, 0))
        if window < window_ms or (window == window_ms and top >= known + WORTH_MS):
            found.append((device, town, window_ms, top))
    return found


def test_what_is_due_is_what_a_plain_loop_over_the_devices_finds():
    rng, watch, written, due = np.random.default_rng(5), LeadWatch(), {}, 0
    for i in range(300):
        # Now and then the window before comes once more.
        begin_ms = BEGIN_MS + (i // 3 + rng.integers(0, 2)) * WINDOW_MS // 4
        rows, fixes, shown = drawn(rng, begin_ms)
        leads = watch.due(Batch([], rows, [], [], {}, []), rows, fixes, FLEET)
        columns = (leads.device_id.tolist(), leads.tenant_id.tolist(), leads.lead_ms.tolist())
        found = [(d, town, leads.window_ms, top) for d, town, top in zip(*columns, strict=True)]
        assert found == plainly_due(shown, written)
        due += len(found)
        if rng.random() < 0.5:  # else it was not stored
            watch.committed(leads)
            written |= {device: (window, top) for device, _, window, top in found}
    assert due > 100
