"""What reviews and forecasts of streets cost in a large town: `python -m tests.bench.streets`.

5,000 sensors of one town on the embedded database, dry and in a storm. Seconds of the clock, and
of the processor in this process; the database's own work is in the first alone. `MIZUMORI_TEST_DSN`
(a superuser's connection string) takes another server.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np

from api.ahead import ahead
from api.desk import desk
from jobs.flood_review import FloodReview
from jobs.tasks import roll_up
from store import rules, town_catalog
from store.binary import FLOAT8, INT2, INT4, TIMESTAMPTZ, Column, copy_rows
from store.database import Database
from store.town_catalog import NewTenant
from tests.api.conftest import serving
from tests.fixtures.database import migrated, server

SENSORS = 5000
SIDE_M = 10_000.0
WET = 300
CONSOLES = 8
HOURS = 3
MINUTE_MS = 60_000


ADD_SENSOR = """
with s as (
    insert into site (tenant_id, code, kind, name_ja, name_en, lat, lon, ground_m, crew_minutes)
    values (%(t)s, %(c)s, 'street', '', '', %(y)s, %(x)s, %(g)s, 20) returning site_id
), d as (
    insert into device (tenant_id, site_id, code, kind, name_ja, name_en, expected_interval_s)
    select %(t)s, site_id, %(c)s, 'flood_level', '', '', 60 from s returning device_id
), l as (
    insert into link_state (device_id, tenant_id, state, since)
    select device_id, %(t)s, 'online', now() from d
)
insert into datastream (tenant_id, device_id, property, unit)
select %(t)s, device_id, 'depth_m', 'm' from d
"""


def build(owner):
    """A town of street sensors on a square, the ground falling to the south-west."""
    rng = np.random.default_rng(1)
    east, north = rng.uniform(0, SIDE_M, (2, SENSORS))
    with owner.transaction() as conn:
        town = town_catalog.add_tenant(conn, NewTenant("large", "大市", "Large"))
        rules.add_defaults(conn, town.tenant_id)
        with conn.cursor() as cursor:
            for k in range(SENSORS):
                place = 38.9 + north[k] / 111_195, 139.8 + east[k] / 86_500
                cursor.execute(
                    ADD_SENSOR,
                    {"t": town.tenant_id, "c": f"s{k}", "y": place[0], "x": place[1],
                     "g": 3.0 + (east[k] + north[k]) / 400.0},
                )  # fmt: skip
        streams = [
            row[0] for row in conn.execute("select datastream_id from datastream order by 1")
        ]
    return town, np.array(streams, np.int32)


def fill(owner, town, streams, wet):
    """Readings of some hours up to now, a minute apart; `wet` rises at the end."""
    rng = np.random.default_rng(2)
    now_ms = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS
    times = now_ms - MINUTE_MS * np.arange(60 * HOURS)[::-1]
    with owner.transaction() as conn:
        conn.execute("truncate observation, latest, rollup_hour, rollup_dirty, review_due")
        for some in np.array_split(np.arange(len(streams)), 20):
            depth = np.round(np.maximum(rng.normal(0.0, 0.004, (len(some), len(times))), 0.0), 3)
            rise = np.maximum(0.0, np.arange(len(times)) - len(times) + 20) * 0.006
            depth[some < wet] += rise
            n = depth.size
            columns = [
                Column(TIMESTAMPTZ, np.tile(times, len(some))),
                Column(TIMESTAMPTZ, np.tile(times, len(some))),
                Column(FLOAT8, depth.ravel()),
                Column(INT4, np.repeat(streams[some], len(times))),
                Column(INT2, np.ones(n, np.int16)),
            ]
            with conn.cursor().copy(
                "copy observation (phenomenon_time, received_time, value, datastream_id, flag)"
                " from stdin (format binary)"
            ) as copy:
                copy.write(copy_rows(columns))
        conn.execute(
            "insert into latest (datastream_id, tenant_id, phenomenon_time, received_time, value,"
            " flag, rate_per_h) select distinct on (datastream_id) datastream_id, %s,"
            " phenomenon_time, phenomenon_time, value, flag, case when value > 0.05 then 0.3 else 0"
            " end from observation order by datastream_id, phenomenon_time desc", (town.tenant_id,),
        )  # fmt: skip
        conn.execute(
            "insert into rollup_dirty select distinct datastream_id,"
            " date_trunc('hour', phenomenon_time, 'UTC') from observation"
        )
        conn.execute("analyze")
    return datetime.fromtimestamp(now_ms / 1000, UTC)


def told(what, work):
    clock, processor = time.perf_counter(), time.process_time()
    found = work()
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    print(f"{what:44} {clock:7.2f} s, {processor:6.2f} s of the processor here: {found}")


def main():
    with server() as superuser:
        dsn = migrated(superuser, f"mizumori_streets_{os.getpid()}")
        with (
            Database(dsn.owner, name="bench") as owner,
            Database(dsn.jobs, name="bench-jobs") as jobs,
            Database(dsn.api, name="bench-api") as api,
        ):
            town, streams = build(owner)
            for name, wet in (("dry", 0), ("storm", WET), ("all rise", SENSORS)):
                now = fill(owner, town, streams, wet)
                roll_up(jobs)
                mark(owner, now)
                told(f"{name}: review of all sensors", FloodReview(jobs).drain)
                told(
                    f"{name}: flood map, judged",
                    lambda now=now: len(look(api, town, now)[0].devices),
                )
                told(
                    f"{name}: with what is ahead",
                    lambda now=now: len(look(api, town, now, True)[1]),
                )
                with serving(dsn.api) as served:
                    told(f"{name}: flood map, one console", lambda s=served: maps(s, 1))
                    told(f"{name}: flood map, {CONSOLES} at once", lambda s=served: maps(s))


def mark(owner, now):
    """As the rollups do it every 20 s: each sensor has news of this hour."""
    with owner.transaction() as conn:
        conn.execute("truncate review_due")
        conn.execute(
            "insert into review_due (work, datastream_id, from_time)"
            " select 'flood', datastream_id, date_trunc('hour', %s::timestamptz, 'UTC')"
            " from datastream", (now - timedelta(minutes=1),),
        )  # fmt: skip


def maps(served, consoles=CONSOLES):
    """Ask for the flood map over HTTP; the processor's time holds that of reading the answers."""
    url = f"{served.client.base_url}/api/v1/large/map/flood"
    with ThreadPoolExecutor(consoles) as pool, httpx.Client(timeout=300) as client:
        answers = list(pool.map(lambda _: client.get(url), range(consoles)))
    assert {answer.status_code for answer in answers} == {200}
    return f"{len(answers[0].content) / 1e6:.1f} MB each"


def look(api, town, now, further=False):
    with api.transaction(tenant_id=town.tenant_id) as conn:
        found = desk(conn, town, now, ("flood_level",))
        return found, ahead(conn, found) if further else {}


if __name__ == "__main__":
    main()
