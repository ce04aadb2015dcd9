import time

import pytest

from firmware_sim.modem import Broker, Modem
from firmware_sim.payload import Sample
from firmware_sim.radio import Radio
from tests.firmware_sim.desk import Desk
from tests.fixtures.broker import DEVICES, TOWN

FLOOD = DEVICES[0]


def modem_of(server, device=FLOOD, **options):
    return Modem(
        Broker(server.host, server.mqtt_port),
        TOWN,
        device,
        options.pop("secret", server.secrets[TOWN, device]),
        **options,
    )


def turn_until(radio, condition, timeout_s=60.0):
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, radio.tally()
        radio.turn(0.02)


@pytest.fixture
def desk(nats):
    desk = Desk(nats, nats.account)
    yield desk
    desk.close()


def samples(begin, end):
    return [Sample(1_763_760_000_000 + n, n, {"depth_m": n / 1000}) for n in range(begin, end)]


def test_status_is_online_while_it_is_and_the_will_says_when_it_is_not(nats, desk):
    modem = modem_of(nats)
    radio = Radio([modem])
    modem.power_on(time.monotonic())
    turn_until(radio, lambda: modem.online and not modem.unanswered)
    desk.wait(lambda d: d.status == [(FLOOD, True)])
    modem.cut()
    desk.wait(lambda d: d.status == [(FLOOD, True), (FLOOD, False)])
    modem.power_on(time.monotonic())
    turn_until(radio, lambda: modem.online and not modem.unanswered)
    radio.close()
    desk.wait(lambda d: [online for _, online in d.status] == [True, False, True, False])


def test_readings_made_offline_arrive_once_and_in_order(nats, desk):
    modem = modem_of(nats, batch=7)
    radio = Radio([modem])
    modem.offer(samples(1, 101))
    radio.turn(0.01)
    assert modem.published == 0
    modem.power_on(time.monotonic())
    assert radio.drain(60)
    desk.wait(lambda d: len(d.readings) >= 100)
    radio.close()
    assert desk.sequences(FLOOD) == list(range(1, 101))
    assert (modem.acknowledged, modem.acknowledged_seq) == (100, 100)


def test_a_broker_killed_in_the_middle_loses_nothing_and_keeps_the_order(nats, desk):
    modem = modem_of(nats, batch=1, in_flight=4)
    radio = Radio([modem])
    modem.power_on(time.monotonic())
    turn_until(radio, lambda: modem.online)
    modem.offer(samples(1, 2001))
    turn_until(radio, lambda: modem.acknowledged > 200)
    nats.kill()
    turn_until(radio, lambda: not modem.online)
    assert modem.pending > 0
    modem.offer(samples(2001, 2101))
    nats.start()
    assert radio.drain(60), radio.tally()
    desk.wait(lambda d: len(set(d.sequences(FLOOD))) == 2100, 60)
    radio.close()
    # In flight at the kill: may arrive twice, at least once in any case, and never out of order.
    first_seen = list(dict.fromkeys(desk.sequences(FLOOD)))
    assert first_seen == list(range(1, 2101))
    assert modem.connections == 2
    assert modem.backlog.dropped == 0


def test_a_full_backlog_gives_up_the_oldest_and_the_rest_arrives(nats, desk):
    modem = modem_of(nats, capacity=50)
    radio = Radio([modem])
    modem.offer(samples(1, 81))
    modem.power_on(time.monotonic())
    assert radio.drain(60)
    desk.wait(lambda d: len(d.readings) >= 50)
    radio.close()
    assert desk.sequences(FLOOD) == list(range(31, 81))
    assert radio.tally().dropped == 30


def test_a_wrong_secret_is_named_and_does_not_stop_a_neighbour(nats, desk):
    wrong, right = modem_of(nats, secret="guessed"), modem_of(nats, DEVICES[1])
    radio = Radio([wrong, right])
    for modem in radio.modems:
        modem.offer(samples(1, 11))
        modem.power_on(time.monotonic())
    turn_until(radio, lambda: wrong.refusal is not None and right.acknowledged == 10)
    tally = radio.tally()
    radio.close()
    assert "authori" in tally.refused[FLOOD].lower()
    assert desk.sequences(FLOOD) == []
    assert (tally.acknowledged, tally.pending, tally.online) == (10, 10, 1)


def test_the_same_device_works_with_mosquitto(mosquitto):
    desk = Desk(mosquitto, mosquitto.account, partitioned=False)
    modem = modem_of(mosquitto)
    radio = Radio([modem])
    modem.offer(samples(1, 301))
    modem.power_on(time.monotonic())
    assert radio.drain(60)
    desk.wait(lambda d: len(d.readings) >= 300)
    modem.cut()
    desk.wait(lambda d: d.status == [(FLOOD, True), (FLOOD, False)])
    radio.close()
    desk.close()
    assert desk.sequences(FLOOD) == list(range(1, 301))


def test_towns_come_back_spread_out():
    modems = [Modem(Broker("127.0.0.1", 1), TOWN, f"d-{n}", "x", seed=3) for n in range(40)]
    for modem in modems:
        modem.power_on(0.0)
        modem.service(0.0)  # nobody listens there
    assert all(modem.socket() is None for modem in modems)
    pauses = sorted(modem._next_attempt_s for modem in modems)
    assert 0.5 <= pauses[0] < 0.7
    assert 1.3 < pauses[-1] <= 1.5
