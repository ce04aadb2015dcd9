import itertools
import math
from collections import Counter
from dataclasses import replace

import pytest

from firmware_sim.backlog import Backlog
from firmware_sim.faults import Fault
from firmware_sim.payload import Sample, encode
from firmware_sim.plan import build_devices, demo_plan
from firmware_sim.roads import RoadNetwork, distance_m
from firmware_sim.storm import Hydrograph, Weather

NOW_MS = 1_763_760_000_000
HOUR_MS = 3_600_000


def devices(seed=2026, onset_ms=NOW_MS):
    plan = demo_plan()
    weather = Weather(onset_ms, plan.storm["period_s"], seed)
    return {device.code: device for device in build_devices(plan, weather, seed=seed)}


def collected(device, begin_ms, *until_ms):
    device.resume(0, begin_ms)
    return [sample for end_ms in until_ms for sample in device.collect(end_ms)]


def test_equal_seeds_give_equal_bytes_and_others_do_not():
    def town(seed):
        fleet = devices(seed)
        return {
            code: encode(collected(device, NOW_MS, NOW_MS + HOUR_MS // 4))
            for code, device in fleet.items()
        }

    first, again, other = town(1), town(1), town(2)
    assert first == again
    assert all(first[code] != other[code] for code in first)


@pytest.mark.parametrize("code", ["flood-01", "flood-02", "flood-09", "pond-02", "plow-01"])
def test_a_device_asked_in_pieces_reports_the_same(code):
    whole = collected(devices()[code], NOW_MS, NOW_MS + HOUR_MS)
    ends = [NOW_MS + 7_001 * n for n in range(1, 514)]
    pieces = collected(devices()[code], NOW_MS, *ends, NOW_MS + HOUR_MS)
    assert pieces == whole
    assert len(whole) > 20


def test_a_device_that_lost_its_memory_of_the_last_minutes_repeats_the_same_readings():
    device = devices()["flood-01"]
    first = collected(device, NOW_MS, NOW_MS + 600_000)
    kept = next(sample for sample in first if sample.time_ms > NOW_MS + 300_000)
    device.resume(kept.seq, kept.time_ms)
    assert device.collect(NOW_MS + 600_000) == first[first.index(kept) + 1 :]


def test_the_storm_reaches_several_levels_within_three_minutes():
    fleet = devices()
    tops = {
        code: max(s.values["depth_m"] for s in collected(device, NOW_MS, NOW_MS + 180_000))
        for code, device in fleet.items()
        if code in ("flood-01", "flood-02", "flood-03", "flood-06")
    }
    assert tops["flood-01"] > 0.30
    assert tops["flood-02"] == 0.2
    assert 0.05 < tops["flood-03"] < 0.10
    assert tops["flood-06"] == 0
    first = next(
        sample
        for sample in collected(devices()["flood-01"], NOW_MS, NOW_MS + 60_000)
        if sample.values["depth_m"] >= 0.10
    )
    assert first.time_ms - NOW_MS < 50_000


def test_a_storm_leaves_some_streets_dry_and_one_unheard():
    fleet = devices()
    levels = Counter()
    for code, device in fleet.items():
        if code.startswith("flood") and code not in ("flood-08", "flood-11", "flood-12"):
            samples = collected(device, NOW_MS, NOW_MS + HOUR_MS // 3)
            # The fourth highest: a car under a sensor is no water.
            top = sorted(s.values["depth_m"] for s in samples)[-4]
            levels[sum(top >= on for on in (0.05, 0.10, 0.20, 0.30))] += 1
    assert levels == {0: 3, 1: 2, 2: 2, 3: 1, 4: 1}
    silent = fleet["flood-08"]
    assert not collected(silent, NOW_MS + 60_000, NOW_MS + 1_200_000)
    assert not silent.has_line(NOW_MS + 600_000)
    assert silent.has_line(NOW_MS + 1_800_000)


def test_a_night_of_storms_stays_plausible():
    device = devices()["flood-01"]
    samples = collected(device, NOW_MS, NOW_MS + 12 * HOUR_MS)
    depths = [sample.values["depth_m"] for sample in samples]
    assert min(depths) >= 0
    assert max(depths) < 1.4
    # It dries between the storms, long enough for an alert to end, and floods again each time.
    dry_since, floods, dry_ms = None, 0, []
    for sample in samples:
        if sample.values["depth_m"] > 0.04:
            if dry_since is not None and sample.time_ms - dry_since > 1_200_000:
                dry_ms.append(sample.time_ms - dry_since)
                floods += 1
            dry_since = None
        elif dry_since is None:
            dry_since = sample.time_ms
    assert floods >= 3
    assert min(dry_ms) > HOUR_MS + 1_800_000


def test_a_flood_sensor_reports_more_often_in_water():
    device = devices()["flood-01"]
    times = [s.time_ms for s in collected(device, NOW_MS, NOW_MS + HOUR_MS)]
    steps = Counter(b - a for a, b in itertools.pairwise(times))
    assert {step for step, _count in steps.most_common(2)} == {10_000, 60_000}
    assert steps[10_000] > 50


def test_a_contact_sensor_knows_only_its_electrodes():
    samples = collected(one("flood-02", peak_m=0.36), NOW_MS, NOW_MS + HOUR_MS)
    assert {s.values["depth_m"] for s in samples} == {0.0, 0.1, 0.2, 0.3}
    rising = [s.values["depth_m"] for s in samples][: len(samples) // 4]
    assert [b for a, b in itertools.pairwise(rising) if b != a][:3] == [0.1, 0.2, 0.3]


def test_oxygen_and_ph_of_a_pond_sag_together_before_sunrise():
    samples = collected(devices()["pond-03"], NOW_MS, NOW_MS + 48 * HOUR_MS)

    def mean(name, hour):
        found = [s.values[name] for s in samples if (s.time_ms // HOUR_MS + 9) % 24 == hour]
        return sum(found) / len(found)

    assert mean("dissolved_oxygen_mg_l", 16) - mean("dissolved_oxygen_mg_l", 4) > 1.5
    assert mean("ph", 16) - mean("ph", 4) > 0.3
    assert mean("water_temp_c", 15) - mean("water_temp_c", 3) > 1.0
    assert all(0 < s.values["dissolved_oxygen_mg_l"] < 15 for s in samples)


def test_a_plow_stays_on_its_roads_and_drives_like_one():
    plan = demo_plan()
    points = [
        point for road in RoadNetwork.from_geojson(plan.roads).roads.values() for point in road.line
    ]
    samples = collected(devices()["plow-01"], NOW_MS, NOW_MS + 90 * 60_000)
    fixes = [sample.fix for sample in samples]
    assert {fix.blade for fix in fixes} == {True, False}
    assert 0.4 < sum(fix.blade for fix in fixes) / len(fixes) < 0.95
    for before, after in itertools.pairwise(samples):
        step_m = distance_m((before.fix.lon, before.fix.lat), (after.fix.lon, after.fix.lat))
        speed_kmh = step_m / (after.time_ms - before.time_ms) * 3600
        assert speed_kmh < 75
    for fix in fixes[::25]:
        assert min(distance_m((fix.lon, fix.lat), point) for point in points) < 350
    working = [fix.speed_kmh for fix in fixes if fix.blade and fix.speed_kmh > 3]
    assert max(working) < 45


@pytest.mark.parametrize("route", [f"route-{n}" for n in range(1, 6)])
def test_a_tour_works_every_road_of_its_section_in_both_directions_and_comes_home(route):
    plan = demo_plan()
    network = RoadNetwork.from_geojson(plan.roads)
    depot = next(site for site in plan.sites if site["kind"] == "depot")
    home = network.nearest_junction(depot["lon"], depot["lat"])
    tour = network.tour(home, route)
    here = home
    for leg, _blade in tour:
        assert leg.line[0] == here
        here = leg.line[-1]
    assert here == home
    worked = sorted((leg.road.code, leg.forward) for leg, blade in tour if blade)
    section = [road.code for road in network.roads.values() if road.route == route]
    assert worked == sorted((code, way) for code in section for way in (True, False))


def one(code, faults=(), **water):
    """A device of the demo town with its own faults, and with another answer to the storm."""
    plan = demo_plan()
    described = dict(next(device for device in plan.devices if device["code"] == code))
    model = dict(described["model"])
    if water:
        model["hydrograph"] = {**model["hydrograph"], **water}
    described |= {"faults": faults, "model": model}
    weather = Weather(NOW_MS, plan.storm["period_s"], 5)
    return next(iter(build_devices(replace(plan, devices=(described,)), weather, seed=5)))


def with_fault(code, **fault):
    return one(code, [fault])


def test_without_power_nothing_is_measured_and_the_line_is_down():
    device = with_fault("flood-01", kind="power", after_s=60, for_s=120)
    times = [s.time_ms - NOW_MS for s in collected(device, NOW_MS, NOW_MS + 400_000)]
    assert not [t for t in times if 60_000 <= t < 180_000]
    assert device.has_line(NOW_MS + 59_000)
    assert not device.has_line(NOW_MS + 61_000)
    assert not device.has_power(NOW_MS + 61_000)


def test_without_line_it_measures_on():
    device = with_fault("flood-01", kind="radio", after_s=60, for_s=120)
    times = [s.time_ms - NOW_MS for s in collected(device, NOW_MS, NOW_MS + 400_000)]
    assert len([t for t in times if 60_000 <= t < 180_000]) == 12
    assert device.has_power(NOW_MS + 61_000)
    assert not device.has_line(NOW_MS + 61_000)


def test_a_stuck_sensor_repeats_itself():
    device = with_fault("flood-01", kind="stuck", after_s=60, for_s=120)
    held = {
        s.values["depth_m"]
        for s in collected(device, NOW_MS, NOW_MS + 400_000)
        if 60_000 <= s.time_ms - NOW_MS < 180_000
    }
    assert len(held) == 1


def test_a_clock_step_moves_times_and_not_the_order():
    device = with_fault("flood-01", kind="clock", after_s=60, for_s=120, amount=-300)
    samples = collected(device, NOW_MS, NOW_MS + 400_000)
    assert [s.seq for s in samples] == list(range(1, len(samples) + 1))
    assert min(b.time_ms - a.time_ms for a, b in itertools.pairwise(samples)) == (-290_000)


def test_duplicates_and_disorder_lose_nothing():
    plain = collected(devices()["flood-03"], NOW_MS, NOW_MS + HOUR_MS)
    device = with_fault("flood-03", kind="duplicate", after_s=0, for_s=7200, amount=0.3)
    doubled = [s.seq for s in collected(device, NOW_MS, NOW_MS + HOUR_MS)]
    assert len(doubled) > 1.15 * len(set(doubled))
    device = with_fault("flood-03", kind="disorder", after_s=0, for_s=7200, amount=0.3)
    swapped = [s.seq for s in collected(device, NOW_MS, NOW_MS + HOUR_MS)]
    assert swapped != sorted(swapped)
    last = max(swapped)
    assert sorted(swapped) == [n for n in range(1, last + 1) if n in set(swapped)]
    assert len(set(swapped)) >= last - 1  # one may wait for its successor
    assert len(plain) > 100


def test_spikes_come_at_the_wanted_rate():
    device = with_fault("pond-01", kind="spike", after_s=0, for_s=86_400, amount=0.2)
    samples = collected(device, NOW_MS, NOW_MS + 12 * HOUR_MS)
    healthy = devices(seed=5)["pond-01"]
    off = [s for s in samples if s.values["ph"] - healthy.measure(s.time_ms).values["ph"] > 0.2]
    assert 0.12 < len(off) / len(samples) < 0.28


def test_only_a_full_backlog_gives_up_its_oldest_and_counts():
    backlog = Backlog(3)
    for n in range(5):
        backlog.put(Sample(n, n))
    assert backlog.dropped == 2
    assert [s.seq for s in backlog.take(10)] == [2, 3, 4]
    backlog.put(Sample(9, 9), in_flight=3)
    assert (backlog.dropped, len(backlog)) == (2, 1)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="choose one of power"):
        Fault("flood", 0, 1)
    with pytest.raises(ValueError, match="a fault lasts longer than 0"):
        Fault("power", 0, 0)
    with pytest.raises(ValueError, match="rise and a recession"):
        Hydrograph(0, 1, 0, 0, 0, 1)
    assert math.isclose(Hydrograph(0, 1, 0, 10, 5, 1).rise_m(12, 1), 1)
