"""Readings written as an intake writes them, for tests of what comes after."""

from datetime import UTC, datetime

from psycopg.types.json import Jsonb


def write_readings(database, datastream_id, town, readings, *, flag=1, seq=None):
    """Store (phenomenon time, value) pairs of one datastream, with `latest` and dirty hours."""
    with database.transaction() as conn:
        for time, value in readings:
            row = {
                "stream": datastream_id, "time": time, "value": value, "flag": flag, "seq": seq,
                "tenant": town.tenant_id, "now": datetime.now(UTC),
            }  # fmt: skip
            conn.execute(
                "insert into observation (phenomenon_time, received_time, value, seq,"
                " datastream_id, flag) values (%(time)s, %(now)s, %(value)s, %(seq)s,"
                " %(stream)s, %(flag)s) on conflict do nothing",
                row,
            )
            conn.execute(
                "insert into latest (datastream_id, tenant_id, phenomenon_time, received_time,"
                " value, flag) values (%(stream)s, %(tenant)s, %(time)s, %(now)s, %(value)s,"
                " %(flag)s) on conflict (datastream_id) do update set value = excluded.value,"
                " phenomenon_time = excluded.phenomenon_time, flag = excluded.flag"
                " where latest.phenomenon_time < excluded.phenomenon_time",
                row,
            )
            conn.execute(
                "insert into rollup_dirty (datastream_id, bucket)"
                " values (%(stream)s, date_trunc('hour', %(time)s::timestamptz, 'UTC'))"
                " on conflict (datastream_id, bucket) do update set marked_at = now()",
                row,
            )


def write_outbox(conn, town, topic, payload, retain=True):
    """Put one message into the outbox and announce it, as the gateway does."""
    conn.execute(
        "insert into outbox (tenant_id, topic, payload, retain) values (%s, %s, %s, %s)",
        (town.tenant_id, topic, None if payload is None else Jsonb(payload), retain),
    )
    conn.execute("select pg_notify('mizumori_outbox', '')")
