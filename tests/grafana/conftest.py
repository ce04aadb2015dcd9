"""Two towns with readings, alerts and plows in a real database, and a role pinned to each."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from deploy.demo.device_secrets import DeviceSecrets
from deploy.demo.enrolment import enrol
from deploy.demo.provision import enrolled
from firmware_sim.plan import demo_plan
from store import datastream_catalog, device_catalog, town_catalog, town_roles
from store.database import Database

PASSWORD = "pinned-for-tests"
NOW = datetime.now(UTC).replace(microsecond=0)
TOWNS = ("kawabe", "yamabe")


@dataclass(frozen=True)
class Town:
    tenant: town_catalog.Tenant
    devices: dict[str, int]
    streams: dict[tuple[str, str], int]
    dsn: str  # of the role that is pinned to it

    def rows(self, sql, parameters=None):
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            return conn.execute(sql, parameters).fetchall()


@pytest.fixture
def owner(database_dsn):
    with Database(database_dsn.owner, name="test-owner", answer_within_s=60) as database:
        yield database


@pytest.fixture
def towns(owner, database_dsn, tmp_path):
    made = [_town(owner, database_dsn, code, DeviceSecrets(tmp_path / "s.json")) for code in TOWNS]
    yield {town.tenant.code: town for town in made}
    # Roles belong to the server, not to the test's database.
    with owner.transaction() as conn:
        for code in TOWNS:
            conn.execute(f'drop role "{town_roles.role_name(code)}"')


def _town(owner, database_dsn, code, secrets):
    town = enrolled(demo_plan())
    enrol(owner, replace(town, tenant={**town.tenant, "code": code}), secrets)
    with owner.transaction() as conn:
        tenant = town_catalog.tenant(conn, code)
        devices = {d.code: d.device_id for d in device_catalog.devices(conn, tenant.tenant_id)}
        codes = {number: name for name, number in devices.items()}
        streams = {
            (codes[s.device_id], s.property): s.datastream_id
            for s in datastream_catalog.datastreams(conn, tenant.tenant_id)
        }
        role = town_roles.pin_role(conn, tenant, PASSWORD)
        _fill(conn, tenant.tenant_id, devices, streams)
    return Town(
        tenant, devices, streams, make_conninfo(database_dsn.owner, user=role, password=PASSWORD)
    )


def _fill(conn, tenant_id, devices, streams):
    """Two hours of a rise at flood-01, a pond's day, two plows; flood-02 and -03 are silent."""
    conn.execute("update link_state set state = 'online' where tenant_id = %s", (tenant_id,))
    conn.execute(
        "update link_state set state = 'silent' where device_id = any(%s)",
        ([devices["flood-02"], devices["flood-03"]],),
    )
    readings = [
        (("flood-01", "depth_m"), lambda n: n / 1000),
        (("flood-03", "depth_m"), lambda _: 0.0),
        (("flood-11", "stage_m"), lambda n: 0.4 + n / 100),
        (("flood-01", "battery_v"), lambda _: 3.6),
        (("pond-01", "dissolved_oxygen_mg_l"), lambda n: 8 - n / 40),
        (("pond-01", "water_temp_c"), lambda n: 12 + n / 100),
        (("pond-01", "ph"), lambda n: 7.5 + n / 500),
    ]
    for key, value in readings:
        rows = [
            (NOW - timedelta(minutes=120 - n), NOW, value(n), streams[key], 1) for n in range(121)
        ]
        # A reading that failed its quality tests, and one that is missing, must not be drawn.
        rows[60] = (*rows[60][:2], 99.0, streams[key], 4)
        rows[61] = (*rows[61][:2], float("nan"), streams[key], 9)
        with conn.cursor() as cursor:
            cursor.executemany(
                "insert into observation (phenomenon_time, received_time, value, datastream_id,"
                " flag) values (%s, %s, %s, %s, %s)",
                rows,
            )
        conn.execute(
            "insert into latest (datastream_id, tenant_id, phenomenon_time, received_time, value,"
            " flag) values (%s, %s, %s, %s, %s, 1)",
            (streams[key], tenant_id, NOW, NOW, value(120)),
        )
    conn.execute(
        "insert into rollup_hour values (%s, date_trunc('hour', %s::timestamptz), 60, 0, 5.5, 8, 7,"
        " 6)",
        (streams["pond-01", "dissolved_oxygen_mg_l"], NOW - timedelta(hours=1)),
    )
    for number, code in enumerate(("plow-01", "plow-02")):
        with conn.cursor() as cursor:
            cursor.executemany(
                "insert into position (phenomenon_time, received_time, lat, lon, device_id,"
                " speed_kmh, course_deg, blade, flag) values (%s, %s, 38.9, 139.9, %s, %s, 90, %s,"
                " 1)",
                [
                    (NOW - timedelta(seconds=5 * n), NOW, devices[code], 20.0, number == 0)
                    for n in range(361)
                ],
            )
        conn.execute(
            "insert into latest_position values (%s, %s, %s, %s, 38.9, 139.9, 20, 90, %s, 1, 0)",
            (devices[code], tenant_id, NOW, NOW, number == 0),
        )
    _alerts(conn, tenant_id, streams)


def _alerts(conn, tenant_id, streams):
    [[revision]] = conn.execute(
        "insert into revision (tenant_id, reason) values (%s, 'live') returning revision_id",
        (tenant_id,),
    ).fetchall()
    rows = [
        (streams["flood-01", "depth_m"], "street-depth", NOW - timedelta(minutes=20), None, 2),
        (streams["flood-03", "depth_m"], "street-depth", NOW - timedelta(minutes=90), NOW, 1),
        (streams["pond-01", "dissolved_oxygen_mg_l"], "pond-oxygen-low", NOW, None, 1),
    ]
    for stream, rule, onset, clear, level in rows:
        [[alert]] = conn.execute(
            "insert into alert (tenant_id, datastream_id, rule_code, rule_version, onset_time,"
            " clear_time, level, peak_level, peak_value, revision_id)"
            " values (%s, %s, %s, 1, %s, %s, %s, %s, 0.12, %s) returning alert_id",
            (tenant_id, stream, rule, onset, clear, 0 if clear else level, level, revision),
        ).fetchall()
        conn.execute(
            "insert into alert_transition (alert_id, phenomenon_time, from_level, to_level, value,"
            " rule_version, evidence, revision_id) values (%s, %s, 0, %s, 0.12, 1, %s, %s)",
            (alert, onset, level, Jsonb({}), revision),
        )
