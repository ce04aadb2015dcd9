"""A device is let out of quarantine with what a person knows of its messages."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from deploy import waiting
from deploy.approval import ReadAs, approve_device
from deploy.compose_database import owner_transaction
from deploy.settings import Settings
from store import device_catalog, newcomers, town_catalog
from store.errors import RefusedError
from store.settings import DatabaseSettings
from store.town_catalog import NewTenant
from tests.fixtures.database import PASSWORD


@pytest.fixture
def settings(database_dsn, monkeypatch):
    monkeypatch.setattr(waiting, "ABSENT_FOR_S", 0.0)
    parts = conninfo_to_dict(database_dsn.owner)
    where = f"postgresql://{parts['host']}:{parts['port']}/{parts['dbname']}"
    return Settings(database=DatabaseSettings(dsn=where, owner_password=PASSWORD))


def test_codec_mapping_and_datastreams_are_said_at_once(settings):
    with owner_transaction(settings) as conn:
        new = NewTenant(code="kawabe", name_ja="川辺町", name_en="Kawabe")
        town = town_catalog.add_tenant(conn, new)
        town_catalog.set_tenant(conn, town.tenant_id, {"register_per_day": 1})
        assert newcomers.register(conn, town.tenant_id, "1A2B3C", newcomers.Learned("t"))

    def approve(*streams):
        read_as = ReadAs("json", ["depth=turbidity_ntu", "time=msg.time_s"])
        return approve_device(settings, town, "1A2B3C", {}, streams or None, read_as)

    with pytest.raises(RefusedError, match="no such datastream; it has battery_v, depth_m"):
        approve()
    outcome = approve(("turbidity_ntu", "NTU"))
    assert outcome.made == (("turbidity_ntu", "NTU"),)
    assert "come again when the jobs run" in outcome.sentence
    with owner_transaction(settings) as conn:
        device = device_catalog.device(conn, town.tenant_id, "1A2B3C")
    assert (device.state, device.codec) == ("active", "json")
    assert device.codec_params["map"]["depth"]["property"] == "turbidity_ntu"
