"""Rows as the gateway and the jobs write them."""

import json
from datetime import UTC, datetime, timedelta
from functools import cached_property

from psycopg.types.json import Jsonb

from store import datastream_catalog, device_catalog, rules, site_catalog, town_catalog
from store.device_catalog import NewDevice
from store.site_catalog import NewSite
from store.town_catalog import NewTenant


def now():
    return datetime.now(UTC)


def ago(**kwargs):
    return now() - timedelta(**kwargs)


class Seed:
    """A town with a flood sensor, a river gauge, a pond and a plow, and hands to change it."""

    def __init__(self, database):
        self.database = database
        self.town = self.add_town("sakata")

    def add_town(self, code, **kwargs):
        with self.database.transaction() as conn:
            town = town_catalog.add_tenant(
                conn,
                NewTenant(
                    code=code,
                    name_ja=f"{code}市",
                    name_en=code.title(),
                    map_lat=38.91,
                    map_lon=139.84,
                    **kwargs,
                ),
            )
            site_catalog.add_site(
                conn,
                town.tenant_id,
                NewSite(
                    code="ekimae",
                    kind="underpass",
                    name_ja="駅前地下道",
                    name_en="Station underpass",
                    lat=38.92,
                    lon=139.83,
                    close_at_m=0.1,
                    crew_minutes=20,
                ),
            )
            site_catalog.add_site(
                conn,
                town.tenant_id,
                NewSite(code="pond-1", kind="pond", name_ja="一番池", name_en="Pond 1"),
            )
            device_catalog.add_devices(
                conn,
                town.tenant_id,
                [
                    NewDevice("f1", "flood_level", "冠水1", "Flood 1", 60, site="ekimae"),
                    NewDevice("c1", "flood_contact", "接点1", "Contact 1", 60, site="ekimae"),
                    NewDevice("p1", "pond_probe", "池1", "Pond 1", 600, site="pond-1"),
                    NewDevice("plow-1", "plow", "除雪車1", "Plow 1", 5),
                ],
            )
            rules.add_defaults(conn, town.tenant_id)
        return town

    @cached_property
    def streams(self):
        return self.streams_of(self.town)

    def streams_of(self, town):
        with self.database.transaction() as conn:
            codes = {d.device_id: d.code for d in device_catalog.devices(conn, town.tenant_id)}
            return {
                (codes[s.device_id], s.property): s.datastream_id
                for s in datastream_catalog.datastreams(conn, town.tenant_id)
            }

    def devices_of(self, town):
        with self.database.transaction() as conn:
            return {d.code: d.device_id for d in device_catalog.devices(conn, town.tenant_id)}

    def execute(self, statement, *parameters):
        with self.database.transaction() as conn:
            return conn.execute(statement, parameters)

    def one(self, statement, *parameters):
        with self.database.transaction() as conn:
            return conn.execute(statement, parameters).fetchone()[0]

    def readings(self, stream, points, *, flag=1, marks=0, dirty=True):
        """Store (time, value) pairs of a datastream."""
        with self.database.transaction() as conn, conn.cursor() as cursor:
            cursor.executemany(
                "insert into observation (phenomenon_time, received_time, value, datastream_id,"
                " flag, marks) values (%s, now(), %s, %s, %s, %s)",
                [(time, value, stream, flag, marks) for time, value in points],
            )
            if dirty:
                cursor.executemany(
                    "insert into rollup_dirty (datastream_id, bucket)"
                    " values (%s, date_trunc('hour', %s::timestamptz, 'UTC'))"
                    " on conflict do nothing",
                    [(stream, time) for time, _ in points],
                )

    def latest(self, stream, value, *, time=None, received=None, flag=1, rate=None, marks=0):
        self.execute(
            "insert into latest (datastream_id, tenant_id, phenomenon_time, received_time, value,"
            " flag, rate_per_h, marks) select datastream_id, tenant_id, %s, %s, %s, %s, %s, %s"
            " from datastream where datastream_id = %s"
            " on conflict (datastream_id) do update set phenomenon_time = excluded.phenomenon_time,"
            " received_time = excluded.received_time, value = excluded.value,"
            " flag = excluded.flag, rate_per_h = excluded.rate_per_h, marks = excluded.marks",
            time or now(), received or now(), value, flag, rate, marks, stream,
        )  # fmt: skip

    def link(self, device, state, town=None):
        town = town or self.town
        self.execute(
            "update link_state set state = %s, since = now(), last_received_time = now()"
            " where device_id = (select device_id from device where tenant_id = %s and code = %s)",
            state, town.tenant_id, device,
        )  # fmt: skip

    def state(self, device, state):
        with self.database.transaction() as conn:
            device_catalog.set_device(conn, self.town.tenant_id, device, {"state": state})

    def alert(self, stream, *, rule="street-depth", level=2, onset=None, clear=None, peak=0.21,
              training=False, withdrawn=False, town=None, unconfirmed=False):  # fmt: skip
        town = town or self.town
        revision = self.one(
            "insert into revision (tenant_id, reason) values (%s, 'live') returning revision_id",
            town.tenant_id,
        )
        onset = onset or ago(minutes=5)
        alert = self.one(
            "insert into alert (tenant_id, datastream_id, rule_code, rule_version, onset_time,"
            " clear_time, level, peak_level, peak_value, training, revision_id, withdrawn)"
            " values (%s, %s, %s, 1, %s, %s, %s, %s, %s, %s, %s, %s) returning alert_id",
            town.tenant_id, stream, rule, onset, clear, 0 if clear else level, level, peak,
            training, revision, withdrawn,
        )  # fmt: skip
        steps = [(onset, 0, level, peak)] + ([(clear, level, 0, 0.0)] if clear else [])
        for time, before, after, value in steps:
            evidence = {"readings": [[0, value]]} | ({"unconfirmed": True} if unconfirmed else {})
            self.execute(
                "insert into alert_transition (alert_id, phenomenon_time, from_level, to_level,"
                " value, rule_version, evidence, revision_id) values (%s,%s,%s,%s,%s,1,%s,%s)",
                alert, time, before, after, value, Jsonb(evidence), revision,
            )  # fmt: skip
        return alert

    def positions(self, device, points, *, flag=1):
        """Store (time, lat, lon, blade) fixes of a plow; the last one is its newest."""
        device_id = self.devices_of(self.town)[device]
        with self.database.transaction() as conn, conn.cursor() as cursor:
            cursor.executemany(
                "insert into position (phenomenon_time, received_time, lat, lon, device_id, blade,"
                " speed_kmh, flag) values (%s, now(), %s, %s, %s, %s, 20, %s)",
                [(time, lat, lon, device_id, blade, flag) for time, lat, lon, blade in points],
            )
            time, lat, lon, blade = points[-1]
            cursor.execute(
                "insert into latest_position (device_id, tenant_id, phenomenon_time, received_time,"
                " lat, lon, speed_kmh, course_deg, blade, flag) values (%s, %s, %s, %s, %s, %s, 20,"
                " 90, %s, %s) on conflict (device_id) do update set lat = excluded.lat,"
                " lon = excluded.lon, phenomenon_time = excluded.phenomenon_time,"
                " received_time = excluded.received_time, blade = excluded.blade,"
                " flag = excluded.flag",
                (device_id, self.town.tenant_id, time, now(), lat, lon, blade, flag),
            )

    def notify(self, town=None, **ids):
        town = town or self.town
        body = {"tenant_id": town.tenant_id, **ids}
        self.execute("select pg_notify('mizumori_live', %s)", json.dumps(body))
