"""Operators push over HTTP: the same way and the same promises as MQTT, 202 after the commit."""

import contextlib
import dataclasses
import http.client
import json
import signal
import threading
import time
from datetime import UTC, datetime

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import Jsonb

from deploy.broker.account_admin import QUEUE, AccountAdmin
from gateway.push.rate import Rate
from store import operators
from tests.chaos.line import Line, Weather
from tests.fixtures.broker import TOWN, wait_until
from tests.fixtures.ports import free_port
from tests.gateway.conftest import NOW_MS
from tests.gateway.pushing import add_operator, push
from tests.gateway.test_faults import child
from tests.gateway.test_lorawan import CHIRPSTACK

COUNT = "select count(*) from observation"
PATH = "/push/kawabe/flood-01"


def reading(number=0, **more):
    return {"ts": NOW_MS + 60_000 * number, "m": {"depth_m": 0.01 * number}} | more


# What answers by itself is waited for, on a busy machine too.
PATIENT = {"push_wait_s": 60}


def begin(town, **settings):
    port = free_port()
    token = add_operator(town)
    town.start(push_port=port, **settings)
    return town, port, token


@pytest.fixture
def pushed(town):
    """A gateway that listens, and an operator: (town, port, token)."""
    return begin(town, **PATIENT)


@pytest.fixture
def hasty(town):
    """One that soon gives up what does not answer; the first reading is stored."""
    _, port, token = made = begin(town, push_wait_s=3)
    wait_until(lambda: push(port, PATH, reading(0), token)[0] == 202)
    return made


def test_202_means_that_the_readings_are_committed(pushed):
    town, port, token = pushed
    for number in range(10):
        status, _, said = push(port, PATH, reading(number), token)
        assert (status, said["outcome"]) == (202, "stored")
        # No wait: what was answered is there.
        assert town.value(COUNT) == number + 1


def test_a_pushed_flood_raises_its_alert(pushed):
    town, port, token = pushed
    for number, depth in enumerate([0.0, 0.12, 0.15]):
        push(port, PATH, {"ts": NOW_MS + 60_000 * number, "m": {"depth_m": depth}}, token)
    assert town.value("select count(*) from alert_transition") >= 1


def test_a_repetition_is_stored_once(pushed):
    town, port, token = pushed
    for _ in range(3):
        assert push(port, PATH, reading(1, seq=7), token)[0] == 202
        assert push(port, PATH, {"seq": 9, "m": {"depth_m": 0.2}}, token)[0] == 202
    assert town.value(COUNT) == 2
    assert town.value("select count(*) from conflict") == 0


def test_a_key_tells_a_repetition_where_a_reading_has_neither_time_nor_number(pushed):
    town, port, token = pushed
    body = [{"m": {"depth_m": 0.2}}, {"m": {"battery_v": 3.6}}]
    for key in ("a-1", "a-1", "a-2"):
        assert push(port, PATH, body, token, Idempotency_Key=key)[0] == 202
    assert town.value(COUNT) == 4
    # Without a key the same is stored again, and marked.
    for _ in range(2):
        assert push(port, PATH, body[0], token)[0] == 202
    assert town.rows("select count(*) from observation where marks & 2 <> 0") == [(2,)]


def test_what_is_refused_is_kept_and_said(pushed):
    town, port, token = pushed
    for device, body, reason in (
        ("flood-01", b"not json", "bad_payload"),
        ("flood-01", json.dumps({"m": {"salt": 1}}).encode(), "unknown_property"),
        ("flood-01", json.dumps({"ts": 1, "m": {"depth_m": 1}}).encode(), "time_too_early"),
        ("nobody", json.dumps(reading()).encode(), "unknown_device"),
    ):
        status, _, said = push(port, f"/push/kawabe/{device}", body, token)
        assert (status, said["outcome"], said["reason"]) == (202, "quarantined", reason)
        assert town.rows(
            "select device_code, reason, payload from quarantine order by 1 desc limit 1"
            if device == "nobody"
            else "select device_code, reason, payload from quarantine "
            "order by quarantine_id desc limit 1"
        ) == [(device, reason, body)]
    assert town.value(COUNT) == 0


def test_a_quarantined_device_is_answered_too(pushed):
    town, port, token = pushed
    town.owner.execute("update device set state = 'quarantined' where code = 'flood-01'")
    town.owner.execute("select pg_notify('mizumori_config', '{\"kind\": \"device\"}')")

    def refused():
        return push(port, PATH, reading(), token)[2]["outcome"] == "quarantined"

    wait_until(refused)
    assert town.value("select reason from quarantine limit 1") == "device_quarantined"


def test_who_has_no_token_of_the_town_gets_401(pushed):
    town, port, token = pushed
    for given in (None, "", "wrong", token[:-1]):
        status, headers, problem = push(port, PATH, reading(), given)
        assert status == 401
        assert headers["WWW-Authenticate"].startswith("Bearer")
        assert headers["Content-Type"] == "application/problem+json"
        assert problem["type"] == "urn:mizumori:problem:not-allowed"
        assert "mizumori operator add" in problem["detail"]
    assert push(port, "/push/otherton/flood-01", reading(), token)[0] == 401
    operators.revoke(town.owner, town.tenant_id, "loranet")
    assert push(port, PATH, reading(), token)[0] == 401
    assert town.value(COUNT) == 0


def test_an_operator_speaks_for_devices_of_its_codec_only(pushed):
    town, port, _ = pushed
    other = add_operator(town, "sigfox", "json")
    status, _, problem = push(port, PATH, reading(), other)
    assert status == 403
    assert "native" in problem["detail"]
    assert town.value("select count(*) from quarantine") == 0
    # Of one that waits for approval nobody has said the codec yet.
    town.owner.execute("update device set state = 'quarantined' where code = 'flood-01'")
    town.owner.execute("select pg_notify('mizumori_config', '{\"kind\": \"device\"}')")
    wait_until(lambda: push(port, PATH, reading(), other)[0] == 202)
    assert town.value("select reason from quarantine limit 1") == "device_quarantined"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", PATH, b"", 405),
        ("POST", "/push", b"{}", 404),
        ("POST", "/other", b"{}", 404),
        ("POST", "/push/kawabe/a%20b", b"{}", 404),
        ("POST", "/push/kawabe/a/b", b"{}", 404),
        ("POST", "/push/kawabe", b"{}", 404),
        ("POST", PATH, b"", 400),
        ("POST", PATH, b"x" * 2000, 413),
    ],
)
def test_other_requests_are_refused_in_words(town, method, path, body, status):
    port = free_port()
    token = add_operator(town)
    town.start(push_port=port, max_message_bytes=1024, **PATIENT)
    found, _, problem = push(port, path, body, token, method=method)
    assert (found, problem["status"]) == (status, status)
    assert problem["detail"].endswith(".")
    assert problem["title_ja"]


def test_a_body_that_names_its_device(pushed):
    town, port, _ = pushed
    eui = "24e1000000000001"
    town.owner.execute(
        "update device set code = %s, codec = 'chirpstack', codec_params = %s "
        "where code = 'flood-01'",
        (eui, Jsonb({"model": "milesight/em500-swl",
                     "map": {"water_level": {"property": "depth_m", "scale": 0.01}}})),
    )  # fmt: skip
    town.owner.execute("select pg_notify('mizumori_config', '{\"kind\": \"device\"}')")
    token = add_operator(town, "chirp", "chirpstack", field="deviceInfo.devEui")
    uplink = CHIRPSTACK | {"time": datetime.now(UTC).isoformat()}
    uplink["deviceInfo"] = uplink["deviceInfo"] | {"devEui": eui}

    def stored():
        return push(port, "/push/kawabe?event=up", uplink, token)[2]["outcome"] == "stored"

    wait_until(stored)
    assert town.value("select value from observation") == 0.02
    status, _, said = push(port, "/push/kawabe?event=join", uplink, token)
    assert (status, said["outcome"]) == (202, "ignored")
    status, _, problem = push(port, "/push/kawabe", {"deviceInfo": {}}, token)
    assert status == 422
    assert "deviceInfo.devEui" in problem["detail"]


def test_a_rate_is_said_and_held(town, monkeypatch):
    monkeypatch.setattr(Rate.__init__, "__defaults__", (lambda: 0.0,))  # its minute stands still
    _, port, token = begin(town, push_per_minute=3, **PATIENT)
    left = []
    for number in range(3):
        status, headers, _ = push(port, PATH, reading(number), token)
        assert status == 202
        left.append(headers["RateLimit"])
    assert left == ['"operator";r=2', '"operator";r=1', '"operator";r=0']
    status, headers, problem = push(port, PATH, reading(3), token)
    assert status == 429
    assert 0 < int(headers["Retry-After"]) <= 20
    assert "push_per_minute" in problem["detail"]
    assert town.value(COUNT) == 3


def test_a_bucket_fills_again():
    now = [0.0]
    rate = Rate(60, lambda: now[0])
    assert all(rate.take(1).granted for _ in range(60))
    refused = rate.take(1)
    assert (refused.granted, refused.retry_after_s) == (False, 1)
    assert rate.take(2).granted
    now[0] = 1.0
    assert rate.take(1).granted
    assert not rate.take(1).granted


def test_without_the_database_it_is_503_and_nothing_is_lost(hasty):
    town, port, token = hasty
    with town.database_away():
        status, headers, problem = push(port, PATH, reading(1), token)
        assert status == 503
        assert int(headers["Retry-After"]) > 0
        assert "again" in problem["detail"]
    wait_until(lambda: push(port, PATH, reading(1), token)[0] == 202)
    assert town.value(COUNT) == 2


def test_a_database_that_takes_questions_and_never_answers_is_503_in_time(town):
    port = conninfo_to_dict(town.dsn.gateway)["port"]
    with contextlib.closing(Line(int(port))) as line:
        over_line = make_conninfo(town.dsn.gateway, port=line.port)
        town.dsn = dataclasses.replace(town.dsn, gateway=over_line)
        _, port, token = begin(town, push_wait_s=0.5)
        wait_until(lambda: push(port, PATH, reading(0), token)[0] == 202)
        line.set(Weather.SWALLOW)
        answers = [push(port, PATH, reading(1), token) for _ in range(3)]
        line.set(Weather.FAIR)
        wait_until(lambda: push(port, PATH, reading(1), token)[0] == 202)
        town._gateways.pop().stop()
    assert [(status, "again" in problem["detail"]) for status, _, problem in answers] == [
        (503, True)
    ] * 3
    assert town.value(COUNT) == 2


def test_without_the_broker_it_is_503(hasty, nats):
    town, port, token = hasty
    nats.kill()
    assert push(port, PATH, reading(1), token)[0] == 503
    nats.start()
    wait_until(lambda: push(port, PATH, reading(1), token)[0] == 202)
    assert town.value(COUNT) == 2


def test_a_frozen_broker_is_503_in_time(hasty, nats):
    town, port, token = hasty
    nats.freeze()
    try:
        status, _, problem = push(port, PATH, reading(1), token)
    finally:
        nats.thaw()
    assert status == 503
    assert "again" in problem["detail"]
    wait_until(lambda: push(port, PATH, reading(1), token)[0] == 202)
    assert town.value(COUNT) == 2


@pytest.mark.usefixtures("partitioned")
def test_the_device_of_another_gateway(town):
    """Whichever gateway is asked: the one that holds the device's partition commits."""
    port = free_port()
    token = add_operator(town)
    gateways = [town.start(), town.start(push_port=port, **PATIENT)]
    wait_until(lambda: [len(gateway.units) for gateway in gateways] == [2, 2])
    for number in range(8):
        for device, name in (("flood-01", "depth_m"), ("pond-01", "ph"), ("pond-02", "ph")):
            body = {"ts": NOW_MS + number, "m": {name: 7.0}}
            status, _, said = push(port, f"/push/kawabe/{device}", body, token)
            assert status == 202
            assert said["outcome"] == ("quarantined" if device == "pond-02" else "stored")
    assert town.value(COUNT) == 16
    assert town.value("select count(*) from quarantine") == 8


class Senders:
    """Six threads that push readings until they are joined, each until it reads 202."""

    def __init__(self, port, token):
        self._port, self._token = port, token
        self._lock, self._enough = threading.Lock(), threading.Event()
        self.sent = self.repeated = 0
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(6)]

    def _run(self):
        while not self._enough.is_set():
            with self._lock:
                number = self.sent
                self.sent += 1
            while not self._push(number):
                self.repeated += 1
                time.sleep(0.1)

    def _push(self, number):
        try:
            return push(self._port, PATH, reading(number), self._token, timeout_s=30)[0] == 202
        except (OSError, http.client.HTTPException):
            return False

    def start(self):
        for thread in self._threads:
            thread.start()

    def join(self):
        self._enough.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive()


def listens(port):
    try:
        return push(port, "/push", b"{}")[0] == 404
    except OSError:
        return False


@pytest.mark.usefixtures("comes_again_soon")
def test_a_gateway_killed_between_request_and_answer_stores_once(town):
    """The sender repeats until it reads 202; two gateways share the port, and are killed."""
    town.start().stop()  # makes the sessions
    port = free_port()
    token = add_operator(town)
    settings = {"push_port": port, "push_wait_s": 5}
    running = {name: child(town, name, **settings) for name in ("a", "b")}
    senders = Senders(port, token)
    try:
        wait_until(lambda: listens(port))
        senders.start()
        for name in ("a", "b", "a", "b"):
            before = town.value(COUNT)
            wait_until(lambda before=before: town.value(COUNT) >= before + 20)
            running[name].send_signal(signal.SIGKILL)
            running[name].wait()
            running[name] = child(town, name, **settings)
        senders.join()
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait(60)
    assert senders.repeated
    assert town.rows("select count(*), count(distinct phenomenon_time) from observation") == [
        (senders.sent, senders.sent)
    ]
    assert town.value("select count(*) from conflict") == 0
    assert town.value("select count(*) from quarantine") == 0


def test_a_body_that_a_full_queue_does_not_take_is_503(town, hasty, nats):
    """There would be room for the receipt behind it."""
    _, port, token = hasty
    with AccountAdmin(nats.settings, TOWN) as admin:
        stream = admin._client.jetstream()
        config = admin._run(stream.stream_info(QUEUE)).config
        admin._run(stream.update_stream(config.evolve(max_bytes=600)))
        padded = json.dumps(reading(1)) + " " * 2000
        status, _, problem = push(port, PATH, padded.encode(), token)
        assert status == 503, problem
        assert "again" in problem["detail"]
        assert town.value(COUNT) == 1
        admin._run(stream.update_stream(config))
    wait_until(lambda: push(port, PATH, padded.encode(), token)[0] == 202)
    assert town.value(COUNT) == 2
