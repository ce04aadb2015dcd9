"""An operator speaks for devices of its codec, and for those that the town does not know."""

from types import SimpleNamespace

from gateway.foreign_topic import ForeignTopic
from gateway.reasons import Reason
from gateway.relay.translation import SparkplugTranslator, TopicTranslator
from gateway.remit import objection
from gateway.sparkplug.host import Host
from tests.gateway.conftest import NOW_MS
from tests.gateway.sparkplug_messages import nbirth
from tests.gateway.test_relay import dbirth

REGISTRY = SimpleNamespace(
    devices={
        (1, code): SimpleNamespace(codec=codec, state=state)
        for code, codec, state in (
            ("own", "json", "active"),
            ("others", "native", "active"),
            ("new", "native", "quarantined"),
            ("gate_tank", "native", "active"),
            ("gate", "sparkplug-b", "active"),
        )
    }
)


def message(topic, payload=b"{}", codec="json"):
    intake = SimpleNamespace(tenant_id=1, session=SimpleNamespace(operator_codec=codec))
    return SimpleNamespace(intake=intake, topic=topic.encode(), payload=payload, received_ms=NOW_MS,
                           again=False)  # fmt: skip


def test_who_speaks_for_whom():
    assert [objection(REGISTRY, 1, "json", code) for code in ("own", "new", "nobody")] == [""] * 3
    assert "json; that of others is native" in objection(REGISTRY, 1, "json", "others")
    assert objection(REGISTRY, 2, "json", "others") == ""


def test_a_relay_hands_on_for_its_own_and_keeps_the_others():
    translator = TopicTranslator("kawabe", ForeignTopic.parse("tele/{device}/SENSOR"))
    sent = [message(f"tele/{code}/SENSOR") for code in ("own", "others", "new", "nobody")]
    out = translator.translate(sent, REGISTRY)
    assert [topic for topic, _ in out.messages] == [
        f"mz/v1/kawabe/d/{code}/up" for code in ("own", "new", "nobody")
    ]
    assert [(one.device_code, one.reason) for one in out.refused] == [
        ("others", Reason.FOREIGN_CODEC)
    ]


def test_a_sparkplug_node_says_nothing_of_devices_that_are_not_its_own():
    translator = SparkplugTranslator("kawabe", Host(), 0.0)
    births = [
        message("spBv1.0/ponds/NBIRTH/gate", nbirth(), "sparkplug-b"),
        message("spBv1.0/ponds/DBIRTH/gate/tank", dbirth(), "sparkplug-b"),
    ]
    out = translator.translate(births, REGISTRY)
    assert not out.messages + out.status
    assert [(one.device_code, one.reason) for one in out.refused] == [
        ("gate_tank", Reason.FOREIGN_CODEC)
    ]
    own = SimpleNamespace(devices={(1, "gate_tank"): REGISTRY.devices[1, "gate"]})
    out = translator.translate(births, own)
    assert {topic.split("/")[4] for topic, _ in out.messages} == {"gate_tank"}
    assert out.status
    assert not out.refused
