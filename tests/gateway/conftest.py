"""A town with devices in a real database and at a real broker, and a gateway between them."""

import contextlib
import dataclasses
import itertools
import json
import os
import threading
import time

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from psycopg.conninfo import conninfo_to_dict

from gateway.intake import Intake
from gateway.service import Gateway, new_member
from gateway.settings import BrokerSettings, GatewaySettings
from store import broker_accounts, device_catalog, rules, site_catalog, town_catalog
from store.database import Database
from store.device_catalog import NewDevice
from store.gateways import session_name
from store.site_catalog import NewSite
from store.town_catalog import NewTenant
from tests.fixtures.broker import DEVICES, PATIENCE_S, TOWN, wait_until

NOW_MS = 1_763_760_000_000
_numbers = itertools.count(1)


class Device:
    """A device at the broker; publishes wait for PUBACK unless told otherwise."""

    def __init__(self, broker, code, *, will=False):
        self.topic = f"mz/v1/{TOWN}/d/{code}/up"
        self.status = f"mz/v1/{TOWN}/d/{code}/status"
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"device-{code}")
        self.client.username_pw_set(*broker.credentials(code))
        self.client.max_inflight_messages_set(1000)
        self.connected = threading.Event()
        self.client.on_connect = lambda *_: self.connected.set()
        if will:
            self.client.will_set(self.status, '{"online": false}', qos=1, retain=True)
        self.client.connect(broker.host, broker.mqtt_port)
        self.client.loop_start()
        assert self.connected.wait(60)
        if will:
            self.publish('{"online": true}', topic=self.status, retain=True)

    def publish(self, payload, *, topic=None, retain=False, wait=True):
        body = payload if isinstance(payload, str | bytes) else json.dumps(payload)
        info = self.client.publish(topic or self.topic, body, qos=1, retain=retain)
        if wait:
            info.wait_for_publish(60)
            assert info.is_published()
        return info

    def vanish(self):
        """Lose the connection without a word."""
        self.client.on_disconnect = None
        self.client.loop_stop()
        self.client._sock_close()

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class Running:
    """A gateway in a thread of this process."""

    def __init__(self, town, name="", **settings):
        member = new_member(name or f"test-{next(_numbers)}")
        session = session_name(member.gateway_id)
        self.database = Database(town.dsn.gateway, name=session, answer_within_s=2)
        settings = GatewaySettings(**settings)
        self.gateway = Gateway(town.broker_settings, settings, self.database, member)
        self.stop_asked = threading.Event()
        self.error = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            self.gateway.run(self.stop_asked)
        except Exception as error:  # noqa: BLE001 - the test asks for it
            self.error = error

    @property
    def intakes(self) -> list[Intake]:
        return [intake for holding in self.gateway.holdings.all() for intake in holding.intakes]

    @property
    def units(self) -> list[tuple[int, int]]:
        return [lease.unit for lease in self.gateway.holdings.leases]

    def wait_loaded(self, known):
        """Wait until it works with a registry of which this is true."""
        worker = self.gateway._worker
        wait_until(lambda: worker.registry and known(worker.registry), message="it was not loaded")

    def wait_ready(self):
        wait_until(
            lambda: self.intakes and all(i.subscribed_since for i in self.intakes),
            message="the gateway did not connect",
        )
        return self

    def stop(self):
        self.stop_asked.set()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()
        self.database.close()


class Town:
    """One town: its database, its broker, its devices and the gateways that a test starts."""

    def __init__(self, dsn, broker, kind, superuser):
        self.dsn, self.broker, self.superuser = dsn, broker, superuser
        self.broker_settings = BrokerSettings(kind=kind, host=broker.host, port=broker.mqtt_port)
        self.owner = psycopg.connect(dsn.owner, autocommit=True)
        self._devices, self._gateways = [], []
        self.children = []  # gateways as processes; none outlives a test that failed
        with self.owner.transaction():
            tenant = town_catalog.add_tenant(
                self.owner, NewTenant(code=TOWN, name_ja="川辺町", name_en="Kawabe")
            )
            self.tenant_id = tenant.tenant_id
            site_catalog.add_site(
                self.owner,
                self.tenant_id,
                NewSite(
                    code="honmachi",
                    kind="street",
                    name_ja="本町",
                    name_en="Honmachi",
                    close_at_m=0.1,
                    crew_minutes=15,
                ),
            )
            device_catalog.add_devices(self.owner, self.tenant_id, [
                NewDevice("flood-01", "flood_level", "冠水計", "Flood", 60, site="honmachi"),
                NewDevice("pond-01", "pond_probe", "池", "Pond", 600),
                NewDevice("plow-01", "plow", "除雪車", "Plow", 5),
            ])  # fmt: skip
            rules.add_defaults(self.owner, self.tenant_id)
            account = dataclasses.replace(broker.account, tenant_id=self.tenant_id)
            broker_accounts.add_account(self.owner, account)

    def move(self, dsn, superuser):
        """Go on in another database, which has the town's rows."""
        self.owner.close()
        self.dsn, self.superuser = dsn, superuser
        self.owner = psycopg.connect(dsn.owner, autocommit=True)

    def device(self, code=DEVICES[0], **options):
        self._devices.append(Device(self.broker, code, **options))
        return self._devices[-1]

    def start(self, **settings):
        self._gateways.append(Running(self, **settings))
        return self._gateways[-1].wait_ready()

    def rows(self, sql, *parameters):
        return self.owner.execute(sql, parameters).fetchall()

    def value(self, sql, *parameters):
        return self.rows(sql, *parameters)[0][0]

    def datastream(self, device="flood-01", name="depth_m"):
        return self.value(
            "select datastream_id from datastream join device using (device_id) "
            "where code = %s and property = %s", device, name,
        )  # fmt: skip

    def wait_for(self, sql, expected, *parameters, timeout_s=PATIENCE_S):
        seen = None
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if (seen := self.value(sql, *parameters)) == expected:
                return
            time.sleep(0.02)
        raise AssertionError(f"{sql} is {seen!r}, expected {expected!r}")

    @contextlib.contextmanager
    def database_away(self):
        """Every connection is cut and none comes about."""
        name = conninfo_to_dict(self.dsn.owner)["dbname"]
        self.owner.close()
        with psycopg.connect(self.superuser, autocommit=True) as server:
            server.execute(f"alter database {name} allow_connections false")
            server.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,)
            )
            yield
            server.execute(f"alter database {name} allow_connections true")
        self.owner = psycopg.connect(self.dsn.owner, autocommit=True)

    def close(self):
        for device in self._devices:
            device.close()
        for gateway in self._gateways:
            if gateway.thread.is_alive():
                gateway.stop()
        for process in self.children:
            process.kill()
            process.wait()
        self.owner.close()


# `MIZUMORI_TEST_BROKER=mosquitto` runs tests/gateway and tests/jobs against Mosquitto: all but what
# handles NATS itself (it names the fixture `nats`) and what is about partitions.
BROKER = os.environ.get("MIZUMORI_TEST_BROKER", "nats")


@pytest.fixture
def town(request, postgres, database_dsn):
    if BROKER != "nats" and "nats" in request.fixturenames:
        pytest.skip("it kills, changes or asks NATS")
    broker = request.getfixturevalue(BROKER)
    broker.add_device("plow-01")
    made = Town(database_dsn, broker, BROKER, postgres.dsn)
    yield made
    made.close()


@pytest.fixture
def partitioned():
    """For tests that need more than one partition, or what NATS alone promises of a session."""
    if BROKER != "nats":
        pytest.skip(f"{BROKER} has no partitions")


@pytest.fixture
def mosquitto_town(postgres, database_dsn, mosquitto):
    made = Town(database_dsn, mosquitto, "mosquitto", postgres.dsn)
    yield made
    made.close()
