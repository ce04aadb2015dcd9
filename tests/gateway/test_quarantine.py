"""The quarantine keeps what was refused, and one device cannot fill it."""

from gateway.batch import Refused
from gateway.quarantine import QUARANTINE_BYTES, Quarantine
from gateway.reasons import Reason
from tests.gateway.test_refusals import message

KEPT = "select count(*) from quarantine where device_code = %s"
BEYOND = (
    "select coalesce(sum(messages), 0)::integer from quarantine_overflow where device_code = %s"
)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def refusals(town, code, count, reason=Reason.BAD_PAYLOAD):
    return [Refused(message(b"?" * 20_000), town.tenant_id, code, reason, "") for _ in range(count)]


def test_beyond_its_rate_a_device_is_counted_and_its_neighbours_are_kept(town):
    clock = Clock()
    quarantine = Quarantine(10, clock)
    quarantine.write(town.owner, refusals(town, "flood-01", 25) + refusals(town, "pond-01", 3))
    assert [town.value(KEPT, one) for one in ("flood-01", "pond-01")] == [10, 3]
    assert [town.value(BEYOND, one) for one in ("flood-01", "pond-01")] == [15, 0]
    clock.now += 360  # a tenth of an hour lets one more in
    quarantine.write(town.owner, refusals(town, "flood-01", 3))
    assert (town.value(KEPT, "flood-01"), town.value(BEYOND, "flood-01")) == (11, 17)
    clock.now += 100_000
    quarantine.write(town.owner, refusals(town, "flood-01", 12))
    assert (town.value(KEPT, "flood-01"), town.value(BEYOND, "flood-01")) == (21, 19)
    assert town.value("select max(length(payload)) from quarantine") == QUARANTINE_BYTES


def test_made_up_devices_share_one_rate(town):
    quarantine = Quarantine(4, Clock())
    for number in range(10):
        quarantine.write(town.owner, refusals(town, f"nobody-{number}", 1, Reason.UNKNOWN_DEVICE))
    quarantine.write(town.owner, refusals(town, None, 1, Reason.BAD_TOPIC))
    assert town.value("select count(*) from quarantine") == 4
    assert town.value(BEYOND, "") == 7


def test_a_device_that_floods_does_not_stop_its_neighbour_at_the_real_broker(town):
    town.start(quarantine_per_hour=20)
    flooding, calm = town.device(), town.device("pond-01")
    for number in range(300):
        flooding.publish(b"nonsense", wait=False)
        if number % 10 == 0:
            calm.publish({"seq": number, "m": {"ph": 7.0}}, wait=False)
    town.wait_for("select count(*) from observation", 30)
    town.wait_for(BEYOND, 280, "flood-01")
    assert town.value(KEPT, "flood-01") == 20
