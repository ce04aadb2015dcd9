"""The whole process: periodic work is done, outages are survived, a stop is quick."""

import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from jobs import service
from jobs.settings import JobsSettings
from jobs.town_publisher import BrokerAddress
from tests.fixtures.broker import wait_until
from tests.jobs.test_outbox import Desk
from tests.store.write import write_outbox, write_readings


@pytest.fixture
def running(jobs_database, broker):
    stop = threading.Event()
    thread = threading.Thread(
        target=service.run,
        args=(JobsSettings(), jobs_database, BrokerAddress(broker.host, broker.mqtt_port), stop),
    )
    thread.start()
    yield thread
    stop.set()
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.usefixtures("running")
def test_rollups_silence_and_outbox_are_done_and_go_on_after_an_outage(
    owner, kawabe, broker, postgres
):
    desk = Desk(broker)
    with owner.transaction() as conn:
        [[stream]] = conn.execute(
            "select datastream_id from datastream where property = 'depth_m'"
        ).fetchall()
        conn.execute("update link_state set since = now() - interval '1 day'")
        conn.execute(
            "insert into intake (tenant_id, partition_no, epoch, listening_since, beat_at)"
            " values (%s, 0, 1, now() - interval '1 day', now() + interval '10 minutes')",
            (kawabe.tenant_id,),
        )
        write_outbox(conn, kawabe, "mz/v1/kawabe/a/f1/street-depth", {"n": 1})

    def count(statement):
        with owner.transaction() as conn:
            return conn.execute(statement).fetchone()[0]

    wait_until(lambda: desk.bodies() == [{"n": 1}])
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    write_readings(owner, stream, kawabe, [(hour, 0.1)])
    wait_until(lambda: count("select count(*) from rollup_hour") == 1)
    wait_until(lambda: count("select count(*) from link_state where state = 'silent'") == 3)

    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = 'mizumori_jobs' and datname = %s",
            (owner_database(owner),),
        )
    write_readings(owner, stream, kawabe, [(hour - timedelta(hours=1), 0.1)])
    wait_until(lambda: count("select count(*) from rollup_hour") == 2)
    desk.close()


def owner_database(owner):
    with owner.transaction() as conn:
        return conn.info.dbname
