"""Functions of the jobs and of the API, each against a plain loop over one reading at a time."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.drift import DAY_MS, Drift, daily_medians, drifted_days, flags_of_days
from detectors.forecast import Reach, TimeToThreshold, Tracks, arrival, follow
from detectors.hourly import (
    Attenuated,
    StepAgainstScatter,
    attenuated,
    flat_line,
    step_against_scatter,
)
from detectors.nearness import near_pairs
from detectors.quality import FlatLine
from detectors.silence import BeaconState, RouterState, beacon_states, router_outages
from detectors.track import Location, Speed, distance_m, location_flags, speed_flags
from tests.detectors.test_windows import series

NAN, INF = math.nan, math.inf
MINUTE = 60_000


def window(time_ms, at, window_s):
    """Rows of [t - T, t], and whether a reading lies at or before its beginning."""
    edge = time_ms[at] - 1000.0 * window_s
    return [k for k in range(at + 1) if time_ms[k] >= edge], any(t <= edge for t in time_ms)


def judged(value, at, flag):
    return 9 if math.isnan(value[at]) else flag


@given(series(), st.sampled_from((Attenuated(0.5, 0.005, 600.0), Attenuated(1.0, 0.0, 60.0))))
def test_attenuated_equals_a_loop(rows, rule):
    time_ms, value = (column.tolist() for column in rows)
    expected = []
    for at in range(len(value)):
        inside, full = window(time_ms, at, rule.window_s)
        found = [value[k] for k in inside if math.isfinite(value[k])]
        flag = 2
        if full and len(found) >= 3:
            span = max(found) - min(found)
            flag = 4 if span < rule.fail_below else 3 if span < rule.suspect_below else 1
        expected.append(judged(value, at, flag))
    assert attenuated(rule, *rows, np.arange(len(value))).tolist() == expected


@given(series(), st.sampled_from((FlatLine(300.0, 1200.0, 0.5), FlatLine(60.0, None, 0.01))))
def test_a_flat_line_with_a_tolerance_equals_a_loop(rows, rule):
    time_ms, value = (column.tolist() for column in rows)
    expected = []
    for at in range(len(value)):
        flag = 1
        for window_s, verdict in ((rule.suspect_s, 3), (rule.fail_s, 4)):
            if window_s is None:
                continue
            inside, full = window(time_ms, at, window_s)
            found = [value[k] for k in inside]
            whole = full and len(inside) >= 3 and all(map(math.isfinite, found))
            if whole and max(found) - min(found) < rule.tolerance:
                flag = verdict
        expected.append(judged(value, at, flag))
    assert flat_line(rule, *rows, np.arange(len(value))).tolist() == expected


@given(series(), st.sampled_from((StepAgainstScatter(2.0, 900.0, 0.1), StepAgainstScatter())))
def test_a_step_against_scatter_equals_a_loop(rows, rule):
    time_ms, value = (column.tolist() for column in rows)
    expected = []
    for at in range(len(value)):
        flag = 2
        if at and math.isfinite(value[at]) and math.isfinite(value[at - 1]):
            inside, full = window(time_ms, at - 1, rule.window_s)
            found = [value[k] for k in inside if math.isfinite(value[k])]
            if full and len(found) >= 3:
                step = abs(value[at] - value[at - 1])
                sd = 0.0 if len(set(found)) == 1 else float(np.std(found, ddof=1))
                flag = 3 if step > rule.deviations * sd and step > rule.smallest else 1
        expected.append(judged(value, at, flag))
    assert step_against_scatter(rule, *rows, np.arange(len(value))).tolist() == expected


degrees = st.sampled_from((35.0, 35.001, -90.0, 90.0, 90.1, 139.0, 180.0, -180.1, NAN, INF))
fixes = st.lists(
    st.tuples(degrees, degrees, st.sampled_from((NAN, 0.0, 1.0, 20.0, 500.0)),
              st.sampled_from((-1, 0, 1, 1000, 20_000))), max_size=20,
)  # fmt: skip


@given(fixes, st.sampled_from((None, 400.0)))
def test_locations_and_speeds_equal_a_loop(fixes, most):
    places, speeds = [], []
    for lat, lon, moved, dt in fixes:
        missing = math.isnan(lat) + math.isnan(lon)
        flag = 3 if most is not None and moved > most else 1
        if missing == 1 or abs(lat) > 90 or abs(lon) > 180:
            flag = 4
        places.append(9 if missing == 2 else flag)
        if math.isnan(moved):
            speeds.append(2)
        elif dt <= 0:
            speeds.append(3 if moved > 0 else 1)
        else:
            kmh = moved * 3600.0 / dt
            speeds.append(4 if kmh > 110 else 3 if kmh > 90 else 1)
    lat, lon, moved, dt = np.array(fixes, float).reshape(-1, 4).T
    assert location_flags(Location(most), lat, lon, moved).tolist() == places
    assert speed_flags(Speed(), dt.astype(np.int64), moved).tolist() == speeds


@given(st.lists(st.tuples(st.floats(-60, 60), st.floats(-180, 180)), max_size=12))
def test_pairs_that_are_near_equal_a_loop(base):
    places = [(lat, lon) for lat, lon in base] + [(lat + 0.001, lon) for lat, lon in base]
    lat, lon = np.array(places, float).reshape(-1, 2).T
    expected = set()
    for a in range(len(places)):
        for b in range(len(places)):
            apart = distance_m(lat[[a]], lon[[a]], lat[[b]], lon[[b]])[0]
            if a != b and apart <= 250.0:
                expected.add((a, b))
    owner, other, _ = near_pairs(lat, lon, 250.0)
    assert set(zip(owner.tolist(), other.tolist(), strict=True)) == expected


heard = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 30), st.sampled_from((1, 2, 60)), st.booleans()),
    max_size=8,
)


@given(heard)
def test_beacons_equal_a_loop(devices):
    expected = []
    for router, _, _, silent in devices:
        others = [
            one for one in devices
            if one[0] == router and not one[3] and 30 - one[1] <= 2 * one[2]
        ]  # fmt: skip
        wet = BeaconState.WET if others else BeaconState.UNKNOWN
        expected.append(wet if silent else BeaconState.HEARD)
    router, last, period, silent = np.array(devices, np.int64).reshape(-1, 4).T
    states = beacon_states(router, MINUTE * last, 60.0 * period, 30 * MINUTE, silent.astype(bool))
    assert states.tolist() == expected


@given(heard)
def test_outages_of_routers_equal_a_loop(devices):
    """Out: all are silent since the same two intervals, or two are and have been waited for."""
    now = 30
    expected = []
    for router in range(1 + max((one[0] for one in devices), default=-1)):
        of = [(last, interval) for r, last, interval, _ in devices if r == router]
        silent = [(last, every) for last, every in of if now - last > 3.5 * every]
        state = RouterState.HEARD
        together = max((last for last, _ in of), default=0)
        if silent and len(of) >= 2 and all(together <= last + 2 * every for last, every in silent):
            waited = any(now - last - 3.5 * every >= 2 * every for last, every in silent)
            if len(silent) == len(of) or (waited and len(silent) >= 2):
                state = RouterState.OUT
            elif not waited:
                state = RouterState.WAITING
        expected.append(state)
    router, last, interval, _ = np.array(devices, np.int64).reshape(-1, 4).T
    found = router_outages(router, MINUTE * last, 60.0 * interval, 210.0 * interval, MINUTE * now)
    assert found.tolist() == expected


def scalar_filter(rule, rows):
    """The integrated random walk over one sensor's readings: level, slope, covariance, gates."""
    state = None
    for t, x in rows:
        if not math.isfinite(x) or (state and t <= state["t"]):
            continue
        dt = 0.0 if state is None else (t - state["t"]) / 1000.0
        if state is None or dt > rule.max_gap_s:
            state = {"t": t, "x": x, "v": 0.0, "p": (rule.noise**2, 0.0, (20 / 3600) ** 2),
                     "nis": [], "sure": 0}  # fmt: skip
            continue
        p00, p01, p11 = state["p"]
        level = state["x"] + state["v"] * dt
        p00, p01, p11 = (
            p00 + 2 * dt * p01 + dt * dt * p11 + rule.drive * dt**3 / 3,
            p01 + dt * p11 + rule.drive * dt * dt / 2,
            p11 + rule.drive * dt,
        )
        spread, off = p00 + rule.noise**2, x - level
        slope = state["v"] + p01 / spread * off
        cov = ((1 - p00 / spread) * p00, (1 - p00 / spread) * p01, p11 - p01 / spread * p01)
        sure = slope > 2.0 * math.sqrt(max(cov[2], 0.0))
        state = {"t": t, "x": level + p00 / spread * off, "v": slope, "p": cov,
                 "nis": [*state["nis"], off * off / spread][-10:],
                 "sure": state["sure"] + 1 if sure else 0}  # fmt: skip
    return state


rises = st.lists(
    st.tuples(st.sampled_from((-60, 0, 60, 60, 60, 90, 4000)),
              st.sampled_from((-0.01, 0.0, 0.005, 0.01, 0.02, 0.02, 0.03, NAN))), max_size=25,
)  # fmt: skip


@given(rises)
def test_the_filter_and_what_it_says_equal_a_loop(steps):
    rule, t, x, rows = TimeToThreshold(), 0, 0.1, []
    for dt, dx in steps:
        t, x = t + 1000 * dt, x + (0.0 if math.isnan(dx) else dx)
        rows.append((t, NAN if math.isnan(dx) else x))
    one, tracks = np.array([0]), Tracks.empty(1)
    for time_ms, value in rows:
        tracks = follow(tracks, rule, one, np.array([time_ms]), np.array([value]))
    state = scalar_filter(rule, rows)
    goal = (state["x"] if state else 0.0) + 0.02
    said = arrival(tracks, rule, one, np.array([goal]))
    if state is None:
        assert said.reach[0] == Reach.NOTHING
        return
    found = (tracks.level[0], tracks.slope[0], tracks.p00[0], tracks.p01[0], tracks.p11[0])
    assert np.allclose(found, (state["x"], state["v"], *state["p"]), rtol=1e-9, atol=1e-18)
    assert tracks.sure[0] == state["sure"]
    mean = sum(state["nis"]) / max(len(state["nis"]), 1)
    gates = state["sure"] >= 2 and len(state["nis"]) >= 2 and mean <= 3.0
    # L + b tau (1 - exp(-t / tau)) = H, solved for t.
    share = 0.02 / (state["v"] * rule.damping_s) if state["v"] > 0 else 2.0
    after = -rule.damping_s * math.log(1.0 - share) if share < 1.0 else INF
    may = gates and after <= rule.horizon_s
    assert (said.reach[0] != Reach.NOTHING) == may
    if may:
        assert abs(said.after_s[0] - after) < 1.0  # the curve is drawn every 15 s
        assert said.earliest_s[0] <= said.after_s[0] <= said.latest_s[0]


days = st.lists(st.lists(st.sampled_from((7.0, 7.1, 7.2, 8.0, NAN)), max_size=9), max_size=14)


@given(days, st.sampled_from((Drift(0.3, 0.3, 4.0), Drift(0.3, None, 4.0))))
def test_drift_alone_equals_a_loop(readings, rule):
    rows = [(DAY_MS * d + 1000 * k, x) for d, day in enumerate(readings) for k, x in enumerate(day)]
    time_ms = np.array([t for t, _ in rows], np.int64)
    value = np.array([x for _, x in rows], float)
    medians = []
    for d, day in enumerate(readings):
        known = sorted(x for x in day if not math.isnan(x))
        over = any(readings[d + 1 :])
        middle = len(known) // 2
        mid = (known[middle] + known[~middle]) / 2 if over and len(known) >= 6 else NAN
        medians.append(mid)
    found = daily_medians(time_ms, value, 0, len(readings))
    assert np.array_equal(found, np.array(medians, float), equal_nan=True)
    flags, since, last = [], 0, None
    for d, own in enumerate(medians):
        flag = 2
        if not math.isnan(own):
            if (
                last is not None
                and rule.limit_alone
                and abs(own - medians[last]) > rule.limit_alone
            ):
                since = d  # a step is no drift
            last = d
            before = sorted(x for x in medians[max(since, d - 4) : d] if not math.isnan(x))
            if len(before) >= 2 and rule.limit_alone:
                usual = (before[len(before) // 2] + before[~(len(before) // 2)]) / 2
                flag = 3 if abs(own - usual) > rule.limit_alone else 1
        flags.append(flag)
    judged_days = drifted_days(rule, np.array(medians, float), np.zeros((0, len(medians))))
    assert judged_days.tolist() == flags
    each = [9 if math.isnan(x) else flags[t // DAY_MS] for t, x in rows]
    assert flags_of_days(judged_days, 0, time_ms, value).tolist() == each
