"""Commands that would wait for the running system say at once that none runs."""

from contextlib import contextmanager

import psycopg
import pytest

from deploy import devices, waiting
from deploy.compose_database import role_dsn
from deploy.settings import Settings
from deploy.towns import add_town
from gateway.settings import BrokerSettings
from store import programs
from store.settings import DatabaseSettings
from store.town_catalog import NewTenant
from tests.fixtures.database import PASSWORD
from tests.fixtures.ports import free_port


@pytest.fixture
def settings(database_dsn):
    parts = psycopg.conninfo.conninfo_to_dict(database_dsn.owner)
    where = f"postgresql://{parts['host']}:{parts['port']}/{parts['dbname']}"
    return Settings(database=DatabaseSettings(dsn=where, owner_password=PASSWORD))


@contextmanager
def running(settings, name):
    with psycopg.connect(role_dsn(settings, "owner"), application_name=name):
        yield


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(waiting, "ABSENT_FOR_S", 0.0)
    monkeypatch.setattr(devices, "HEARD_AFTER_S", 0.0)


@pytest.fixture
def at_a_broker(settings):
    """Settings of a broker that does not run."""

    def of(kind):
        broker = BrokerSettings(kind=kind, host="127.0.0.1", port=free_port())
        return settings.model_copy(update={"broker": broker})

    return of


@pytest.mark.usefixtures("impatient")
def test_a_town_and_a_device_are_added_and_nobody_is_waited_for(at_a_broker):
    made = add_town(at_a_broker("nats"), NewTenant("kawabe", "川辺町", "Kawabe"))
    assert made[0] > 0
    assert made[1] is False
    said = devices.prove_device(at_a_broker("nats"), "kawabe/f1", "x")
    assert said.startswith("No MQTT broker answers at")
    assert "neither `mizumori up` nor `mizumori broker` runs" in said
    assert said.endswith("mizumori device test kawabe f1")


@pytest.mark.usefixtures("impatient")
def test_what_lets_a_device_in_at_mosquitto_is_said(at_a_broker):
    said = devices.prove_device(at_a_broker("mosquitto"), "kawabe/f1", "x")
    assert said.startswith("No MQTT broker answers at")
    assert "has it read what `mizumori broker-config` wrote" in said


@pytest.mark.usefixtures("impatient")
def test_nobody_is_waited_for_unless_one_of_them_runs(settings):
    with pytest.raises(waiting.NobodyError):
        waiting.wait_for(settings, lambda _: None, 60, {programs.UP, programs.BROKER})
    with running(settings, programs.JOBS), pytest.raises(waiting.NobodyError):
        waiting.wait_for(settings, lambda _: None, 60, {programs.GATEWAY})
    asked = []

    def third_time(_conn):
        asked.append(1)
        return "there" if len(asked) == 3 else None

    with running(settings, f"{programs.GATEWAY} 0a1b"):
        wanted = {programs.GATEWAY, programs.UP}
        assert waiting.wait_for(settings, third_time, 60, wanted) == "there"
        assert waiting.wait_for(settings, lambda _: None, 0.3, wanted) is None


def test_who_is_gone_for_a_moment_is_waited_for(settings):
    asked = []

    def second_time(_conn):
        asked.append(1)
        return "there" if len(asked) == 2 else None

    assert waiting.wait_for(settings, second_time, 60, {programs.UP}) == "there"
