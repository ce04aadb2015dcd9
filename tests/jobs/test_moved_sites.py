"""A site whose elevation or position is corrected: its sensors are held against each other anew."""

import pytest

from detectors.flags import Test
from store import reviews
from tests.jobs.test_flood_review import Street, along, at


@pytest.fixture
def street(owner, jobs_database, quiet_town):
    return Street(owner, jobs_database, quiet_town)


@pytest.fixture
def doubted(street):
    """A wet sensor with an alert that stands, above two dry ones, 100 and 200 m away."""
    wet = street.sensor("wet", 0.0, 5.0)
    for one in (street.sensor("low-1", 100.0, 4.5), street.sensor("low-2", 200.0, 4.0)):
        street.write(one, along(0.0, range(40)))
    street.write(wet, along(0.0, range(10)) + along(0.12, range(10, 40)))
    street.execute(
        "with r as (insert into revision (tenant_id, reason) values (%s, 'live')"
        " returning tenant_id, revision_id)"
        " insert into alert (tenant_id, datastream_id, rule_code, rule_version, onset_time, level,"
        " peak_level, revision_id) select tenant_id, %s, 'street-depth', 1, %s, 2, 2, revision_id"
        " from r", street.town.tenant_id, wet, at(10),
    )  # fmt: skip
    street.review()
    street.review()  # its own marks come back once
    assert street.doubted(wet, Test.CONSISTENCY) == list(range(15, 40))
    assert waiting(street) == 0
    return wet


def waiting(street):
    with street.jobs.transaction() as conn:
        return reviews.waiting(conn, "flood")


def test_a_corrected_elevation_takes_a_doubt_back_and_gives_it_again(street, doubted):
    street.execute("update site set ground_m = 6.0 where code = 'low-1-site'")
    assert waiting(street) == 1
    street.review()
    assert street.doubted(doubted, Test.CONSISTENCY) == []
    street.execute("update site set ground_m = 4.5 where code = 'low-1-site'")
    street.review()
    assert street.doubted(doubted, Test.CONSISTENCY) == list(range(15, 40))


def test_what_says_nothing_of_where_a_site_lies_is_no_reason_to_look_again(street, doubted):
    street.execute("update site set ground_m = 4.5, close_at_m = 0.2 where code = 'low-1-site'")
    assert waiting(street) == 0
    street.execute("delete from alert")  # then a day is looked back on: nothing of that lies in it
    street.execute("update site set ground_m = null where code = 'low-1-site'")
    assert waiting(street) == 1
    street.review()
    assert street.doubted(doubted, Test.CONSISTENCY) == list(range(15, 40))
