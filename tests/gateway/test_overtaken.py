"""Data that have overtaken their own birth wait for it, and mean what they meant."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from gateway.message import Message
from gateway.reasons import Reason
from gateway.relay.translation import SparkplugTranslator
from gateway.sparkplug.host import Host
from tests.gateway.conftest import NOW_MS
from tests.gateway.sparkplug_messages import (
    BIRTH,
    DBIRTH,
    SWAPPED,
    data,
    dbirth,
    double,
    metric,
    values,
)

REGISTRY = SimpleNamespace(devices={})
WINDOW = 10


@pytest.fixture
def intake():
    session = SimpleNamespace(window_messages=WINDOW, operator_codec="sparkplug-b")
    return SimpleNamespace(
        tenant_id=1, generation=1, subscribed_since=datetime.now(UTC), session=session
    )


@pytest.fixture
def translate(intake):
    translator = SparkplugTranslator("kawabe", Host(), overtaken_s=60)
    mids = iter(range(1, 100))

    def take(*messages, again=False, qos=1):
        return translator.translate([
            Message(intake, intake.generation, next(mids) if qos else 0, topic.encode(), body,
                    NOW_MS, again=again)
            for topic, body in messages], REGISTRY)  # fmt: skip

    take.translator = translator
    take(("spBv1.0/g/NBIRTH/edge", BIRTH), ("spBv1.0/g/DBIRTH/edge/dev", DBIRTH))
    return take


def level(seq, value=0.5):
    return data(seq, metric(alias=1, value=double(value)))


def read(out):
    return [value for _, body in out.messages for value in values(body)]


def test_they_wait_until_what_comes_again_has_come(intake, translate):
    # Number 2, by which the aliases have changed places, was on its way when the line was cut.
    out = translate(level(3), level(4))
    assert (out.messages, out.settled, out.refused) == ([], [], [])
    assert len(out.commands) == 1
    out = translate(("spBv1.0/g/DBIRTH/edge/dev", dbirth(SWAPPED, NOW_MS + 2, seq=2)), again=True)
    assert len(out.settled) == 1
    assert translate().settled == []
    intake.subscribed_since -= timedelta(seconds=61)
    out = translate()
    assert read(out) == [(NOW_MS + 3, "Battery", 0.5), (NOW_MS + 4, "Battery", 0.5)]
    assert len(out.settled) == 2
    assert not translate.translator.unread


def test_whose_birth_never_came_are_set_aside(intake, translate):
    translate(("spBv1.0/g/DDATA/edge/other", level(2)[1]))
    intake.subscribed_since -= timedelta(seconds=61)
    out = translate()
    # The town knows no such device: it has no rate of its own in the quarantine.
    [refused] = out.refused
    assert (refused.reason, refused.device_code) == (Reason.UNKNOWN_DEVICE, "edge_other")
    assert "no birth" in refused.detail
    assert len(out.settled) == 1


def test_those_of_a_connection_that_ended_come_again(intake, translate):
    translate(level(3))
    intake.generation += 1
    assert (translate().settled, translate.translator.unread) == ([], [])
    assert read(translate(level(3), again=True)) == [(NOW_MS + 3, "Level", 0.5)]


def test_nobody_waits_whom_the_broker_would_not_send_again(intake, translate):
    assert len(translate(level(3), qos=0).settled) == 1
    intake.subscribed_since -= timedelta(seconds=61)
    assert len(translate(level(9)).settled) == 1


def test_they_leave_room_in_the_window(translate):
    out = translate(*(level(seq) for seq in range(3, 3 + WINDOW)))
    assert len(translate.translator.unread) == WINDOW // 2
    assert len(out.settled) == WINDOW - WINDOW // 2
