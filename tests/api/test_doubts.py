"""Doubts about alerts: from the newest word on readings between onset and clear."""

import pytest

from detectors.flags import Test
from store.database import Database
from tests.api.seed import ago
from tests.api.sse import listening


@pytest.fixture
def stream(seed, stream):
    seed.link("f1", "online")
    seed.latest(stream, 0.12)
    return stream


def revise(seed, stream, minutes_ago, flag, tests, source="flood"):
    time = ago(minutes=minutes_ago).replace(microsecond=0)
    seed.execute(
        "insert into flag_revision (datastream_id, phenomenon_time, flag, evaluated, source)"
        " values (%s, %s, %s, %s, %s)", stream, time, flag, int(tests), source,
    )  # fmt: skip
    return time


def shown(api):
    return next(f["properties"] for f in api.ok("/sakata/map/flood")["features"] if f["id"] == "f1")


def test_a_doubt_names_its_rule_in_two_languages_and_leaves_the_alert(api, seed, stream):
    alert = seed.alert(stream, onset=ago(minutes=30))
    assert api.ok(f"/sakata/alerts/{alert}")["doubts"] == []
    first = revise(seed, stream, 20, 3, Test.CONSISTENCY)
    last = revise(seed, stream, 10, 3, Test.CONSISTENCY | Test.STUCK)
    detail = api.ok(f"/sakata/alerts/{alert}")
    assert [doubt["kind"] for doubt in detail["doubts"]] == ["neighbours", "stuck"]
    doubt = detail["doubts"][0]
    assert doubt["label"] == {
        "ja": "近くのより低い場所のセンサーが水を検知していません",
        "en": "Sensors nearby that lie lower detect no water",
    }
    stamps = [f"{t:%Y-%m-%dT%H:%M:%S}" for t in (first, last)]
    assert [doubt["first"][:19], doubt["last"][:19]] == stamps
    [item] = api.ok("/sakata/alerts")["items"]
    assert item["doubts"] == detail["doubts"] == shown(api)["doubts"]
    assert (shown(api)["state"], item["state"], item["level"]) == ("alert", "open", 2)


def test_only_the_newest_word_of_the_street_within_the_alert_counts(api, seed, stream):
    alert = seed.alert(stream, onset=ago(minutes=30), clear=ago(minutes=10))
    revise(seed, stream, 40, 3, Test.LADDER)
    revise(seed, stream, 5, 3, Test.LADDER)
    revise(seed, stream, 20, 3, Test.ATTENUATED, source="quality")
    time = revise(seed, stream, 25, 3, Test.LADDER)
    assert [d["kind"] for d in api.ok(f"/sakata/alerts/{alert}")["doubts"]] == ["contact_ladder"]
    seed.execute(
        "insert into flag_revision (datastream_id, phenomenon_time, flag, evaluated, source)"
        " values (%s, %s, 1, %s, 'flood')", stream, time, int(Test.LADDER),
    )  # fmt: skip
    assert api.ok(f"/sakata/alerts/{alert}")["doubts"] == []


def test_a_doubt_reaches_the_browser_with_its_alert(api, seed, stream):
    alert = seed.alert(stream, onset=ago(minutes=30))
    with listening(api) as feed:
        feed.next("hello")
        revise(seed, stream, 20, 3, Test.STUCK)
        seed.notify(alerts=[alert])
        event = feed.next("alert")
    assert [doubt["kind"] for doubt in event["data"]["doubts"]] == ["stuck"]


def test_another_town_sees_no_doubt_of_ours(seed, stream, database_dsn):
    other = seed.add_town("tsuruoka")
    revise(seed, stream, 20, 3, Test.STUCK)
    with Database(database_dsn.api, name="test-other", answer_within_s=60) as database:
        for town, expected in ((seed.town, 1), (other, 0)):
            with database.transaction(tenant_id=town.tenant_id) as conn:
                found = conn.execute("select count(*) from tenant_flag_revision").fetchone()
                assert found == (expected,)
