"""What a gateway holds, and under which leases it writes."""

from gateway.holdings import Holdings
from gateway.message import Message
from gateway.session import Session
from gateway.towns import Sessions
from store.intake_lease import Lease


def session(town, partition):
    return Session(
        name=f"{town}/{partition}", tenant_id=town, lease_no=partition, partition_no=partition,
        partitions=4, host="127.0.0.1", port=1, user="", password="", client_id="c",
        topic_filter="t", window_messages=10, mqtt5=False, keepalive_s=60,
    )  # fmt: skip


def test_messages_are_written_under_the_leases_of_their_own_partitions_alone():
    """A gateway of many towns would otherwise lock a row of each partition with every commit."""
    holdings = Holdings(10, lambda: None, lambda: None, lambda: None)
    for town in (1, 2):
        for partition in range(4):
            holdings.add(
                Lease(town, partition, epoch=7, known=False),
                Sessions(session(town, partition), None, ()),
                asked_s=0.0,
            )
    intakes = {h.lease.unit: h.readings for h in holdings.all()}
    messages = [
        Message(intakes[unit], 1, mid, b"", b"", 0)
        for mid, unit in enumerate([(2, 3), (2, 3), (1, 0), (2, 3)], 1)
    ]
    assert [lease.unit for lease in holdings.leases_of(messages)] == [(1, 0), (2, 3)]
    holdings.lose([h.lease for h in holdings.all() if h.lease.unit == (1, 0)])
    assert [lease.unit for lease in holdings.leases_of(messages)] == [(2, 3)]
    holdings.close(0.0)
