"""The live core over a stored history."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.backtest import backtest, poisson_interval
from detectors.fleet import Fleet
from detectors.profile import Profile
from detectors.quality import GrossRange
from detectors.readings import Readings
from detectors.rules import Level, RateOfRise, Threshold
from tests.detectors.series import profiles, ramps, series

MINUTE = 60_000
PROFILE = Profile.of(
    [
        ("depth", Threshold((Level(0.1, 0.05), Level(0.2, 0.15)))),
        ("deep", Threshold((Level(1.0, 0.5),))),
        ("range", GrossRange((-1.0, 9.0))),
    ]
)


def test_episodes_are_bounded_by_observed_falls():
    values = [0.0, 0.12, 0.25, 0.02, 0.0, 0.3, np.nan, 0.3]
    run = backtest(PROFILE, Readings.of(0, np.arange(8) * MINUTE, values))
    e = run.episodes
    assert e.onset_ms.tolist() == [1 * MINUTE, 5 * MINUTE]
    assert e.clear_ms.tolist() == [3 * MINUTE, 7 * MINUTE]
    assert e.open.tolist() == [False, True]
    assert e.peak_level.tolist() == [2, 2]
    assert run.flags == {1: 7, 9: 1}
    assert run.readings == 8


def test_rates_are_per_sensor_month_and_silent_sensors_count_for_nothing():
    month = 30 * 86_400_000
    history = Readings.of([0, 0, 2, 2], [0, month, 0, month], [0.2, 0.0, 0.0, 2.0])
    run = backtest(PROFILE, history)
    assert run.sensor_months == 2.0
    assert run.per_sensor_month.tolist() == [1.0, 0.5]


def test_no_history_gives_no_rates():
    run = backtest(PROFILE, Readings.none())
    assert len(run.episodes) == run.readings == 0
    assert np.isnan(run.per_sensor_month).all()
    assert backtest(PROFILE, Readings.of(0, [0], [0.5])).episodes.open.tolist() == [True]


def test_order_and_duplicates_do_not_matter():
    rng = np.random.default_rng(4)
    history = Readings.of(
        np.repeat(np.arange(3), 200), np.tile(np.arange(200) * MINUTE, 3), rng.uniform(0, 0.3, 600)
    )
    doubled = history.take(rng.permutation(np.repeat(np.arange(600), 2)))
    one, two = backtest(PROFILE, history), backtest(PROFILE, doubled)
    assert one.readings == two.readings
    assert len(one.episodes) > 20
    for name in vars(one.episodes):
        assert np.array_equal(getattr(one.episodes, name), getattr(two.episodes, name))


@given(st.data())
def test_the_pieces_it_is_stepped_in_do_not_matter(data):
    profile = data.draw(profiles())
    parts = [data.draw(series(40) | ramps(40)) for _ in range(data.draw(st.integers(1, 3)))]
    rows = [(s, t, v) for s, (times, values) in enumerate(parts)
            for t, v in zip(times, values, strict=True)]  # fmt: skip
    # Some readings twice, and some with another value.
    rows += [(s, t, v + data.draw(st.sampled_from((0.0, 1.0)))) for s, t, v in rows[::5]]
    history = Readings.of(*zip(*rows, strict=True)) if rows else Readings.none()
    whole = backtest(profile, history)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("detectors.backtest._PIECE", data.draw(st.integers(1, 30)))
        cut = backtest(profile, history)
    for name in vars(whole.episodes):
        assert np.array_equal(getattr(whole.episodes, name), getattr(cut.episodes, name))
    assert (whole.flags, whole.readings, whole.sensor_months) == (
        cut.flags, cut.readings, cut.sensor_months,
    )  # fmt: skip
    one = Fleet.compile([profile], np.zeros(len(parts), np.int64))
    outcome = one.step(one.empty_state(), history)
    kept = ~(outcome.duplicate | outcome.conflict)
    flag, count = np.unique(outcome.flag[kept], return_counts=True)
    assert cut.flags == dict(zip(flag.tolist(), count.tolist(), strict=True))


def test_a_year_of_minutes_needs_little_more_memory_than_its_readings():
    minutes = np.arange(365 * 1440)
    rng = np.random.default_rng(6)
    depth = rng.normal(0.02, 0.005, len(minutes))
    history = Readings.of(0, minutes * MINUTE, depth)
    tracemalloc.start()
    try:
        backtest(Profile.of([("rise", RateOfRise(noise=0.005))]), history)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60e6  # bytes; one batch of all took 800 MB


def test_a_year_of_one_site_takes_seconds():
    minutes = np.arange(365 * 1440)
    rng = np.random.default_rng(5)
    history = Readings.of(0, minutes * MINUTE, rng.normal(0.02, 0.01, len(minutes)))
    begun_s = time.process_time()
    run = backtest(PROFILE, history)
    assert time.process_time() - begun_s < 60
    assert run.readings == len(minutes)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.6889), (1, 0.0253, 5.5716), (10, 4.7954, 18.3904)]
)
def test_the_interval_of_a_rate_is_garwood_s(count, low, high):
    assert poisson_interval(count, 1.0) == pytest.approx((low, high), abs=1e-4)
    assert poisson_interval(count, 2.0) == pytest.approx((low / 2, high / 2), abs=1e-4)
