"""The ledger of alerts through the API."""

from datetime import datetime

import pytest

from store import journal
from tests.api.seed import ago
from tests.api.test_backtest import add_neighbours, commit


def test_an_open_alert_is_labelled_by_its_level_and_an_ended_one_by_its_peak(api, seed, stream):
    seed.alert(stream, level=2)
    seed.alert(stream, level=3, onset=ago(hours=3), clear=ago(hours=2))
    [is_open] = api.ok("/sakata/alerts")["items"]
    assert (is_open["state"], is_open["level"]) == ("open", 2)
    assert is_open["label"]["ja"] == "出動・通行止め判断"
    assert is_open["colour"] == "#ff9900"
    assert (is_open["device"], is_open["site"], is_open["unit"]) == ("f1", "ekimae", "m")
    assert is_open["rule_kind"] == "threshold"
    [ended] = api.ok("/sakata/alerts", state="ended")["items"]
    assert (ended["level"], ended["peak_level"], ended["state"]) == (0, 3, "ended")
    assert ended["label"] != is_open["label"]


def test_a_label_is_the_one_valid_at_the_onset(api, seed, stream):
    seed.execute(
        "insert into level_label values ('street', 2, %s, '新名', 'New name', '#123456', 'star')",
        ago(hours=1),
    )
    before = seed.alert(stream, onset=ago(hours=2))
    after = seed.alert(stream, onset=ago(minutes=5))
    labels = {a["id"]: a["label"]["en"] for a in api.ok("/sakata/alerts")["items"]}
    assert labels == {before: "Send the crew, decide on closing", after: "New name"}
    [transition] = api.ok(f"/sakata/alerts/{after}")["transitions"]
    assert transition["label"]["en"] == "New name"


@pytest.mark.parametrize(
    ("later", "awaits"),
    [([], True), ([float("nan")], True), ([1.0], False), ([0.0, 0.0], True)],
    ids=["nothing yet", "a missing value", "it stays", "it returns"],
)
def test_a_steep_step_at_level_four_is_unconfirmed_until_it_is_borne_out(
    api, seed, database_dsn, later, awaits
):
    add_neighbours(seed)
    commit(database_dsn.gateway, seed, seed.streams["f1", "depth_m"], [0.0] * 5 + [1.0, *later])
    [alert] = [one for one in api.ok("/sakata/alerts")["items"] if one["rule"] == "street-depth"]
    assert alert["level"] == 4
    assert alert["unconfirmed"] == (alert["onset"] if awaits else None)
    assert api.ok(f"/sakata/alerts/{alert['id']}")["unconfirmed"] == alert["unconfirmed"]


@pytest.mark.parametrize("later", [[0.16, 0.13], [0.16, 0.13, 0.3]], ids=["it returns", "it comes"])
def test_a_steep_step_out_of_a_flood_is_borne_out_by_a_depth_of_its_own_level(
    api, seed, database_dsn, later
):
    add_neighbours(seed)
    commit(database_dsn.gateway, seed, seed.streams["f1", "depth_m"], [0.12] * 4 + [0.83, *later])
    [alert] = [one for one in api.ok("/sakata/alerts")["items"] if one["rule"] == "street-depth"]
    [*_, step] = api.ok(f"/sakata/alerts/{alert['id']}")["transitions"]
    assert (alert["level"], step["from_level"], step["value"]) == (4, 2, 0.83)
    assert alert["unconfirmed"] == (None if later[-1] == 0.3 else step["time"])


def test_what_is_over_awaits_nothing(api, seed, stream):
    alert = seed.alert(stream, level=4, clear=ago(minutes=1), unconfirmed=True)
    assert api.ok(f"/sakata/alerts/{alert}")["unconfirmed"] is None
    standing = seed.alert(stream, level=4, onset=ago(seconds=30), unconfirmed=True)
    seed.readings(stream, [(ago(seconds=5), 9.99)], flag=4)  # a failed one says nothing either
    assert api.ok(f"/sakata/alerts/{standing}")["unconfirmed"] is not None


def test_transitions_stand_in_order_with_their_evidence(api, seed, stream):
    alert = seed.alert(stream, level=2, onset=ago(hours=1), clear=ago(minutes=10))
    body = api.ok(f"/sakata/alerts/{alert}")
    assert [(t["from_level"], t["to_level"]) for t in body["transitions"]] == [(0, 2), (2, 0)]
    assert body["transitions"][0]["evidence"] == {"readings": [[0, 0.21]]}


def test_what_late_readings_corrected_is_told_and_of_that_alert_alone(api, seed, stream):
    alert, other = seed.alert(stream, onset=ago(hours=5)), seed.alert(stream)
    revision = seed.one("select max(revision_id) from revision")
    onsets = [ago(hours=5), ago(hours=6)]
    with seed.database.transaction() as conn:
        journal.append(
            conn, seed.town.tenant_id, "raised", {"level": 2}, alert_id=alert, revision_id=revision
        )
        for onset in onsets:
            body = {"onset": onset.isoformat(), "clear": None, "level": 2}
            journal.append(
                conn, seed.town.tenant_id, "corrected", body, alert_id=alert, revision_id=revision
            )
    told = api.ok(f"/sakata/alerts/{alert}")["corrections"]
    assert [datetime.fromisoformat(one["onset"]) for one in told] == onsets
    assert [(one["clear"], one["level"]) for one in told] == [(None, 2)] * 2
    assert told[0]["said"]
    assert api.ok(f"/sakata/alerts/{other}")["corrections"] == []


def test_a_withdrawn_transition_and_alert_are_not_told_as_standing(api, seed, stream):
    alert = seed.alert(stream, withdrawn=True)
    assert api.ok("/sakata/alerts", state="all")["items"] == []
    body = api.ok(f"/sakata/alerts/{alert}")
    assert body["withdrawn"]
    assert body["state"] == "ended"
    seed.execute("update alert_transition set withdrawn_revision = revision_id")
    assert api.ok(f"/sakata/alerts/{alert}")["transitions"] == []


def test_pages_join_also_where_onsets_are_equal(api, seed, stream):
    onset = ago(hours=1)
    ids = [seed.alert(stream, onset=onset) for _ in range(5)]
    found, cursor = [], {}
    while cursor is not None:
        page = api.ok("/sakata/alerts", limit=2, **cursor)
        found += [item["id"] for item in page["items"]]
        cursor = {"cursor": page["next"]} if page["next"] else None
    assert found == ids[::-1]


@pytest.mark.parametrize(
    "cursor", ["x", "1-", "-1", "1-2-3", "1-99999999999999999999", "\uff11-\uff12"]
)
def test_a_made_up_cursor_is_refused_in_words(api, cursor):
    body = api.problem("/sakata/alerts", 422, "mistake-in-request", cursor=cursor)
    assert body["errors"][0]["field"] == "cursor"


def test_an_unknown_alert_is_a_problem(api):
    api.problem("/sakata/alerts/999999", 404, "unknown-alert")
