"""A gateway over a line to the database that forgets its connections without a word."""

import contextlib
import dataclasses
import threading

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway import service
from gateway.push.app import THREADS
from gateway.push.receipts import CHANNEL, Receipts
from gateway.service import Gateway, new_member
from gateway.settings import GatewaySettings
from store import line_watch
from store.database import Database
from store.errors import DatabaseAwayError
from tests.chaos.line import Line
from tests.fixtures.broker import wait_until
from tests.fixtures.ports import free_port
from tests.gateway.conftest import NOW_MS
from tests.gateway.pushing import add_operator, push

pytestmark = pytest.mark.usefixtures("comes_again_soon", "looked_at_by_hand")

COUNT = "select count(*) from observation"
LISTENING = "select listening = partitions from town_listening"
SIGN = "select max(beat_at) from gateway"
ANNOUNCED = "select pg_notify('mizumori_config', '{\"kind\": \"device\"}')"
PATH = "/push/kawabe/flood-01"


@pytest.fixture
def looked_at_by_hand(monkeypatch):
    """Nobody looks but the test; who hangs for long on this machine is not abandoned."""
    monkeypatch.setattr(line_watch, "LOOK_EVERY_S", 3600.0)
    monkeypatch.setattr(service, "ABANDONED_S", 3600.0)
    monkeypatch.setattr(service, "BEAT_S", 0.2)


@pytest.fixture
def line(town):
    """What lies between the gateways that are started now and the database."""
    direct = town.dsn.gateway
    with contextlib.closing(Line(int(conninfo_to_dict(direct)["port"]))) as line:
        town.dsn = dataclasses.replace(town.dsn, gateway=make_conninfo(direct, port=line.port))
        yield line
        town.close()


def reading(number):
    return {"ts": NOW_MS + 60_000 * number, "m": {"depth_m": 0.01 * number}}


def look_until(database, happened):
    """Look after a database's connections until something has happened."""

    def looked():
        with contextlib.suppress(DatabaseAwayError, psycopg.Error):  # this machine was too slow
            database.lines.look()
        return happened()

    wait_until(looked)


def test_a_worker_goes_on_and_stores_once_what_it_was_at(town, line):
    gateway = town.start()
    assert gateway.database.lines._thread.is_alive()
    device = town.device()
    device.publish(reading(0))
    town.wait_for(COUNT, 1)
    line.forget()
    for number in range(1, 6):
        device.publish(reading(number))
    look_until(gateway.database, lambda: town.value(COUNT) == 6)
    device.publish(reading(6))
    town.wait_for(COUNT, 7)
    assert town.value("select count(distinct phenomenon_time) from observation") == 7
    assert town.value("select count(*) from conflict") == 0
    town.wait_for(LISTENING, True)


def test_an_idle_gateway_gives_signs_of_life_again_and_knows_what_was_announced(town, line):
    gateway = town.start()
    town.wait_for(LISTENING, True)
    line.forget()  # no sign of life and no notification comes over what there is now
    last = town.value(SIGN)
    town.owner.execute("update device set state = 'quarantined' where code = 'flood-01'")
    town.owner.execute(ANNOUNCED)
    look_until(gateway.database, lambda: town.value(SIGN) > last)

    def is_known():
        registry = gateway.gateway._worker.registry
        return registry and registry.devices[town.tenant_id, "flood-01"].state == "quarantined"

    look_until(gateway.database, is_known)
    town.wait_for(LISTENING, True)


@pytest.mark.usefixtures("partitioned")
def test_what_others_have_taken_over_is_theirs(town, line):
    direct = make_conninfo(town.dsn.gateway, port=conninfo_to_dict(town.dsn.owner)["port"])
    first = town.start(name="first")
    device = town.device()
    device.publish(reading(0))
    town.wait_for(COUNT, 1)
    line.forget()
    device.publish(reading(1))
    town.dsn = dataclasses.replace(town.dsn, gateway=direct)
    # As if ten seconds had passed without a sign of life.
    town.owner.execute("update gateway set beat_at = beat_at - interval '1 minute'")
    second = town.start(name="second")
    town.wait_for(COUNT, 2)
    look_until(first.database, lambda: len(first.units) == len(second.units) == 2)
    device.publish(reading(2))
    town.wait_for(COUNT, 3)
    assert town.value("select count(*) from conflict") == 0


def test_threads_that_ask_for_who_pushes_come_back(town, line):
    port, token = free_port(), add_operator(town)
    gateway = town.start(push_port=port, push_wait_s=0.5)
    wait_until(lambda: push(port, PATH, reading(0), token)[0] == 202)
    line.forget()
    answers = [push(port, PATH, reading(1), token) for _ in range(THREADS + 1)]
    assert [(status, "again" in problem["detail"]) for status, _, problem in answers] == [
        (503, True)
    ] * (THREADS + 1)
    look_until(gateway.database, lambda: push(port, PATH, reading(1), token)[0] == 202)
    free = threading.Barrier(THREADS + 1)
    for _ in range(THREADS):
        gateway.gateway._push._app._threads.submit(free.wait)
    look_until(gateway.database, lambda: free.n_waiting == THREADS)
    free.wait()
    assert town.value(COUNT) == 2


@contextlib.contextmanager
def working(work):
    """Work in a thread of its own, which has ended at the end."""
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(60)
    assert not thread.is_alive()


def test_who_only_listens_for_changes_finds_out(town, line, monkeypatch):
    with Database(town.dsn.gateway, name="listener") as database:
        gateway = Gateway(town.broker_settings, GatewaySettings(), database, new_member())
        read = threading.Semaphore(0)
        monkeypatch.setattr(gateway._worker, "reload", read.release)
        with working(gateway._listen):
            assert read.acquire(timeout=60)
            line.forget()
            look_until(database, lambda: read.acquire(blocking=False))
            gateway._ending.set()
        gateway._worker.close()


def test_who_only_listens_for_receipts_finds_out(town, line):
    with Database(town.dsn.gateway, name="listener") as database:
        receipts = Receipts(database)
        receipts.start()
        for lost in (False, True):
            if lost:
                line.forget()
            nonce, receipt = receipts.expect()
            town.owner.execute(
                "insert into probe_seen (nonce, tenant_id) values (%s, %s)", (nonce, town.tenant_id)
            )
            town.owner.execute("select pg_notify(%s, %s)", (CHANNEL, nonce))
            look_until(database, receipt.done)
        receipts.stop()
