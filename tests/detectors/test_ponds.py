"""Pond rules: ammonia, swings against the usual day, nights, probes lifted out, sunrise."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from detectors.ammonia import Ammonia, ammonia_level, total_limit_mg_l, un_ionised_share
from detectors.arrays import NEVER
from detectors.pond import (
    HOURS,
    DailySwing,
    LiftOut,
    NightOxygen,
    TemperatureShock,
    lifted_out,
    night_level,
    shock_level,
    swing_level,
    usual,
)
from detectors.sunrise import hours_to_sunrise, sunrise_ms

NAN = math.nan


def test_un_ionised_share_at_25_degrees():
    share = un_ionised_share(np.full(3, 25.0), np.array([7.0, 8.0, 9.0]))
    assert share == pytest.approx([0.0056, 0.054, 0.36], rel=0.02)
    assert total_limit_mg_l(np.array([25.0]), np.array([9.0])) == pytest.approx([0.0553], rel=0.01)


def test_ammonia_levels_need_temperature_and_ph_but_not_the_total():
    temperature = np.array([25.0, 25.0, 26.0, 26.0, 20.0, NAN])
    ph = np.array([8.0, 8.0, 8.9, 8.9, 8.9, 8.0])
    total = np.array([0.1, 1.0, NAN, 1.0, NAN, 9.0])
    assert ammonia_level(Ammonia(), temperature, ph, total)[:5].tolist() == [0, 2, 1, 3, 0]
    assert math.isnan(ammonia_level(Ammonia(), temperature, ph, total)[5])


def bloom(swing=2.0):
    """Eight days of a pond in bloom: pH from 7.5 in the morning to 7.5 + swing."""
    hour = np.arange(HOURS)
    return 7.5 + swing / 2 + swing / 2 * np.sin((hour - 9) / 24 * 2 * np.pi)


def test_the_usual_value_is_the_same_hours_median_of_three_days_at_least():
    hourly = bloom()[None, :].copy()
    assert usual(hourly)[0] == pytest.approx(bloom()[-24:])
    hourly[0, -24 - 24 * 4 + 5] = NAN
    assert np.isfinite(usual(hourly)).all()
    hourly[0, : 24 * 5] = NAN
    assert np.isnan(usual(hourly)).all()


def test_a_daily_swing_is_told_and_so_is_an_unusual_hour():
    calm, high, odd, gone = bloom(0.6), bloom(1.2), bloom(0.6), bloom(0.6)
    odd[-1] += 0.55
    gone[-1] = NAN
    level = swing_level(DailySwing(), np.stack([calm, high, bloom(1.7), odd, gone]))
    assert level[:4].tolist() == [0, 1, 2, 1]
    assert math.isnan(level[4])


def test_a_temperature_shock_is_judged_against_the_usual_cycle():
    day = 24.0 + 4.0 * np.sin(np.arange(HOURS) / 24 * 2 * np.pi)  # swings by 8 degrees, as ever
    cold, slow, sudden = day.copy(), day.copy(), day.copy()
    cold[-1] -= 2.5
    slow[-8:] -= np.linspace(0.5, 4.0, 8)
    sudden[-1] -= 8.0
    level = shock_level(TemperatureShock(), np.stack([day, cold, slow, sudden]))
    assert level.tolist() == [0, 2, 1, 3]
    first_days = np.full((1, HOURS), NAN)
    first_days[0, -3:] = 24.0, 24.0, 20.5
    assert shock_level(TemperatureShock(), first_days).tolist() == [2]


def test_oxygen_that_will_not_last_until_sunrise_is_told_in_the_evening():
    oxygen = np.array([6.0, 6.0, 6.0, 4.8, NAN, 6.0])
    slope = np.array([-0.1, -0.5, -0.3, 0.0, -1.0, NAN])
    error = np.array([0.02, 0.02, 0.1, 0.02, 0.02, NAN])
    hours = np.array([8.0, 8.0, 8.0, NAN, 8.0, NAN])
    level = night_level(
        NightOxygen(),
        oxygen,
        slope,
        error,
        np.full(6, 0.1),
        hours,
        np.array([25.0, 25, 25, 29, 25, NAN]),
    )
    assert level[[0, 1, 2, 3, 5]].tolist() == [0, 2, 2, 1, 0]
    assert math.isnan(level[4])


def test_probes_that_jump_together_were_lifted_out_one_alone_was_not():
    jumped = np.array([[0, 200_000], [0, 400_000], [0, NEVER], [0, 0]])
    has = np.array([[True, True], [True, True], [True, True], [True, False]])
    assert lifted_out(LiftOut(), jumped, has).tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("place", "day", "expected"),
    [  # from the almanac of the National Astronomical Observatory of Japan, to the minute
        ((35.6581, 139.7414), datetime(2026, 1, 1, tzinfo=UTC), (21, 51)),
        ((35.6581, 139.7414), datetime(2026, 6, 21, tzinfo=UTC), (19, 25)),
    ],
)
def test_sunrise_in_tokyo(place, day, expected):
    number = (day - datetime(2000, 1, 1, tzinfo=UTC)).days
    rise = datetime.fromtimestamp(sunrise_ms(number, *place) / 1000, UTC)
    minutes = rise.hour * 60 + rise.minute - (expected[0] * 60 + expected[1])
    assert abs(minutes) <= 3


def test_hours_to_sunrise_are_known_at_night_only():
    def at(hour_utc):
        when = datetime(2026, 6, 20, hour_utc, tzinfo=UTC)
        return hours_to_sunrise(int(when.timestamp() * 1000), 35.66, 139.74)

    assert at(16) == pytest.approx(3.42, abs=0.06)  # 01:00 in Japan
    assert at(12) == pytest.approx(7.42, abs=0.06)  # 21:00
    assert math.isnan(at(3))  # noon
    assert math.isnan(
        hours_to_sunrise(int(datetime(2026, 12, 20, tzinfo=UTC).timestamp() * 1000), 80, 0)
    )
