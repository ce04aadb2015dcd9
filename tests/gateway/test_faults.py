"""Whatever is killed, nothing that was acknowledged is lost and nothing is stored twice."""

import dataclasses
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from gateway import metrics
from gateway.intake import Intake
from gateway.service import new_member
from gateway.settings import BrokerSettings, GatewaySettings
from gateway.towns import intake_sessions
from store import gateways
from store.gateways import SupersededError
from store.intake_lease import take
from tests.fixtures.broker import PATIENCE_S, TOWN, NatsServer, wait_until
from tests.gateway.conftest import NOW_MS

pytestmark = pytest.mark.usefixtures("comes_again_soon")

COUNT = "select count(*) from observation"


def stored(town):
    return town.rows("select count(*), count(distinct phenomenon_time), "
                     "count(*) filter (where marks & 2 <> 0) from observation")[0]  # fmt: skip


def child(town, name="child", **settings):
    process = subprocess.Popen(
        [sys.executable, Path(__file__).parent / "gateway_process.py", town.dsn.gateway,
         str(town.broker.mqtt_port), json.dumps(settings), name, town.broker_settings.kind],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    town.children.append(process)
    return process


def send(device, first, count):
    """Publish `count` readings of one a second; all are acknowledged when it returns."""
    sent = [device.publish({"ts": NOW_MS + 1000 * (first + i), "seq": first + i,
                            "m": {"depth_m": (i % 7) / 1000}}, wait=False)
            for i in range(count)]  # fmt: skip
    for info in sent:
        info.wait_for_publish(60)
        assert info.is_published()


def test_a_gateway_killed_in_mid_stream_loses_nothing_and_doubles_nothing(town):
    town.start().stop()  # makes the sessions
    device = town.device()
    process = child(town, batch_readings=40)
    try:
        for round_number in range(3):
            sender = threading.Thread(target=send, args=(device, 1000 * round_number, 1000))
            before = town.value(COUNT)
            sender.start()
            wait_until(lambda before=before: town.value(COUNT) > before)
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = child(town, batch_readings=40)
            sender.join()
    finally:
        town.wait_for(COUNT, 3000)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert stored(town) == (3000, 3000, 0)
    assert town.value("select count(*) from conflict") == 0


def test_a_commit_without_its_acknowledgement_does_not_decide_twice(town, monkeypatch):
    """The gateway dies between commit and acknowledgement: all of it comes again."""
    gateway = town.start()
    for intake in gateway.intakes:
        monkeypatch.setattr(intake, "acknowledge", lambda _messages: None)
    device = town.device()
    for i, depth in enumerate([0.0, 0.12, 0.15, 0.25]):
        device.publish({"ts": NOW_MS + 60_000 * i, "m": {"depth_m": depth}})
    town.wait_for(COUNT, 4)
    decided = town.rows("select alert_id, phenomenon_time, from_level, to_level "
                        "from alert_transition order by 1, 2")  # fmt: skip
    state = town.rows("select datastream_id, state from detector_state")
    said = town.value("select count(*) from journal")
    assert decided
    gateway.stop()
    again = metrics.DUPLICATES._value.get() + 4
    town.start()
    wait_until(lambda: metrics.DUPLICATES._value.get() >= again)
    device.publish({"ts": NOW_MS + 60_000 * 4, "m": {"battery_v": 3.6}})
    town.wait_for(COUNT, 5)
    assert town.rows("select alert_id, phenomenon_time, from_level, to_level "
                     "from alert_transition order by 1, 2") == decided  # fmt: skip
    assert town.rows("select datastream_id, state from detector_state") == state
    assert town.value("select count(*) from journal") == said


def test_the_database_goes_away_and_comes_back(town):
    gateway = town.start()
    device = town.device()
    send(device, 0, 100)
    town.wait_for(COUNT, 100)
    outages = metrics.DATABASE_OUTAGES._value.get()
    with town.database_away():
        send(device, 100, 200)
        wait_until(lambda: metrics.DATABASE_OUTAGES._value.get() > outages)
        # Disconnected: the broker does not send the same messages over and over.
        wait_until(lambda: not any(intake.subscribed_since for intake in gateway.intakes))
    town.wait_for(COUNT, 300)
    assert stored(town) == (300, 300, 0)


def test_a_database_that_answers_and_cannot_store_is_told_once_and_asked_less_often(
    town, monkeypatch, capsys
):
    """A full disk: reading goes well, so the registry loads; writing does not."""
    gateway = town.start()
    committer = gateway.gateway._worker._committer
    original, refused = committer.commit, []

    def commit(*arguments, **options):
        if len(refused) < 5:
            refused.append(time.monotonic())
            raise psycopg.errors.DiskFull("could not extend file: No space left on device")
        return original(*arguments, **options)

    monkeypatch.setattr(committer, "commit", commit)
    send(town.device(), 0, 20)
    town.wait_for(COUNT, 20)
    gateway.stop()
    said = capsys.readouterr().out
    assert said.count("database_away") == said.count("database_back") == 1
    assert "No space left on device" in said
    assert refused[-1] - refused[0] > 1.0


def test_a_late_acknowledgement_acknowledges_nothing_after_a_broker_restart(town, nats):
    """Packet ids start again with each connection."""
    gateway = town.start()
    worker = gateway.gateway._worker
    original = worker._commit
    commits = []

    def commit(batch, standing):
        after = original(batch, standing)
        commits.append(batch)
        if len(commits) == 1:  # committed; before it can acknowledge, the broker restarts
            nats.restart()
            wait_until(lambda: all(i.subscribed_since for i in gateway.intakes))
            # The broker gives the new message the packet id of the old one.
            town.device().publish({"ts": NOW_MS + 1000, "m": {"depth_m": 0.02}})
            wait_until(lambda: any(i.waiting for i in gateway.intakes))
        return after

    worker._commit = commit
    stale = metrics.STALE_ACKNOWLEDGEMENTS._value.get()
    town.device().publish({"ts": NOW_MS, "m": {"depth_m": 0.01}}, wait=False)
    town.wait_for(COUNT, 2)
    wait_until(lambda: metrics.STALE_ACKNOWLEDGEMENTS._value.get() > stale)


@pytest.mark.usefixtures("partitioned")
def test_a_gateway_that_was_taken_over_writes_nothing_there_and_lives_on(town):
    first = town.start()
    device = town.device()
    device.publish({"ts": NOW_MS, "m": {"depth_m": 0.01}})
    town.wait_for(COUNT, 1)
    somebody = new_member("somebody else")
    alive = "update gateway set beat_at = now() + %s::interval where name = 'somebody else'"
    with first.database.transaction() as conn:
        gateways.enter(conn, somebody)
        # As if the first had been silent; it sees all of this at once, or nothing.
        conn.execute("update intake set gateway_id = null")
        assert len(take(conn, first.units, somebody)) == 4
        conn.execute(alive, ("1 hour",))
    device.publish({"ts": NOW_MS + 1000, "m": {"depth_m": 0.02}})
    wait_until(lambda: not first.units)
    assert first.thread.is_alive()
    assert town.value(COUNT) == 1
    town.owner.execute(alive, ("-1 hour",))
    wait_until(lambda: len(first.units) == 4)
    town.wait_for(COUNT, 2)  # the message was not acknowledged


def test_a_gateway_ends_when_another_is_started_under_its_name(town):
    first = town.start(name="flood desk")
    second = town.start(name="flood desk")
    first.thread.join(PATIENCE_S)
    assert isinstance(first.error, SupersededError)
    assert "flood desk" in str(first.error)
    second.wait_ready()
    town.device().publish({"ts": NOW_MS, "m": {"depth_m": 0.01}})
    town.wait_for(COUNT, 1)


def test_a_session_that_the_broker_forgot_is_an_alarm(town, nats, capsys):
    gateway = town.start()
    wait_until(lambda: town.value("select count(*) from intake where listening_since is not null")
               == 4)  # fmt: skip
    gateway.stop()
    nats.stop()
    nats.settings.store_dir.rename(nats.settings.store_dir.with_name("lost"))
    nats.start()
    town.start()
    said = capsys.readouterr().out
    assert "session_lost" in said
    assert nats.account.client_id_secret not in said
    assert nats.account.gateway_password not in said


def test_a_stop_commits_and_acknowledges_what_it_has_within_seconds(town):
    town.start().stop()
    device = town.device()
    send(device, 0, 2000)
    process = child(town, batch_readings=100)
    wait_until(lambda: town.value(COUNT) > 0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    town.start()
    town.wait_for(COUNT, 2000)
    assert stored(town) == (2000, 2000, 0)


def test_a_refused_subscription_is_said_in_words(tmp_path):
    """A window of 65,535 is all that a session may have: NATS refuses a second subscription."""
    broker = NatsServer(tmp_path, window_messages=65_535)
    broker.add_town(TOWN, window_messages=65_535)
    broker.start()
    settings = BrokerSettings(host=broker.host, port=broker.mqtt_port)
    session = next(intake_sessions(broker.account, settings, GatewaySettings()))
    other = dataclasses.replace(session, topic_filter=f"mz/v1/{TOWN}/elsewhere")
    options = {"queue_messages": 10, "arrived": int, "changed": int, "expect_session": False}
    first, second = Intake(session, **options), Intake(other, **options)
    try:
        first.start()
        wait_until(lambda: first.subscribed_since)
        first.stop()
        first.join()
        second.start()
        wait_until(lambda: second.refusal)
        assert f"refuses the subscription to 'mz/v1/{TOWN}/elsewhere'" in second.refusal
        assert second.subscribed_since is None
    finally:
        second.stop()
        second.join()
        broker.stop()


@pytest.mark.parametrize("poison", ["value", "rule"])
def test_one_message_that_cannot_be_stored_does_not_stop_its_neighbours(town, monkeypatch, poison):
    gateway = town.start()
    committer = gateway.gateway._worker._committer
    original = committer.commit

    def commit(batch, *arguments, **options):
        if (batch.rows.value == 0.666).any():
            raise psycopg.DataError("numeric value out of range") if poison == "value" else \
                FloatingPointError("overflow")  # fmt: skip
        return original(batch, *arguments, **options)

    monkeypatch.setattr(committer, "commit", commit)
    device = town.device()
    infos = [device.publish({"ts": NOW_MS + 1000 * i, "m": {"depth_m": 0.666 if i == 13 else 0.0}},
                            wait=False) for i in range(40)]  # fmt: skip
    for info in infos:
        info.wait_for_publish(60)
    town.wait_for(COUNT, 39)
    town.wait_for("select count(*) from quarantine where reason = 'refused_by_store'", 1)
