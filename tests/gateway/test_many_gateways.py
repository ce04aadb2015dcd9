"""Several gateways share the partitions: whatever happens to one, nothing is lost or doubled."""

import dataclasses
import itertools
import signal
import threading
import time

import numpy as np
import psycopg
import pytest

from detectors.readings import Readings
from gateway.partition import partition_of
from gateway.registry import load
from jobs.settlement import Settlement
from store import broker_accounts, config_channel, device_catalog
from store.database import Database
from store.device_catalog import NewDevice
from store.gateways import listening
from tests.fixtures.broker import TOWN, wait_until
from tests.gateway.conftest import NOW_MS
from tests.gateway.test_faults import child

pytestmark = pytest.mark.usefixtures("partitioned", "comes_again_soon")

COUNT = "select count(*) from observation"
# One after the other the devices come under water.
FLOOD = [0.02, 0.12, 0.15, 0.15, 0.22, 0.26, 0.26, 0.24, 0.11, 0.03]
STEP_MS, PAUSE_S = 10_000, 0.25
ROUNDS = 75
# Two in each of the four partitions.
CODES = [
    next(itertools.islice((c for c in (f"street-{i:02}" for i in range(99))
                           if partition_of(c, 4) == n), skip, None))
    for n in range(4) for skip in range(2)
]  # fmt: skip


class Crowd:
    """Devices in all partitions that send floods, faster than the clock they carry."""

    def __init__(self, town):
        self.town, self.sent, self.round = town, 0, 0
        with town.owner.transaction():
            device_catalog.add_devices(town.owner, town.tenant_id, [
                NewDevice(code, "flood_level", "冠水計", "Flood", 60, site="honmachi")
                for code in CODES])  # fmt: skip
        for code in CODES:
            town.broker.add_device(code, renew=code == CODES[-1])
        self.devices = [town.device(code) for code in CODES]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._stop.is_set():
            self.send()
            time.sleep(PAUSE_S)

    def send(self):
        """Send one reading of each; every fifth comes twice."""
        number = self.round
        self.round += 1
        for place, device in enumerate(self.devices):
            since = number - 8 * place - 4
            depth = FLOOD[since] if 0 <= since < len(FLOOD) else 0.0
            reading = {"ts": NOW_MS + STEP_MS * number, "seq": number, "m": {"depth_m": depth}}
            for _ in range(2 if number % 5 == 0 else 1):
                self.last = device.publish(reading, wait=False)
            self.sent += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop.set()
        self._thread.join()

    def check(self):
        """Hold the stored rows, and the alerts, against what was sent."""
        wait_until(lambda: self.round >= ROUNDS)
        self.stop()
        self.town.wait_for(COUNT, self.sent)
        assert self.town.value("select count(*) from conflict") == 0
        assert self.town.value("select count(*) from quarantine") == 0
        # What a frozen gateway had in hand the broker gives to the next one after what came
        # meanwhile; of that, what is too late to be decided on live is settled by a job.
        with Database(self.town.dsn.jobs, name="test-jobs", answer_within_s=60) as database:
            Settlement(database).drain()
        decided = transitions(self.town)
        assert decided == expected(self.town)
        assert len(decided) >= 2 * len(CODES)


def transitions(town):
    """What stands in the ledger."""
    return town.rows(
        "select datastream_id, rule_code, (extract(epoch from phenomenon_time) * 1000)::bigint, "
        "from_level, to_level from alert_transition join alert using (alert_id) "
        "where withdrawn_revision is null order by 1, 2, 3"
    )


def expected(town):
    """What one gateway that was never disturbed would decide, from the stored readings."""
    registry = load(town.owner)
    rows = town.rows("select datastream_id, (extract(epoch from phenomenon_time) * 1000)::bigint, "
                     "value from observation order by 1, 2")  # fmt: skip
    stream, time_ms, value = (np.array(column) for column in zip(*rows, strict=True))
    sensor = np.searchsorted(registry.datastream_id, stream)
    fleet = registry.fleet
    moves = fleet.step(fleet.empty_state(), Readings.of(sensor, time_ms, value)).transitions
    return sorted(
        (int(registry.datastream_id[s]), registry.rule_of(int(s), int(r)).code, int(t), int(a),
         int(b))
        for s, r, t, a, b in zip(moves.sensor, moves.rule, moves.time_ms, moves.from_level,
                                 moves.to_level, strict=True)
    )  # fmt: skip


@pytest.fixture
def gateways(town):
    """Starts gateway processes by name; those that still run are stopped at the end."""
    running = {}

    def start(*names):
        for name in names:
            running[name] = child(town, name)
        return running

    yield start
    for process in running.values():
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
    for process in running.values():
        assert process.wait(60) is not None


def shares(town):
    """How many partitions each gateway reads, by its name."""
    return dict(town.rows(
        "select holder, count(*) from intake where listening_since is not null "
        "and gateway_id is not null group by holder"
    ))  # fmt: skip


def wait_shares(town, **wanted):
    wait_until(lambda: shares(town) == wanted, message=f"{wanted} is wanted")


def wait_connections(town, count):
    def found():
        everybody = town.broker.monitor("connz?acc=kawabe")["num_connections"]
        return everybody - len(town._devices)

    wait_until(lambda: found() == count, message=lambda: f"{found()} connections, not {count}")


def test_two_share_and_one_that_stops_hands_over_at_once(town, gateways):
    running = gateways("a", "b")
    wait_shares(town, a=2, b=2)
    with Crowd(town) as crowd:
        time.sleep(3)
        running["a"].terminate()
        assert running["a"].wait(60) == 0
        assert "a" not in shares(town)  # it has let go: nobody waits for its lease
        wait_shares(town, b=4)
        wait_connections(town, 5)  # four partitions, and the status of the town
        time.sleep(2)
        gateways("a")
        wait_shares(town, a=2, b=2)
        time.sleep(2)
        crowd.check()
    wait_connections(town, 5)


def test_a_third_that_joins_gets_its_share_and_gives_it_back(town, gateways):
    gateways("a", "b")
    wait_shares(town, a=2, b=2)
    with Crowd(town) as crowd:
        time.sleep(2)
        running = gateways("c")
        wait_until(lambda: sorted(shares(town).values()) == [1, 1, 2])
        time.sleep(2)
        running["c"].terminate()
        wait_shares(town, a=2, b=2)
        crowd.check()


def test_what_a_killed_one_held_is_taken_over_after_its_lease(town, gateways):
    running = gateways("a", "b", "c")
    wait_until(lambda: sorted(shares(town).values()) == [1, 1, 2])
    with Crowd(town) as crowd:
        time.sleep(2)
        running["a"].send_signal(signal.SIGKILL)
        running["a"].wait()
        wait_shares(town, b=2, c=2)
        time.sleep(2)
        crowd.check()


def test_one_started_again_under_its_name_takes_its_place_at_once(town, gateways):
    running = gateways("a", "b")
    wait_shares(town, a=2, b=2)
    with Crowd(town) as crowd:
        time.sleep(2)
        epochs = town.value("select max(epoch) from intake")
        running["a"].send_signal(signal.SIGKILL)
        running["a"].wait()
        # Its lease does not run out: only under its own name its place can be taken.
        town.owner.execute("update gateway set beat_at = now() + '1 hour' where name = 'a'")
        gateways("a")
        wait_until(lambda: town.value("select max(epoch) from intake") > epochs
                   and shares(town) == {"a": 2, "b": 2})  # fmt: skip
        crowd.check()


@pytest.mark.parametrize("name", ["a", "b"])
def test_one_that_freezes_for_longer_than_its_lease_gives_up_and_lives_on(town, gateways, name):
    other = {"a": "b", "b": "a"}[name]
    running = gateways("a", "b")
    wait_shares(town, a=2, b=2)
    with Crowd(town) as crowd:
        time.sleep(2)
        running[name].send_signal(signal.SIGSTOP)
        wait_shares(town, **{other: 4})
        time.sleep(2)
        running[name].send_signal(signal.SIGCONT)
        wait_shares(town, a=2, b=2)
        assert running[name].poll() is None
        crowd.check()
    wait_connections(town, 5)


def test_one_that_freezes_in_the_middle_of_a_transaction_blocks_nobody(town, gateways):
    """It holds its rows for as long as it sleeps: the others end its session."""
    running = gateways("a", "b")
    wait_shares(town, a=2, b=2)
    crowd = Crowd(town)
    [[identity]] = town.rows("select gateway_id from gateway where name = 'a'")
    running["a"].send_signal(signal.SIGSTOP)
    # As if it had frozen between two statements.
    with psycopg.connect(town.dsn.gateway, application_name=f"mizumori-gateway {identity}") as held:
        held.execute("select * from intake where holder = 'a' for share")
        wait_shares(town, b=4)
        with pytest.raises(psycopg.OperationalError):
            held.execute("select 1")
    running["a"].send_signal(signal.SIGCONT)
    wait_shares(town, a=2, b=2)
    with crowd:
        time.sleep(4)
        crowd.check()


def test_a_changed_password_and_a_removed_account_need_no_restart(town, nats):
    gateway = town.start()
    before = {i.session.password for i in gateway.intakes}
    account = dataclasses.replace(nats.account, gateway_password="another-one-of-this-town")
    nats.accounts[TOWN] = account
    nats.renew()
    town.owner.execute("update broker_account set gateway_password = %s",
                       (account.gateway_password,))  # fmt: skip
    config_channel.notify(town.owner, "broker")
    wait_until(lambda: len(gateway.intakes) == 5
               and {i.session.password for i in gateway.intakes}.isdisjoint(before)
               and all(i.subscribed_since for i in gateway.intakes))  # fmt: skip
    town.device().publish({"ts": NOW_MS, "m": {"depth_m": 0.01}})
    town.wait_for(COUNT, 1)
    town.owner.execute("delete from broker_account")
    config_channel.notify(town.owner, "broker")
    wait_until(lambda: not gateway.intakes and town.value("select count(*) from intake") == 0)
    broker_accounts.add_account(town.owner, dataclasses.replace(account, tenant_id=town.tenant_id))
    config_channel.notify(town.owner, "broker")
    wait_until(lambda: len(gateway.intakes) == 5)


def test_partitions_that_the_broker_no_longer_has_are_forgotten(mosquitto_town):
    town = mosquitto_town
    town.owner.execute(
        "insert into intake (tenant_id, partition_no, epoch) select %s, n, 7 "
        "from generate_series(0, 3) as n", (town.tenant_id,),
    )  # fmt: skip
    town.start()
    town.wait_for("select count(*) from intake", 1)
    wait_until(lambda: listening(town.owner)[0].problem is None)
