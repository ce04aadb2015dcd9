"""Commands that would wait for the running system say at once that none runs."""

from contextlib import contextmanager

import psycopg
import pytest

from deploy import devices, waiting
from deploy.compose_database import role_dsn
from deploy.settings import Settings
from gateway.settings import BrokerSettings
from store import programs
from store.settings import DatabaseSettings
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


def test_a_town_and_a_device_are_added_and_nobody_is_waited_for(mizumori, tmp_path):
    (tmp_path / "mizumori.toml").write_text(f'[broker]\nhost = "127.0.0.1"\nport = {free_port()}\n')
    said = mizumori("tenant", "add", "kawabe", "--name-ja", "川辺町", "--name-en", "Kawabe")
    assert "Kawabe (kawabe) is there" in said
    said = mizumori("device", "add", "kawabe", "f1", "--kind", "flood_level", code=1)
    assert "The device is added, but No MQTT broker answers at" in said
    assert "neither `mizumori up` nor `mizumori broker` runs" in said
    assert "mizumori device test kawabe f1" in said


def test_what_lets_a_device_in_at_mosquitto_is_said(settings, monkeypatch):
    monkeypatch.setattr(waiting, "ABSENT_FOR_S", 0.0)
    monkeypatch.setattr(devices, "HEARD_AFTER_S", 0.0)
    broker = BrokerSettings(kind="mosquitto", host="127.0.0.1", port=free_port())
    said = devices.prove_device(settings.model_copy(update={"broker": broker}), "kawabe/f1", "x")
    assert said.startswith("No MQTT broker answers at")
    assert "has it read what `mizumori broker-config` wrote" in said


def test_nobody_is_waited_for_unless_one_of_them_runs(settings, monkeypatch):
    monkeypatch.setattr(waiting, "ABSENT_FOR_S", 0.0)
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
