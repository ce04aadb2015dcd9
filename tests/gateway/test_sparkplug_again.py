"""What a host makes of messages that a broker sends again, behind others or in their order."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reasons import Reason
from gateway.sparkplug.host import Host
from store.births import BirthRow
from tests.gateway.conftest import NOW_MS
from tests.gateway.sparkplug_messages import (
    BIRTH,
    DBIRTH,
    INT64,
    NAMES,
    SWAPPED,
    born,
    data,
    dbirth,
    double,
    long_,
    metric,
    nbirth,
    payload,
    values,
)

NODE, DEVICE = "spBv1.0/g/NBIRTH/edge", "spBv1.0/g/DBIRTH/edge/dev"


def test_messages_that_come_again_mean_what_they_meant():
    """A birth behind them has swapped the aliases, and the broker sends all of them once more."""
    host = born()
    before = host.picture()
    swapped = dbirth(SWAPPED, NOW_MS + 10, seq=3)
    old = data(2, metric(alias=1, value=double(0.5)))
    new = "spBv1.0/g/DDATA/edge/dev", payload(
        metric(alias=1, value=double(3.7)), ts=NOW_MS + 11, seq=4)  # fmt: skip
    for _ in range(2):
        assert values(host.take(*old).forward[0][1]) == [(NOW_MS + 2, "Level", 0.5)]
        host.take("spBv1.0/g/DBIRTH/edge/dev", swapped)
        assert values(host.take(*new).forward[0][1]) == [(NOW_MS + 11, "Battery", 3.7)]
        host.begin_again(before)
    # After a restart only the newest birth is known, and what was sent before it is not guessed.
    rows = [("", BIRTH), ("dev", swapped)]
    host.restore(BirthRow(1, "g", "edge", device, datetime.now(UTC), body)
                 for device, body in rows)  # fmt: skip
    step = host.take(*old)
    assert (step.reason, step.rebirth, step.forward) == (Reason.NO_BIRTH, True, [])
    assert values(host.take(*new).forward[0][1]) == [(NOW_MS + 11, "Battery", 3.7)]


def reborn():
    """An edge node that came back 20 ms later with the aliases swapped."""
    return born((NODE, nbirth(bd_seq=1, ts=NOW_MS + 20)), (DEVICE, dbirth(SWAPPED, NOW_MS + 20)))


def test_data_that_a_birth_has_overtaken_mean_what_they_meant():
    """NATS sends what was not acknowledged behind what has come meanwhile."""
    host = reborn()
    step = host.take(*data(2, metric(alias=1, value=double(0.5))), again=True)
    assert values(step.forward[0][1]) == [(NOW_MS + 2, "Level", 0.5)]
    assert (step.reason, step.rebirth) == ("", False)
    step = host.take(*data(22, metric(alias=1, value=double(3.7))), again=True)
    assert values(step.forward[0][1]) == [(NOW_MS + 22, "Battery", 3.7)]
    host.take("spBv1.0/g/NDEATH/edge", payload(
        metric("bdSeq", kind=INT64, value=long_(1)), seq=None))  # fmt: skip
    step = host.take(*data(22, metric(alias=1, value=double(3.7))), again=True)
    assert (len(step.forward), step.reason, step.rebirth) == (1, "", False)


def test_a_birth_that_a_newer_one_has_overtaken_ends_nothing():
    host = reborn()
    for topic, body in ((NODE, BIRTH), (DEVICE, DBIRTH)):
        step = host.take(topic, body, again=True)
        assert (step.birth, step.status, step.rebirth) == (None, [], False)
    assert host.take("spBv1.0/g/DDEATH/edge/dev", payload(ts=NOW_MS + 9), again=True).status == []
    # That of the node, behind that of its device, which is in force.
    host.take(NODE, nbirth(bd_seq=1, ts=NOW_MS + 20), again=True)
    step = host.take(*data(23, metric(alias=1, value=double(3.7))))
    assert values(step.forward[0][1]) == [(NOW_MS + 23, "Battery", 3.7)]


def test_a_birth_that_came_but_late_says_what_data_before_it_meant():
    host = Host()
    host.take(NODE, nbirth(bd_seq=1, ts=NOW_MS + 20))
    host.take(DEVICE, dbirth(SWAPPED, NOW_MS + 20))
    step = host.take(DEVICE, DBIRTH, again=True)
    assert values(step.forward[0][1]) == [(NOW_MS, "Level", 1.0), (NOW_MS, "Battery", 3.6)]
    step = host.take(*data(2, metric(alias=1, value=double(0.5))), again=True)
    assert values(step.forward[0][1]) == [(NOW_MS + 2, "Level", 0.5)]


def test_a_device_that_was_not_born_since_its_node_is_not_read():
    host = born((NODE, nbirth(bd_seq=1, ts=NOW_MS + 20)))
    assert host.take(*data(22, metric(alias=1, value=double(1))), again=True).reason
    assert not host.take(*data(2, metric(alias=1, value=double(1))), again=True).reason


@pytest.mark.parametrize("alias", ["the same", "another"])
def test_a_clock_that_was_set_back_is_not_guessed_at(alias):
    """Old data, or new ones by a clock that has stepped back: it must not matter which."""
    later = dbirth(SWAPPED if alias == "another" else NAMES, NOW_MS + 10, seq=3)
    host = born((DEVICE, later))
    step = host.take(*data(4, metric(alias=1, value=double(0.5))))
    if alias == "another":
        assert (step.reason, step.rebirth, step.forward) == (Reason.NO_BIRTH, True, [])
    else:
        assert values(step.forward[0][1]) == [(NOW_MS + 4, "Level", 0.5)]


@given(
    kinds=st.lists(st.sampled_from(["node", "device", "swap", "data", "data"]), max_size=14),
    cut=st.integers(0, 14),
    acknowledged=st.integers(0, 14),
    order=st.randoms(),
)
def test_nothing_is_refused_or_misread_however_a_broker_sends_it_again(
    kinds, cut, acknowledged, order
):
    """Some messages are not known to be acknowledged at the cut, and come among those after it."""
    stream, truth, names = [(NODE, BIRTH), (DEVICE, DBIRTH)], set(), NAMES
    for at, kind in enumerate(kinds, 10):
        if kind == "data":
            stream.append(data(at, metric(alias=1, value=double(at))))
            truth.add((NOW_MS + at, names[0], float(at)))
            continue
        if kind == "node":
            stream.append((NODE, nbirth(bd_seq=at, ts=NOW_MS + at)))
        if kind == "swap":
            names = names[::-1]
        stream.append((DEVICE, dbirth(names, NOW_MS + at)))
    cut = 2 + min(cut, len(stream) - 2)
    again = [(one, True) for one in stream[min(acknowledged, cut) : cut]]
    fresh = [(one, False) for one in stream[cut:]]
    host, read = Host(), set()
    came = [(one, False) for one in stream[:cut]]
    while again or fresh:
        came.append((order.choice([one for one in (again, fresh) if one])).pop(0))
    for (topic, body), repeated in came:
        step = host.take(topic, body, again=repeated)
        assert not step.reason
        if "DATA" in topic:
            read.update(value for _, forward in step.forward for value in values(forward))
    assert read == truth
