"""What the tests over hours, plateaus and drift cost: ``python -m tests.bench.quality_review``.

A town of pond probes at a reading a minute: reviewed for a day, for the hour after it, and for a
year of one probe that came late. Processor time of the job, beside the time on the clock, which
holds what the database does.
"""

import argparse
import os
import resource
import time
from collections.abc import Callable

import psycopg

from jobs.drift_review import DriftReview
from jobs.quality_review import PlateauReview, QualityReview
from store import device_catalog, rules, site_catalog, town_catalog
from store.database import Database
from store.device_catalog import NewDevice
from store.site_catalog import NewSite
from store.town_catalog import NewTenant
from tests.fixtures.database import migrated, server

START = "2026-03-01T00:00Z"
# A pond's day with the noise of a probe; one probe in fifty stands still.
FILL = """
insert into observation (phenomenon_time, received_time, value, datastream_id, flag)
select at, at, 20 + case when datastream_id %% 50 = 0 then 0
        else 2 * sin(extract(epoch from at) / 86400 * 2 * pi()) + 0.02 * random() end,
    datastream_id, 1
from datastream, generate_series(%(start)s::timestamptz,
    %(start)s::timestamptz + %(length)s::interval - interval '1 second', interval '1 minute') at
where property in ('water_temp_c', 'ph', 'dissolved_oxygen_mg_l')
    and (%(only)s::integer is null or datastream_id = %(only)s)
"""
MARK = """
insert into review_due (work, datastream_id, from_time)
select 'quality', datastream_id, %(start)s from datastream
where property in ('water_temp_c', 'ph', 'dissolved_oxygen_mg_l')
    and (%(only)s::integer is null or datastream_id = %(only)s)
on conflict do nothing
"""


def measure(name: str, work: Callable[[], int]) -> None:
    """Print what a piece of work takes."""
    clock, processor = time.perf_counter(), time.process_time()
    datastreams = work()
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    each = 1000.0 / max(datastreams, 1)
    print(
        f"{name:34} {datastreams:5} datastreams {clock:7.2f} s on the clock, {processor:6.2f} s of"
        f" the processor: {clock * each:6.2f} and {processor * each:6.2f} ms each"
    )


def main() -> None:
    """Fill a database of its own, and review it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probes", type=int, default=170)
    probes = parser.parse_args().probes
    with server() as superuser:
        run(superuser, probes)


def run(superuser: str, probes: int) -> None:
    """Measure with a running server."""
    dsn = migrated(superuser, f"mizumori_reviews_{os.getpid()}")
    with Database(dsn.owner, name="owner") as owner, Database(dsn.jobs, name="jobs") as jobs:
        with owner.transaction() as conn:
            town = town_catalog.add_tenant(conn, NewTenant("bench", "池", "Ponds"))
            pond = NewSite(code="pond", kind="pond", name_ja="池", name_en="Pond")
            site_catalog.add_site(conn, town.tenant_id, pond)
            rules.add_defaults(conn, town.tenant_id)
            new = [
                NewDevice(f"p{n}", "pond_probe", "池", "Pond", 60, site="pond")
                for n in range(probes)
            ]
            device_catalog.add_devices(conn, town.tenant_id, new)
            [[first]] = conn.execute(
                "select min(datastream_id) from datastream where property = 'ph'"
            ).fetchall()

        def fill(start: str, length: str, only: int | None = None) -> None:
            row = {"start": start, "length": length, "only": only}
            with owner.transaction() as conn:
                conn.execute(FILL, row)
                conn.execute(MARK, row)
            with psycopg.connect(dsn.owner, autocommit=True) as conn:
                conn.execute("analyze")

        quality, plateaus, drift = QualityReview(jobs), PlateauReview(jobs), DriftReview(jobs)
        fill(START, "26 hours")
        measure("a day, tests of the hour", quality.drain)
        measure("a day, plateaus", plateaus.drain)
        measure("a day, drift", drift.drain)
        fill("2026-03-02T02:00Z", "1 hour")
        measure("the hour after it", quality.drain)
        measure("the night: plateaus", plateaus.drain)
        measure("the night: drift", drift.drain)
        fill("2025-03-01T00:00Z", "365 days", first)
        measure("a year of one probe, late", quality.drain)
        measure("its plateaus", plateaus.drain)
        measure("its drift, with the others", drift.drain)
        with owner.transaction() as conn:
            [[revisions]] = conn.execute("select count(*) from flag_revision").fetchall()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{revisions} flags appended; at most {peak_mb:.0f} MB of memory")


if __name__ == "__main__":
    main()
