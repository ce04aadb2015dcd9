"""A town in a real database, as the store's tests need it."""

from dataclasses import dataclass

import pytest

from store import catalog, rules
from store.catalog import NewDevice, Tenant
from store.database import Database


@dataclass(frozen=True)
class Roles:
    """The four roles of one database."""

    owner: Database
    gateway: Database
    jobs: Database
    api: Database


@pytest.fixture
def roles(database_dsn):
    opened = {
        name: Database(getattr(database_dsn, name), name=f"test-{name}", max_size=4)
        for name in ("owner", "gateway", "jobs", "api")
    }
    yield Roles(**opened)
    for database in opened.values():
        database.close()


def add_town(database: Database, code: str) -> Tenant:
    """A town with a street, a pond, a flood sensor, a probe and a plow."""
    with database.transaction() as conn:
        town = catalog.add_tenant(conn, code=code, name_ja="水守町", name_en="Mizumori")
        catalog.add_site(
            conn, town.tenant_id, code="honcho", kind="street", name_ja="本町", name_en="Honcho",
            close_at_m=0.1, crew_minutes=20,
        )  # fmt: skip
        catalog.add_site(
            conn, town.tenant_id, code="pond-1", kind="pond", name_ja="一番池", name_en="Pond 1"
        )
        catalog.add_devices(
            conn,
            town.tenant_id,
            [
                NewDevice("f1", "flood_level", "冠水1", "Flood 1", 60, site="honcho"),
                NewDevice("p1", "pond_probe", "池1", "Pond 1", 600, site="pond-1"),
                NewDevice("plow-1", "plow", "除雪車1", "Plow 1", 5),
            ],
        )
        rules.add_defaults(conn, town.tenant_id)
    return town


@pytest.fixture
def town(roles):
    return add_town(roles.owner, "mizumori")


@pytest.fixture
def streams(roles, town):
    """Datastream ids of the town by (device code, property)."""
    with roles.owner.transaction() as conn:
        codes = {d.device_id: d.code for d in catalog.devices(conn, town.tenant_id)}
        return {
            (codes[s.device_id], s.property): s.datastream_id
            for s in catalog.datastreams(conn, town.tenant_id)
        }
