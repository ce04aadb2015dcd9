"""Silence is told of the device only while somebody listened."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb
from structlog.testing import capture_logs

from jobs import metrics
from jobs.router_watch import RouterWatch
from jobs.silence import SilenceWatch
from store import device_catalog, journal, links, rules
from tests.store.conftest import add_town

MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(owner, jobs_database, quiet_town):
    return World(owner, jobs_database, quiet_town)


class World:
    """A town in which time can be moved: what was heard and who listened is written back."""

    def __init__(self, owner, jobs, town):
        self.owner, self.jobs, self.town = owner, jobs, town
        self.watch = SilenceWatch(jobs, outage_after_s=60)
        self.listen(since=timedelta(days=1))

    def listen(self, since, beat=timedelta(0)):
        """The gateway listens since so long ago (None: not), its last beat was so long ago."""
        with self.owner.transaction() as conn:
            conn.execute(
                "insert into intake (tenant_id, partition_no, epoch, listening_since, beat_at)"
                " values (%(tenant)s, 0, 1, now() - %(since)s::interval, now() - %(beat)s)"
                " on conflict (tenant_id, partition_no) do update set"
                " listening_since = excluded.listening_since, beat_at = excluded.beat_at",
                {"tenant": self.town.tenant_id, "since": since, "beat": beat},
            )

    def heard(self, code, ago, state="online"):
        with self.owner.transaction() as conn:
            conn.execute(
                "update link_state l set state = %s, since = now() - %s,"
                " last_received_time = now() - %s from device d"
                " where d.device_id = l.device_id and d.code = %s",
                (state, ago, ago, code),
            )

    def state(self, code):
        with self.owner.transaction() as conn:
            device = device_catalog.device(conn, self.town.tenant_id, code)
            [[state]] = conn.execute(
                "select state from link_state where device_id = %s", (device.device_id,)
            ).fetchall()
            return state, links.events(conn, device.device_id)[0].reason

    def said(self):
        with self.owner.transaction() as conn:
            return [e.body["event"] for e in journal.entries(conn, self.town.tenant_id)]


def test_device_is_silent_after_more_reports_than_the_radio_loses(world):
    world.heard("f1", 6 * MINUTE)  # six missed at one minute; half an interval more is jitter
    world.watch.look()
    assert world.state("f1")[0] == "online"
    world.heard("f1", 6.7 * MINUTE)
    assert world.watch.look() == {"silent": 1, "unknown": 0}
    assert world.state("f1") == ("silent", "silence")
    assert world.watch.look() == {}
    assert world.said() == ["silent"]


def test_devices_that_fall_silent_together_are_told_together(world):
    world.heard("f1", 60 * MINUTE)
    world.heard("plow-1", 60 * MINUTE)
    world.watch.look()
    with world.owner.transaction() as conn:
        [entry] = journal.entries(conn, world.town.tenant_id)
    assert entry.body["devices"] == ["f1", "plow-1"]


def test_nobody_is_called_silent_while_the_gateway_is_down(world):
    world.heard("f1", 60 * MINUTE)
    world.listen(since=timedelta(days=1), beat=45 * MINUTE)  # it was killed
    world.watch.look()
    assert world.state("f1") == ("unknown", "gateway_outage")


def test_device_that_reported_before_the_outage_is_still_online_until_it_is_due(world):
    world.heard("f1", 2 * MINUTE)
    world.listen(since=None)
    world.watch.look()
    assert world.state("f1")[0] == "online"


def test_after_an_outage_devices_get_their_time_again(world):
    world.heard("f1", 60 * MINUTE)
    world.listen(since=2 * MINUTE)  # came back two minutes ago
    world.watch.look()
    assert world.state("f1")[0] == "online"
    world.listen(since=8 * MINUTE)
    world.watch.look()
    assert world.state("f1") == ("silent", "silence")


def test_outage_is_told_once_and_its_end_once(world):
    world.watch.look()
    world.listen(since=None, beat=40 * MINUTE)
    world.watch.look()
    assert world.said() == []  # we started a moment ago ourselves
    world.watch._started -= 5 * MINUTE
    for _ in range(3):
        world.watch.look()
    SilenceWatch(world.jobs, 60).look()  # a restart of the jobs tells nothing twice
    assert world.said() == ["gateway_outage"]
    world.listen(since=MINUTE)
    for _ in range(3):
        world.watch.look()
    assert world.said() == ["gateway_outage", "gateway_back"]


def test_one_deaf_partition_is_enough_to_accuse_nobody(world):
    world.heard("f1", 60 * MINUTE)
    with world.owner.transaction() as conn:
        conn.execute(
            "insert into intake (tenant_id, partition_no, epoch) values (%s, 1, 1)",
            (world.town.tenant_id,),
        )
    world.watch.look()
    assert world.state("f1") == ("unknown", "gateway_outage")


def test_device_that_never_reported_becomes_silent_and_not_online(world):
    with world.owner.transaction() as conn:
        conn.execute("update link_state set since = now() - interval '1 day'")
    world.watch.look()
    assert world.state("f1") == ("silent", "silence")


def test_device_in_maintenance_is_not_watched(world):
    world.heard("f1", 60 * MINUTE)
    with world.owner.transaction() as conn:
        device_catalog.set_device(conn, world.town.tenant_id, "f1", {"state": "maintenance"})
    world.watch.look()
    assert world.state("f1")[0] == "online"


def test_rule_of_the_device_sets_the_patience(world):
    world.heard("f1", 60 * MINUTE)
    with world.owner.transaction() as conn:
        device = device_catalog.device(conn, world.town.tenant_id, "f1")
        rules.save(
            conn,
            world.town.tenant_id,
            "level-silence",
            kind="silence",
            observed_property="link",
            params={"loss_rate": 0.05, "calm_interval_s": 86400},
            device_id=device.device_id,
        )
    world.watch.look()
    assert world.state("f1")[0] == "online"  # daily when calm: an hour is nothing


def test_a_rule_that_cannot_be_read_is_told_once_and_the_default_holds(world):
    """One bad row must not end the watch over all towns, nor over its own device."""
    world.heard("f1", 60 * MINUTE)
    world.heard("plow-1", 60 * MINUTE)
    with world.owner.transaction() as conn:
        conn.execute("update rule set params = %s where code = 'level-silence'",
                     (Jsonb({"loss_rate": 7}),))  # fmt: skip
    with capture_logs() as said:
        world.watch.look()
        world.watch.look()
    assert world.state("f1") == world.state("plow-1") == ("silent", "silence")
    told = [line for line in said if line["log_level"] == "error"]
    assert [(line["rule"], line["version"]) for line in told] == [("level-silence", 1)]
    assert "loss_rate" in told[0]["error"]


def test_a_town_that_cannot_be_looked_at_keeps_no_other_waiting(world, owner, monkeypatch):
    world.heard("f1", 60 * MINUTE)
    broken = add_town(owner, "soko")
    with owner.transaction() as conn:
        conn.execute(
            "insert into intake (tenant_id, partition_no, epoch, listening_since, beat_at)"
            " values (%s, 0, 1, now() - interval '1 day', now())", (broken.tenant_id,),
        )  # fmt: skip
    tell = RouterWatch.tell

    def fails(watch, tenant_id):
        tell(watch, tenant_id)
        if tenant_id == broken.tenant_id:
            raise ZeroDivisionError("a bug")

    monkeypatch.setattr(RouterWatch, "tell", fails)
    failures = metrics.task_failures.labels("silence")._value
    before = failures.get()
    with capture_logs() as said:
        assert world.watch.look()["silent"] == 1
        world.watch.look()
    assert failures.get() - before == 2
    assert [line["tenant_id"] for line in said if line["event"] == "town not watched"] == [
        broken.tenant_id
    ]


def test_live_feed_is_told(world, database_dsn):
    world.heard("f1", 60 * MINUTE)
    with psycopg.connect(database_dsn.api, autocommit=True) as listener:
        listener.execute("listen mizumori_live")
        world.watch.look()
        [note] = listener.notifies(timeout=30, stop_after=1)
    assert f'"tenant_id": {world.town.tenant_id}' in note.payload
    assert '"links": [' in note.payload


def test_silence_never_reaches_the_ledger(world):
    world.heard("f1", datetime.now(UTC) - datetime(2026, 1, 1, tzinfo=UTC))
    world.watch.look()
    with world.owner.transaction() as conn:
        assert conn.execute("select count(*) from alert").fetchone() == (0,)
        assert conn.execute("select count(*) from revision").fetchone() == (0,)
