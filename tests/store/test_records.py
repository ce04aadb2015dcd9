"""Outbox, journal, quarantine, link record and retention."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from store import device_catalog, journal, links, outbox, quarantine, retention
from store.links import Change
from store.retention import Retention
from tests.store.conftest import add_town
from tests.store.write import write_outbox, write_readings

DAY = timedelta(days=1)
KEEP = Retention(
    readings_days=None, quarantine_days=90, outbox_days=7, sequence_days=30, conflict_days=90
)


@pytest.fixture
def device(roles, town):
    with roles.owner.transaction() as conn:
        return device_catalog.device(conn, town.tenant_id, "f1")


def test_outbox_gives_a_towns_messages_in_order_until_they_are_sent(roles, town):
    other = add_town(roles.owner, "other")
    with roles.gateway.transaction() as conn:
        for number in range(5):
            write_outbox(conn, town, f"t/{number % 2}", {"n": number})
        write_outbox(conn, other, "t/0", None)
    with roles.jobs.transaction() as conn:
        assert [code for _, code in outbox.waiting_tenants(conn)] == ["mizumori", "other"]
        messages = outbox.unsent(conn, town.tenant_id, limit=4)
        assert [m.payload["n"] for m in messages] == [0, 1, 2, 3]
        outbox.mark_sent(conn, [messages[0].outbox_id, messages[2].outbox_id])
        left = outbox.unsent(conn, town.tenant_id)
        assert [m.payload["n"] for m in left] == [1, 3, 4]
        assert outbox.backlog(conn).messages == 4


def test_journal_is_append_only_for_the_services(roles, town):
    with roles.jobs.transaction() as conn:
        journal.append(conn, town.tenant_id, "note", {"text": "一"})
        journal.append(conn, town.tenant_id, "link", {"event": "gateway_outage"})
        assert [e.kind for e in journal.entries(conn, town.tenant_id)] == ["note", "link"]
        assert journal.outage_told(conn, town.tenant_id)
        journal.append(conn, town.tenant_id, "link", {"event": "gateway_back"})
        assert not journal.outage_told(conn, town.tenant_id)
    for role in (roles.jobs, roles.gateway, roles.api):
        for statement in ("update journal set body = '{}'", "delete from journal"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), role.transaction() as conn:
                conn.execute(statement)


def test_journal_entry_about_an_alert_names_the_ledger(roles, town):
    with pytest.raises(psycopg.errors.CheckViolation), roles.jobs.transaction() as conn:
        journal.append(conn, town.tenant_id, "raised", {})


def test_ledger_transitions_are_never_rewritten_by_a_service(roles):
    for statement in (
        "update alert_transition set to_level = 0",
        "delete from alert_transition",
        "delete from alert",
        "update revision set reason = 'live'",
    ):
        for role in (roles.gateway, roles.jobs):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), role.transaction() as conn:
                conn.execute(statement)


def test_quarantine_is_listed_counted_and_replayed_once(roles, town):
    with roles.gateway.transaction() as conn:
        for reason in ("unknown-device", "bad-json", "bad-json"):
            conn.execute(
                "insert into quarantine (tenant_id, received_time, topic, payload, reason)"
                " values (%s, now(), 't', '\\x00ff', %s)",
                (town.tenant_id, reason),
            )
    with roles.jobs.transaction() as conn:
        [first, second] = quarantine.entries(conn, town.tenant_id, reason="bad-json")
        assert first.payload == b"\x00\xff"
        assert quarantine.mark_replayed(conn, [first.quarantine_id]) == 1
        assert quarantine.mark_replayed(conn, [first.quarantine_id, second.quarantine_id]) == 1
        counted = {
            (one.device, one.reason): (one.waiting, one.replayed)
            for one in quarantine.counts(conn, town.tenant_id)
        }
        assert counted == {(None, "bad-json"): (0, 2), (None, "unknown-device"): (1, 0)}


def test_same_link_change_twice_is_one_event(roles, device):
    now = datetime.now(UTC)
    silent = Change(device.device_id, "silent", "silence", now, seen=None)
    with roles.jobs.transaction() as conn:
        assert links.change(conn, [silent]) == [device.device_id]
        assert links.change(conn, [silent]) == []
        assert [e.reason for e in links.events(conn, device.device_id)] == ["silence", "created"]


def test_link_change_loses_against_a_message_that_came_meanwhile(roles, device):
    now = datetime.now(UTC)
    with roles.gateway.transaction() as conn:
        conn.execute(
            "update link_state set state = 'online', last_received_time = %s where device_id = %s",
            (now - DAY / 24, device.device_id),
        )
    with roles.jobs.transaction() as conn:
        seen = now - DAY
        stale = Change(device.device_id, "silent", "silence", now, seen)
        assert links.change(conn, [stale]) == []


def test_partitions_are_made_ahead_and_take_over_readings_of_a_fast_clock(
    roles, town, streams, database_dsn
):
    if database_dsn.engine == "timescale":
        pytest.skip("chunks make themselves")
    stream = streams["f1", "depth_m"]
    ahead = datetime.now(UTC) + 200 * DAY
    write_readings(roles.gateway, stream, town, [(ahead, 1.0)])
    with roles.owner.transaction() as conn:
        [[since, now]] = conn.execute(
            "select max(applied_at), now() from schema_version"
        ).fetchall()
    months = 12 * (now.year - since.year) + now.month - since.month
    with roles.jobs.transaction() as conn:
        # The migration made them; since then another month may have begun.
        assert retention.make_partitions(conn, 3) == 2 * months
        assert retention.make_partitions(conn, 8) == 10
        assert retention.make_partitions(conn, 8) == 0
    with roles.owner.transaction() as conn:
        assert conn.execute("select count(*) from observation_default").fetchone() == (0,)
        held = conn.execute("select tableoid::regclass::text, value from observation").fetchall()
    assert held == [(f"observation_y{ahead:%Y}m{ahead:%m}", 1.0)]


def test_readings_are_kept_for_ever_unless_days_are_set(roles, town, streams, database_dsn):
    stream = streams["f1", "depth_m"]
    now = datetime.now(UTC)
    old = [(now - 400 * DAY, 1.0), (now - 20 * DAY, 2.0), (now, 3.0)]
    write_readings(roles.gateway, stream, town, old)

    def values():
        with roles.owner.transaction() as conn:
            rows = conn.execute("select value from observation order by 1").fetchall()
        return [value for (value,) in rows]

    with roles.jobs.transaction() as conn:
        retention.apply(conn, KEEP)
    assert values() == [1.0, 2.0, 3.0]
    if database_dsn.engine == "timescale":  # what is dropped has been in the columnstore for long
        with roles.owner.transaction() as conn:
            chunks = "show_chunks('observation', older_than => interval '14 days')"
            made = conn.execute(f"select compress_chunk(c) from {chunks} as c").fetchall()
            assert len(made) == 2
    limited = Retention(90, 90, 7, 30, 90)
    with roles.jobs.transaction() as conn:
        retention.apply(conn, limited)
    assert values() == [2.0, 3.0]


def test_whole_month_is_dropped_once_it_is_over_age(roles, database_dsn):
    if database_dsn.engine == "timescale":
        pytest.skip("for the partitions of plain PostgreSQL")
    with roles.owner.transaction() as conn:
        conn.execute(
            "create table observation_y2020m01 partition of observation"
            " for values from ('2020-01-01Z') to ('2020-02-01Z')"
        )
        conn.execute(
            "create table observation_y2020m02 partition of observation"
            " for values from ('2020-02-01Z') to ('2020-03-01Z')"
        )
        [[dropped]] = conn.execute("select drop_readings_before('2020-02-15Z')").fetchall()
        names = conn.execute(
            "select relname from pg_class where relname ~ '^observation_y2020m..$'"
        ).fetchall()
    assert dropped == 1
    assert names == [("observation_y2020m02",)]


def test_sent_messages_and_old_rows_are_pruned(roles, town):
    with roles.gateway.transaction() as conn:
        write_outbox(conn, town, "t/0", {"n": 0})
        write_outbox(conn, town, "t/1", {"n": 1})
    with roles.jobs.transaction() as conn:
        conn.execute("update outbox set sent_at = now() - interval '8 days' where topic = 't/0'")
        assert retention.apply(conn, KEEP)["outbox"] == 1
        assert [m.topic for m in outbox.unsent(conn, town.tenant_id)] == ["t/1"]


def test_refused_messages_expire_and_so_do_the_counts_of_those_beyond(roles, town):
    with roles.gateway.transaction() as conn:
        for days in (89, 91):
            conn.execute(
                "insert into quarantine (tenant_id, received_time, topic, payload, reason)"
                " values (%s, now() - make_interval(days => %s), %s, '', 'bad_payload')",
                (town.tenant_id, days, f"t/{days}"),
            )
            conn.execute(
                "insert into quarantine_overflow (tenant_id, device_code, bucket, reason, messages)"
                " values (%s, 'f1', now() - make_interval(days => %s), 'bad_payload', %s)",
                (town.tenant_id, days, days),
            )
    with roles.jobs.transaction() as conn:
        gone = retention.apply(conn, KEEP)
        assert (gone["quarantine"], gone["quarantine_overflow"]) == (1, 1)
        assert [one.topic for one in quarantine.entries(conn, town.tenant_id)] == ["t/89"]
        beyond = {one.device: one.beyond for one in quarantine.counts(conn, town.tenant_id)}
        assert beyond == {None: 0, "f1": 89}
