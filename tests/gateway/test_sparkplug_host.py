"""What a Sparkplug host makes of births, gaps and deaths (specification 3.0.0, chapter 5)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reasons import Reason
from gateway.sparkplug.host import Birth, Host
from gateway.sparkplug.topic import Address, SparkplugGroup
from store.births import BirthRow
from tests.gateway.conftest import NOW_MS
from tests.gateway.sparkplug_messages import (
    BIRTH,
    BOOLEAN,
    DBIRTH,
    INT16,
    INT64,
    bool_,
    born,
    data,
    dbirth,
    double,
    int_,
    long_,
    metric,
    nbirth,
    payload,
    values,
)


def test_aliases_become_names():
    step = born().take(*data(2, metric(alias=1, value=double(2)), metric(alias=2, null=True)))
    [(code, complete)] = step.forward
    assert code == "edge_dev"
    assert values(complete) == [(NOW_MS + 2, "Level", 2.0), (NOW_MS + 2, "Battery", None)]
    assert (step.reason, step.rebirth) == ("", False)


def test_a_type_that_only_the_birth_says_counts():
    host = Host()
    host.take("spBv1.0/g/NBIRTH/edge", nbirth(metric("t", alias=9, kind=INT16, value=int_(5))))
    step = host.take("spBv1.0/g/NDATA/edge", payload(metric(alias=9, value=int_(0xFFFF)), seq=1))
    assert values(step.forward[0][1]) == [(NOW_MS, "t", -1.0)]


def test_births_are_readings_and_signs_of_life_and_are_kept():
    host = Host()
    step = host.take("spBv1.0/g/NBIRTH/edge", BIRTH)
    # It speaks for its devices and measures nothing itself.
    assert (step.forward, step.status) == ([], [])
    assert step.birth == Birth("g", "edge", "", BIRTH)
    step = host.take("spBv1.0/g/DBIRTH/edge/dev", DBIRTH)
    assert [code for code, _ in step.forward] == ["edge_dev"]
    assert step.status == [("edge_dev", True)]
    assert values(step.forward[0][1]) == [(NOW_MS, "Level", 1.0), (NOW_MS, "Battery", 3.6)]


def test_a_sender_that_makes_nodes_up_takes_no_memory_and_nothing_from_those_known(monkeypatch):
    monkeypatch.setattr("gateway.sparkplug.host.MOST_NAMES", 20)
    host = born()
    refused = []
    for number in range(1000):
        step = host.take(f"spBv1.0/g/NBIRTH/made-up-{number}", nbirth())
        step = host.take(f"spBv1.0/g/DBIRTH/made-up-{number}/dev", DBIRTH)
        refused += [step] if step.reason else []
    assert len(refused) > 900
    assert "at most 20" in refused[-1].detail
    assert (refused[-1].birth, len(host.picture())) == (None, len(host._names))
    assert sum(node.names for node in host.picture().values()) == host._all_names <= 20
    # Who was known before is born again, and is understood.
    assert host.take("spBv1.0/g/NBIRTH/edge", nbirth()).birth
    assert host.take("spBv1.0/g/DBIRTH/edge/dev", DBIRTH).birth
    assert host.take(*data(2, metric(alias=1, value=double(2)))).forward


def test_data_before_any_birth_is_kept_and_the_birth_is_asked_for():
    step = Host().take(*data(7, metric(alias=1, value=double(2))))
    assert (step.reason, step.rebirth, step.forward) == (Reason.NO_BIRTH, True, [])
    # With names it can be read all the same.
    step = Host().take(*data(7, metric("Level", value=double(2))))
    assert (step.reason, step.rebirth, len(step.forward)) == ("", True, 1)


def test_an_unknown_alias_is_kept_and_the_birth_is_asked_for():
    for one in (metric(alias=5, value=double(1)), metric(alias=1, kind=BOOLEAN, value=bool_(1))):
        step = born().take(*data(2, one))
        assert (step.reason, step.rebirth) == (Reason.NO_BIRTH, True)


def test_a_gap_asks_for_the_birth_and_a_repetition_does_not():
    host = born()
    one = metric(alias=1, value=double(1))
    for seq, gap in ((2, False), (2, False), (3, False), (5, True), (6, False)):
        step = host.take(*data(seq, one))
        assert (step.rebirth, step.reason, len(step.forward)) == (gap, "", 1), seq
    host.begin_again(host.picture())
    assert not host.take(*data(3, one)).rebirth


def test_a_gap_beside_messages_without_a_number_is_noticed_and_none_is_made_up():
    host = born()
    one = metric(alias=1, value=double(1))
    asked = []
    for seq in (2, None, 4, None, 5, None, None, 9, None, 11):
        step = host.take("spBv1.0/g/DDATA/edge/dev", payload(one, ts=NOW_MS + 1, seq=seq))
        assert step.forward
        asked += [seq] if step.rebirth else []
    assert asked == [9]
    host.take("spBv1.0/g/DDATA/edge/dev", payload(one, seq=None))
    host.take("spBv1.0/g/NBIRTH/edge", BIRTH)  # counts from its own number on
    assert host.take("spBv1.0/g/DBIRTH/edge/dev", dbirth(seq=2)).rebirth


def test_numbers_go_round():
    host = born()
    for seq in (*range(2, 256), 0, 1):
        assert not host.take(*data(seq, metric(alias=1, value=double(1)))).rebirth


def test_a_death_takes_all_devices_of_the_node_along():
    step = (host := born()).take("spBv1.0/g/NDEATH/edge", payload(
        metric("bdSeq", kind=INT64, value=long_(0)), seq=None))  # fmt: skip
    assert step.status == [("edge_dev", False)]
    step = host.take(*data(2, metric(alias=1, value=double(1))))
    assert (step.reason, step.rebirth) == (Reason.NO_BIRTH, True)


def test_a_death_of_a_former_birth_says_nothing():
    host = Host()
    host.take("spBv1.0/g/NBIRTH/edge", nbirth(bd_seq=4))
    step = host.take("spBv1.0/g/NDEATH/edge",
                     payload(metric("bdSeq", kind=INT64, value=long_(3)), seq=None))  # fmt: skip
    assert step.status == []


def test_a_devices_death_forgets_its_aliases():
    host = born()
    assert host.take("spBv1.0/g/DDEATH/edge/dev", payload(seq=2)).status == [("edge_dev", False)]
    assert host.take(*data(3, metric(alias=1, value=double(1)))).reason == Reason.NO_BIRTH


def test_a_new_birth_of_the_node_forgets_those_of_its_devices():
    host = born(("spBv1.0/g/NBIRTH/edge", nbirth(bd_seq=1)))
    assert host.take(*data(1, metric(alias=1, value=double(1)))).reason == Reason.NO_BIRTH


def test_births_that_were_kept_are_enough_after_a_restart():
    host = Host()
    rows = [("", BIRTH), ("dev", DBIRTH), ("bad", b"\x08")]
    host.restore(BirthRow(1, "g", "edge", device, datetime.now(UTC), body)
                 for device, body in rows)  # fmt: skip
    step = host.take(*data(200, metric(alias=1, value=double(2))))
    assert (step.reason, step.rebirth, len(step.forward)) == ("", False, 1)


@given(st.binary(max_size=200))
def test_no_bytes_escape(body):
    Host().take("spBv1.0/g/DDATA/edge/dev", body)


def test_topics():
    assert Address.parse("spBv1.0/g/NCMD/edge") is None
    assert Address.parse("spBv1.0/g/NDATA/edge/dev") is None
    assert Address.parse("spBv1.0/g/DDATA/edge") is None
    assert Address.parse("spBv1.0/STATE/host") is None
    assert Host().take("spBv1.0/g/NDATA/an edge", payload()).reason == Reason.BAD_TOPIC
    assert SparkplugGroup.parse("spBv1.0/ponds/#").filter == "spBv1.0/ponds/#"
    for wrong in ("spBv1.0/#", "spBv1.0/+/#", "spBv1.0/STATE/#", "a/b/#"):
        with pytest.raises(ValueError, match=r"must be|cannot be"):
            SparkplugGroup.parse(wrong)
