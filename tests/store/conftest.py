"""A town in a real database, as the store's tests need it."""

from dataclasses import dataclass

import pytest

from store import datastream_catalog, device_catalog, rules, site_catalog, town_catalog
from store.database import Database
from store.device_catalog import NewDevice
from store.site_catalog import NewSite
from store.town_catalog import NewTenant, Tenant


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
        name: Database(
            getattr(database_dsn, name), name=f"test-{name}", max_size=4, answer_within_s=60
        )
        for name in ("owner", "gateway", "jobs", "api")
    }
    yield Roles(**opened)
    for database in opened.values():
        database.close()


def add_town(database: Database, code: str) -> Tenant:
    """A town with a street, a pond, a flood sensor, a probe and a plow."""
    with database.transaction() as conn:
        town = town_catalog.add_tenant(
            conn, NewTenant(code=code, name_ja="水守町", name_en="Mizumori")
        )
        site_catalog.add_site(
            conn,
            town.tenant_id,
            NewSite(
                code="honcho",
                kind="street",
                name_ja="本町",
                name_en="Honcho",
                close_at_m=0.1,
                crew_minutes=20,
            ),
        )
        site_catalog.add_site(
            conn,
            town.tenant_id,
            NewSite(code="pond-1", kind="pond", name_ja="一番池", name_en="Pond 1"),
        )
        device_catalog.add_devices(
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
        codes = {d.device_id: d.code for d in device_catalog.devices(conn, town.tenant_id)}
        return {
            (codes[s.device_id], s.property): s.datastream_id
            for s in datastream_catalog.datastreams(conn, town.tenant_id)
        }
