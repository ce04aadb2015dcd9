"""Ponds with a probe each, their days, and what the jobs make of them."""

import math

import numpy as np

from jobs.pond_review import PondReview
from jobs.tasks import roll_up
from tests.jobs.door import at

MINUTES_PER_DAY = 1440


def add_pond(place, code, properties=("water_temp_c", "ph", "dissolved_oxygen_mg_l"), site=None):
    """Add a pond with a probe; returns the datastreams by property."""
    with place.owner.transaction() as conn:
        return _add_pond(conn, place.tenant_id, code, properties, site or f"site-{code}")


def _add_pond(conn, tenant_id, code, properties, site):
    conn.execute(
        "insert into site (tenant_id, code, kind, name_ja, name_en, lat, lon)"
        " values (%s, %s, 'pond', '', '', 37.4, 140.4) on conflict do nothing",
        (tenant_id, site),
    )
    [[device]] = conn.execute(
        "insert into device (tenant_id, code, kind, name_ja, name_en, expected_interval_s, site_id)"
        " values (%s, %s, 'pond_probe', '', '', 600, (select site_id from site"
        " where tenant_id = %s and code = %s)) returning device_id",
        (tenant_id, code, tenant_id, site),
    ).fetchall()
    made = {}
    for name in properties:
        [[made[name]]] = conn.execute(
            "insert into datastream (tenant_id, device_id, property, unit) values (%s, %s, %s, '')"
            " returning datastream_id",
            (tenant_id, device, name),
        ).fetchall()
    return made


def review(place):
    """Run the jobs as they follow each other."""
    roll_up(place.jobs)
    PondReview(place.jobs).drain()
    place.settlement.drain()


def derived(place, streams):
    """Read all derived series of a pond: {property: [(time, value)]}."""
    found = place.rows(
        "select ds.property, o.phenomenon_time, o.value from datastream ds"
        " join observation o using (datastream_id) where ds.derived and ds.device_id ="
        " (select device_id from datastream where datastream_id = %s)"
        " order by ds.property, o.phenomenon_time",
        next(iter(streams.values())),
    )
    series = {}
    for name, moment, value in found:
        series.setdefault(name, []).append((moment, None if math.isnan(value) else value))
    return series


def stream_of(place, streams, name):
    return place.value(
        "select datastream_id from datastream where property = %s and device_id ="
        " (select device_id from datastream where datastream_id = %s)",
        name,
        next(iter(streams.values())),
    )


def day(minutes, temp=22.0, swing=2.0):
    """Values of a calm pond at some minutes."""
    phase = np.asarray(minutes) / MINUTES_PER_DAY * 2 * np.pi
    return {
        "water_temp_c": np.round(temp + swing * np.sin(phase), 2),
        "ph": np.round(7.6 + 0.3 * np.sin(phase), 2),
        "dissolved_oxygen_mg_l": np.round(7.5 + 1.0 * np.sin(phase), 2),
    }


def readings(streams, minutes, values):
    return [
        (streams[name], at(int(minute)), float(value))
        for name in values
        for minute, value in zip(minutes, values[name], strict=True)
    ]
