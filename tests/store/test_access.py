"""A city sees only its own, and nobody reads a secret who need not."""

from datetime import timedelta

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from store import audit, journal, provisioning_tokens
from store.database import Database
from tests.fixtures.database import PASSWORD
from tests.store.conftest import add_town
from tests.store.write import write_outbox, write_readings

SECRET = [
    "broker_account",
    "probe_seen",
    "provisioning_token",
    "audit",
    "replay_request",
    "outbox",
    "detector_state",
    "observation",
    "position",
    "rollup_hour",
    "rollup_dirty",
    "review_due",
    "alert_transition",
    "intake",
    "gateway",
    "flag_revision",
    "reviewed_flag",
    "reading_sequence",
]
# What belongs to no town, or is said of every town on purpose.
SHARED = {"town_directory", "town_listening", "level_label", "schema_version", "town_role"}


@pytest.fixture
def two_towns(roles):
    """Two towns, each with a row in everything that a town can have."""
    towns = [add_town(roles.owner, code) for code in ("alpha", "beta")]
    for town in towns:
        with roles.owner.transaction() as conn:
            [[stream, device]] = conn.execute(
                "select datastream_id, device_id from datastream"
                " where tenant_id = %s and property = 'depth_m'",
                (town.tenant_id,),
            ).fetchall()
        write_readings(roles.gateway, stream, town, [(journal_time, 1.0) for journal_time in TIMES])
        with roles.owner.transaction() as conn:
            write_outbox(conn, town, "t", {})
            journal.append(conn, town.tenant_id, "note", {})
            row = {"tenant": town.tenant_id, "stream": stream, "device": device}
            for statement in ROWS:
                conn.execute(statement, row)
    return towns


TIMES = ["2026-03-01T07:00Z", "2026-03-01T07:10Z"]
ROWS = [
    "insert into probe_seen (nonce, tenant_id) values (%(tenant)s::text, %(tenant)s)",
    "insert into rollup_hour values (%(stream)s, '2026-03-01T07:00Z', 2, 0, 1, 1, 1, 1)",
    (
        "insert into position (phenomenon_time, received_time, lat, lon, device_id, flag)"
        " values ('2026-03-01T07:00Z', now(), 38, 140, %(device)s, 1)"
    ),
    (
        "insert into latest_position (device_id, tenant_id, phenomenon_time, received_time, lat,"
        " lon, flag) values (%(device)s, %(tenant)s, now(), now(), 38, 140, 1)"
    ),
    (
        "insert into conflict (tenant_id, datastream_id, phenomenon_time, received_time, value,"
        " payload_hash) values (%(tenant)s, %(stream)s, now(), now(), 1, '\\x00')"
    ),
    (
        "insert into position_conflict (tenant_id, device_id, phenomenon_time, received_time, lat,"
        " lon, marks, payload_hash) values (%(tenant)s, %(device)s, now(), now(), 38, 140, 0,"
        " '\\x00')"
    ),
    (
        "insert into quarantine (tenant_id, received_time, topic, payload, reason)"
        " values (%(tenant)s, now(), 't', '', 'r')"
    ),
    (
        "insert into device_clock (device_id, tenant_id, last_at) values (%(device)s, %(tenant)s,"
        " now())"
    ),
    "insert into quarantine_overflow values (%(tenant)s, 'c', now(), 'r', 1)",
    (
        "insert into clock_lead (device_id, tenant_id, window_at, lead_s)"
        " values (%(device)s, %(tenant)s, now(), 0)"
    ),
    "insert into device_router values (%(device)s, %(tenant)s, 'roof', now())",
    (
        "insert into router_outage (tenant_id, router, since, told_at)"
        " values (%(tenant)s, 'roof', now(), now())"
    ),
    (
        "insert into flag_revision (datastream_id, phenomenon_time, flag, evaluated)"
        " values (%(stream)s, '2026-03-01T07:00Z', 3, 1)"
    ),
    (
        "with r as (insert into revision (tenant_id, reason) values (%(tenant)s, 'live')"
        " returning revision_id), a as (insert into alert (tenant_id, datastream_id, rule_code,"
        " rule_version, onset_time, level, peak_level, revision_id) select %(tenant)s, %(stream)s,"
        " 'c', 1, now(), 1, 1, revision_id from r returning alert_id, revision_id)"
        " insert into alert_transition (alert_id, phenomenon_time, from_level, to_level,"
        " rule_version, evidence, revision_id)"
        " select alert_id, now(), 0, 1, 1, '{}', revision_id from a"
    ),
]


def readable(conn):
    """Every table and view of which the role may read a column."""
    rows = conn.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace"
        " and relkind in ('r', 'p', 'v') and has_any_column_privilege(oid, 'select')"
    ).fetchall()
    return {name for (name,) in rows}


def visible_codes(conn, name):
    """The towns that the rows of a table or view belong to, as the role sees them."""
    columns = {
        c for (c,) in conn.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0", (name,)
        )
    }  # fmt: skip
    for key, owners in (
        ("tenant_id", "select {t}.tenant_id from {t}"),
        ("datastream_id", "select d.tenant_id from {t} join datastream d using (datastream_id)"),
        ("device_id", "select d.tenant_id from {t} join device d using (device_id)"),
        ("alert_id", "select a.tenant_id from {t} join alert a using (alert_id)"),
    ):
        if key in columns:
            statement = sql.SQL(owners).format(t=sql.Identifier(name))
            # An owner who cannot be found among the visible ones would be a foreign one.
            counted = conn.execute(
                sql.SQL("select count(*) from {}").format(sql.Identifier(name))
            ).fetchone()
            found = conn.execute(statement).fetchall()
            assert len(found) == counted[0], name
            return {tenant for (tenant,) in found}
    raise AssertionError(f"{name} does not say whose its rows are")


def check_one_town(conn, town):
    names = readable(conn) - SHARED
    assert len(names) >= 15
    for name in names:
        assert visible_codes(conn, name) == {town.tenant_id}, name


def test_api_sees_one_town_in_every_table_and_view(roles, two_towns):
    for town in two_towns:
        with roles.api.transaction(town.tenant_id) as conn:
            check_one_town(conn, town)


def test_api_sees_no_town_unless_it_says_which(roles, two_towns):
    with roles.api.transaction(two_towns[0].tenant_id) as conn:
        assert conn.execute("select count(*) from device").fetchone() == (3,)
    with roles.api.transaction() as conn:  # the same connection: the setting does not stay
        for name in readable(conn) - SHARED:
            table = sql.Identifier(name)
            counted = conn.execute(sql.SQL("select count(*) from {}").format(table)).fetchone()
            assert counted == (0,), name


@pytest.mark.parametrize("name", SECRET)
def test_api_cannot_read_base_tables_and_secrets(roles, two_towns, name):
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        roles.api.transaction(two_towns[0].tenant_id) as conn,
    ):
        conn.execute(sql.SQL("select 1 from {} limit 1").format(sql.Identifier(name)))


def test_api_cannot_read_a_chunk_or_partition(roles, two_towns):
    with roles.owner.transaction() as conn:
        chunks = conn.execute(
            "select inhrelid::regclass::text from pg_inherits"
            " where inhparent = 'observation'::regclass"
        ).fetchall()
    assert chunks
    for (chunk,) in chunks:
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            roles.api.transaction(two_towns[0].tenant_id) as conn,
        ):
            conn.execute(f"select * from {chunk}")


def test_api_cannot_read_the_hash_of_a_devices_secret(roles, two_towns):
    for column in ("secret_hash", "*"):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            roles.api.transaction(two_towns[0].tenant_id) as conn,
        ):
            conn.execute(f"select {column} from device")


def test_api_can_write_nothing_without_a_token(roles, two_towns):
    for statement in (
        "update device set learned = null",
        "update tenant set training = true",
        "insert into audit (tenant_id, action, subject, writer) values (1, 'a', 's', 'somebody')",
        *(
            statement.replace("TOWN", str(two_towns[0].tenant_id))
            for statement in WRITTEN_WITH_A_TOKEN
        ),
        "delete from journal",
        "insert into level_label values ('street', 1, now(), 'x', 'x', '#000000', 'x')",
        "select drop_readings_before(now())",
    ):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            roles.api.transaction(two_towns[0].tenant_id) as conn,
        ):
            conn.execute(statement)
    with roles.api.transaction(two_towns[0].tenant_id) as conn:
        # Of an update the row-level rules leave no row.
        assert conn.execute("update device set state = 'retired'").rowcount == 0
        assert conn.execute("update site set name_ja = 'x'").rowcount == 0


WRITTEN_WITH_A_TOKEN = (
    (
        "insert into site (tenant_id, code, kind, name_ja, name_en)"
        " values (TOWN, 'new', 'street', '', '')"
    ),
    (
        "insert into device (tenant_id, code, kind, name_ja, name_en, expected_interval_s)"
        " values (TOWN, 'new', 'plow', '', '', 5)"
    ),
    (
        "insert into datastream (tenant_id, device_id, property, unit)"
        " select TOWN, device_id, 'new', 'm' from device where tenant_id = TOWN limit 1"
    ),
    "insert into replay_request (tenant_id, device_code) values (TOWN, 'f1')",
    "insert into audit (tenant_id, action, subject) values (TOWN, 'device.add', 'f1')",
    (
        "insert into rule (tenant_id, code, version, kind, property, params, valid_from)"
        " values (TOWN, 'new', 1, 'threshold', 'depth_m', '{}', clock_timestamp())"
    ),
)


def test_with_a_token_the_api_writes_no_rule_for_the_past_or_another_town_s_device(
    roles, two_towns
):
    alpha, beta = two_towns
    token = provisioning_tokens.new_token()
    with roles.owner.transaction() as conn:
        provisioning_tokens.add(conn, alpha.tenant_id, "supplier", token, timedelta(days=7))
        places = [
            conn.execute(
                "select site_id, device_id from device where code = 'f1' and tenant_id = %s",
                (town.tenant_id,),
            ).fetchone()
            for town in (alpha, beta)
        ]
    (own_site, own_device), (other_site, other_device) = places
    statement = (
        "insert into rule (tenant_id, code, version, kind, property, params, site_id, device_id,"
        " valid_from) values (%s, 'n', %s, 'threshold', 'depth_m', '{}', %s, %s,"
        " clock_timestamp() - %s)"
    )
    soon, past = timedelta(0), timedelta(hours=1)
    with roles.api.transaction(alpha.tenant_id) as conn:
        assert provisioning_tokens.present(conn, token)
        for number, (site, device) in enumerate([(own_site, None), (None, own_device)], 1):
            conn.execute(statement, (alpha.tenant_id, number, site, device, soon))
        for site, device, ago in (
            (None, None, past), (other_site, None, soon), (None, other_device, soon),
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
                conn.execute(statement, (alpha.tenant_id, 9, site, device, ago))
        with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
            conn.execute("update rule set enabled = false")


def test_with_a_token_the_api_writes_its_town_and_no_other(roles, two_towns):
    alpha, beta = two_towns
    token = provisioning_tokens.new_token()
    with roles.owner.transaction() as conn:
        week = timedelta(days=7)
        provisioning_tokens.add(conn, alpha.tenant_id, "supplier", token, week)
    with roles.api.transaction(alpha.tenant_id) as conn:
        assert provisioning_tokens.present(conn, token) == "supplier"
        for statement in WRITTEN_WITH_A_TOKEN:
            assert conn.execute(statement.replace("TOWN", str(alpha.tenant_id))).rowcount == 1
        assert conn.execute("update device set state = 'maintenance'").rowcount == 4
    for statement in WRITTEN_WITH_A_TOKEN[:2] + WRITTEN_WITH_A_TOKEN[3:]:
        with roles.api.transaction(alpha.tenant_id) as conn:
            assert provisioning_tokens.present(conn, token)
            with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
                conn.execute(statement.replace("TOWN", str(beta.tenant_id)))
    with roles.api.transaction(beta.tenant_id) as conn:
        assert provisioning_tokens.present(conn, token) is None
    with roles.api.transaction(alpha.tenant_id) as conn:  # it does not stay on the connection
        assert conn.execute("update device set state = 'active'").rowcount == 0
    with roles.owner.transaction() as conn:
        entry, *_ = audit.entries(conn, alpha.tenant_id, "f1")
        assert (entry.writer, entry.by_token) == ("supplier", True)
        provisioning_tokens.revoke(conn, alpha.tenant_id, "supplier")
    with roles.api.transaction(alpha.tenant_id) as conn:
        assert provisioning_tokens.present(conn, token) is None


def test_an_expired_token_and_one_that_is_none_let_nobody_write(roles, two_towns):
    town, token = two_towns[0], provisioning_tokens.new_token()
    with roles.owner.transaction() as conn:
        gone = timedelta(seconds=-1)
        provisioning_tokens.add(conn, town.tenant_id, "late", token, gone)
    with roles.api.transaction(town.tenant_id) as conn:
        for wrong in (token, "", "mzt_", "水", "' or 1=1 --"):
            assert provisioning_tokens.present(conn, wrong) is None
            assert conn.execute("update device set state = 'retired'").rowcount == 0


def test_a_gateway_takes_a_newcomer_down_and_adds_no_device_that_is_believed(roles, two_towns):
    new = (
        "insert into device (tenant_id, code, kind, name_ja, name_en, expected_interval_s, state,"
        " learned) values (%s, 'new', 'plow', '', '', 5, %s, %s)"
    )
    town = two_towns[0].tenant_id
    for state, learned in (("active", "{}"), ("quarantined", None)):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            roles.gateway.transaction() as conn,
        ):
            conn.execute(new, (town, state, learned))
    with roles.gateway.transaction() as conn:
        assert conn.execute(new, (town, "quarantined", "{}")).rowcount == 1


def test_towns_own_role_is_pinned_to_it(roles, two_towns, database_dsn, postgres):
    alpha, beta = two_towns
    role = "mizumori_grafana_test_alpha"
    with psycopg.connect(postgres.dsn, autocommit=True) as conn:
        conn.execute(f"create role {role} login password '{PASSWORD}' in role mizumori_grafana")
    try:
        with roles.owner.transaction() as conn:
            conn.execute("insert into town_role values (%s, %s)", (role, alpha.tenant_id))
            conn.execute("insert into town_role values ('someone_else', %s)", (beta.tenant_id,))
        dsn = make_conninfo(database_dsn.owner, user=role, password=PASSWORD)
        with Database(dsn, name="grafana", answer_within_s=60) as grafana:
            with grafana.transaction() as conn:
                check_one_town(conn, alpha)
                assert conn.execute("select role_name from town_role").fetchall() == [(role,)]
            with grafana.transaction(beta.tenant_id) as conn:  # it sets the setting itself
                check_one_town(conn, alpha)
            for name in ("device", *SECRET):
                statement = sql.SQL("select * from {}").format(sql.Identifier(name))
                with (
                    pytest.raises(psycopg.errors.InsufficientPrivilege),
                    grafana.transaction() as conn,
                ):
                    conn.execute(statement)
    finally:
        with psycopg.connect(postgres.dsn, autocommit=True) as conn:
            conn.execute(f"drop role {role}")
