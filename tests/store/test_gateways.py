"""How gateways join each other."""

from store import gateways
from store.database import Database
from store.gateways import Member


def test_one_that_did_not_hear_that_it_has_joined_joins_again(database_dsn):
    # The line breaks after the commit and before its answer: the gateway says it again.
    one, other = Member("first", "one"), Member("second", "other")
    with Database(database_dsn.gateway, name="test", answer_within_s=60) as database:
        for member in (one, other, one):
            with database.transaction() as conn:
                gateways.enter(conn, member)
        with database.transaction() as conn:
            alive = conn.execute("select gateway_id from gateway order by 1").fetchall()
    assert alive == [("first",), ("second",)]
