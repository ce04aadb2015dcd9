"""`mizumori broker-config FOLDER`: a town at a Mosquitto, from the first run to a revocation."""

import contextlib
import shutil
import socket
import subprocess

import pytest

from deploy.broker import mosquitto
from deploy.broker.account import gateway_user
from deploy.broker.mosquitto_files import ACL, CONFIG, PASSWORDS, MosquittoFiles
from deploy.broker.mqtt_client import MqttAddress
from deploy.broker.nats_config import device_user, operator_user
from deploy.broker.secrets import hash_secret
from deploy.broker.settings import NatsSettings
from store import broker_accounts, operators
from store.database import Database
from store.operators import NewOperator
from tests.broker.clients import Client, up
from tests.broker.test_town_accounts import add_town
from tests.fixtures.broker import (
    FOR_TESTS,
    HOST,
    TOWN,
    mosquitto_binary,
    reload_mosquitto,
    wait_until,
)
from tests.fixtures.ports import free_port

TELE = "tele/{device}/SENSOR"


class Server:
    """A Mosquitto that runs on the product's files alone."""

    host = HOST

    def __init__(self, folder, port):
        self.folder, self.mqtt_port, self.process = folder, port, None

    def start(self):
        config = self.folder / "own.conf"
        config.write_text((self.folder / CONFIG).read_text() + FOR_TESTS)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([mosquitto_binary(), "-c", config], stderr=log)
        wait_until(self._answers, message="mosquitto did not start")

    def reload(self):
        reload_mosquitto(self.process, self.folder / "log")

    def _answers(self):
        try:
            with socket.create_connection((HOST, self.mqtt_port), timeout=1):
                return True
        except OSError:
            return False


@pytest.fixture
def owner(database_dsn):
    with Database(database_dsn.owner, name="test", answer_within_s=60) as database:
        yield database


@pytest.fixture
def server(tmp_path):
    port = free_port()
    made = Server(tmp_path, port)
    yield made
    if made.process is not None:
        made.process.terminate()
        made.process.wait(60)


@pytest.fixture
def files(owner, server):
    settings = NatsSettings()
    return MosquittoFiles(owner, settings, server.folder, MqttAddress(HOST, server.mqtt_port))


def set_password(folder, user, secret):
    """Do as the command says; with Mosquitto's own program where it is installed."""
    if shutil.which("mosquitto_passwd"):
        command = ["mosquitto_passwd", "-b", folder / PASSWORDS, user, secret]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    else:
        with (folder / PASSWORDS).open("a") as file:
            file.write(f"{mosquitto.password_line(user, secret)}\n")


def add_operator(owner, secret):
    with owner.transaction() as conn:
        [(town, _)] = conn.execute("select tenant_id, code from tenant").fetchall()
        operators.add(conn, town, NewOperator(
            "tasmota", "json", "", TELE, operators.token_hash(secret), hash_secret(secret)
        ))  # fmt: skip
    return town


@contextlib.contextmanager
def connected(server, user, secret):
    client = Client(server, user, secret).open()
    yield client
    client.close()


@contextlib.contextmanager
def session(server, account, client_id):
    client = Client(
        server, account.gateway_user, account.gateway_password, client_id, clean=False
    ).open()
    yield client
    client.close()


def test_a_town_from_the_first_run_to_a_revoked_operator(owner, server, files):
    secret = add_town(owner, TOWN, ["flood-01"])[TOWN, "flood-01"]
    device, guest = device_user(TOWN, "flood-01"), operator_user(TOWN, "tasmota")
    assert files.renew(start=True).changed
    assert mosquitto.users((server.folder / ACL).read_text()) == {gateway_user(TOWN)}
    server.start()
    second = files.renew()
    assert (second.changed, second.admitted, second.refused) == (True, (TOWN,), {})
    assert second.without_password == (device,)
    set_password(server.folder, device, secret)
    server.reload()
    assert not files.renew().changed
    assert files.renew().without_password == ()
    with owner.transaction() as conn:
        [account] = broker_accounts.list_accounts(conn)
    # No gateway has ever been there, and what is acknowledged waits for it all the same.
    with connected(server, device, secret) as client:
        assert client.publish(up(), b"first")
    with session(server, account, account.intake_client_id(0)) as intake:
        assert [m.topic for m in intake.drain([b"first"])] == [up()]

    town = add_operator(owner, secret)
    assert files.renew().without_password == (guest,)
    set_password(server.folder, guest, secret)
    server.reload()
    assert not files.renew().changed
    with connected(server, guest, secret) as client:
        assert client.publish("tele/flood-01/SENSOR", b"handed on")
    with owner.transaction() as conn:
        [one] = operators.at_broker(conn)
    with session(server, account, account.relay_client_id(one.operator_id)) as relay:
        assert [m.topic for m in relay.drain([b"handed on"])] == ["tele/flood-01/SENSOR"]
    with connected(server, guest, secret) as client:
        assert client.publish("tele/flood-01/SENSOR", b"not handed on yet")
    revoked = Client(server, guest, secret).open()
    with owner.transaction() as conn:
        operators.revoke(conn, town, "tasmota")
    assert files.renew().changed
    server.reload()
    wait_until(lambda: not revoked.mqtt.is_connected())
    with connected(server, guest, secret) as client:
        assert client.code.is_failure
    revoked.close()
    with session(server, account, account.relay_client_id(one.operator_id)) as relay:
        assert not relay.session_present
    assert guest not in (server.folder / PASSWORDS).read_text()
    assert device in (server.folder / PASSWORDS).read_text()


def test_mosquitto_starts_before_there_is_a_town(server, files):
    assert files.renew(start=True).changed
    server.start()
    assert not files.renew().changed


def test_without_mosquitto_a_town_is_not_let_in_and_it_says_why(owner, server, files):
    add_town(owner, TOWN, ["flood-01"])
    files.renew(start=True)
    renewal = files.renew()
    assert renewal.admitted == ()
    assert "No MQTT broker answers" in renewal.refused[TOWN]
    assert mosquitto.users((server.folder / ACL).read_text()) == {gateway_user(TOWN)}


def test_a_line_is_of_its_secret_alone():
    line = mosquitto.password_line("kawabe/@gateway", "secret")
    assert mosquitto.is_of(line, "secret")
    for wrong in ("", "x", "kawabe/@gateway:", "kawabe/@gateway:$7$a$b$c", line[:-4], line + "="):
        assert not mosquitto.is_of(wrong, "secret")
    assert not mosquitto.is_of(line, "other")
