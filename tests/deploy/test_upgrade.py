"""What an installation gets when a newer version begins on its database."""

from psycopg.conninfo import conninfo_to_dict

from deploy.compose_database import bring_up_schema
from deploy.settings import Settings
from store import rules, town_catalog
from store.database import Database
from store.town_catalog import NewTenant
from tests.fixtures.database import PASSWORD


def test_towns_get_the_default_rules_that_are_new_and_keep_their_own(database_dsn):
    roles = ("owner", "gateway", "jobs", "api")
    place = conninfo_to_dict(database_dsn.owner)
    dsn = f"postgresql://{place['host']}:{place['port']}/{place['dbname']}"
    settings = Settings(database={"dsn": dsn, **{f"{role}_password": PASSWORD for role in roles}})
    with Database(database_dsn.owner, name="test-owner") as database:
        with database.transaction() as conn:
            town = town_catalog.add_tenant(
                conn, NewTenant(code="kawabe", name_ja="川辺町", name_en="Kawabe")
            )
            rules.add_defaults(conn, town.tenant_id)
            # As a version left it that knew nothing of swings, and a person who changed a limit.
            conn.execute("delete from rule where code = 'pond-ph-swing'")
            conn.execute("update rule set params = params || '{\"noise\": 0.5}'"
                         " where code = 'pond-ph-high'")  # fmt: skip
        bring_up_schema(settings)
        bring_up_schema(settings)
        with database.transaction() as conn:
            found = {rule.code: rule for rule in rules.versions(conn, town.tenant_id)}
            [[count]] = conn.execute("select count(*) from rule").fetchall()
    assert count == len(found)
    assert found["pond-ph-swing"].enabled
    assert found["pond-ph-high"].params["noise"] == 0.5
