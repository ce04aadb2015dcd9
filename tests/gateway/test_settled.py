"""A real gateway goes on from what the settlement wrote."""

from jobs.settlement import Settlement
from store.database import Database
from tests.gateway.conftest import NOW_MS

COUNT = "select count(*) from observation"
OPEN = "select count(*) from alert where rule_code = 'street-depth' and clear_time is null"


def publish(device, minutes, depth):
    for minute in minutes:
        device.publish({"ts": NOW_MS + 60_000 * minute, "m": {"depth_m": depth}})


def test_a_flood_that_came_late_goes_on_live(town):
    town.start()
    device = town.device()
    publish(device, (60, 61, 62), 0.03)  # between 2.5 and 5 cm: dry, as far as one knows
    town.wait_for(COUNT, 3)
    publish(device, range(40, 43), 0.12)
    town.wait_for(COUNT, 6)
    town.wait_for("select count(*) from unsettled", 1)
    assert town.value("select count(*) from alert") == 0
    with Database(town.dsn.jobs, name="test-jobs", answer_within_s=60) as database:
        assert Settlement(database).drain() == 1
        assert town.value(OPEN) == 1
        assert town.value("select level from alert where rule_code = 'street-depth'") == 2
        before = town.value("select alert_id from alert where rule_code = 'street-depth'")
        publish(device, (63,), 0.22)
        town.wait_for("select level from alert where rule_code = 'street-depth'", 3)
        assert town.value("select alert_id from alert where rule_code = 'street-depth'") == before
        assert town.value("select count(*) from quarantine") == 0
        assert Settlement(database).drain() == 0
    kinds = town.rows("select kind from journal join alert using (alert_id)"
                      " where rule_code = 'street-depth' order by journal_id")  # fmt: skip
    assert [kind for (kind,) in kinds] == ["raised", "escalated"]
