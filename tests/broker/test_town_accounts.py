"""Accounts follow the database: a new town is prepared before its devices are let in."""

import signal

import psycopg
import pytest

from deploy.broker.account import new_account
from deploy.broker.account_admin import AccountAdmin
from deploy.broker.errors import BrokerUnreachableError
from deploy.broker.findings import Severity, examine
from deploy.broker.mqtt_client import make_session
from deploy.broker.probe import probe
from deploy.broker.secrets import hash_secret, new_secret
from deploy.broker.town_accounts import TownAccounts, is_prepared
from gateway.partition import partition_of
from store import broker_accounts, operators
from store.database import Database
from store.operators import NewOperator
from tests.broker.clients import Client, device, drain_all, gateway, intakes, up
from tests.fixtures.broker import TOWN, NatsServer, wait_until


@pytest.fixture
def owner(database_dsn):
    with Database(database_dsn.owner, name="test", answer_within_s=60) as database:
        yield database


@pytest.fixture
def server(tmp_path_factory):
    """A server without any town: its configuration comes from the database."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    yield server
    server.stop()


@pytest.fixture
def accounts(owner, server):
    return TownAccounts(
        owner, server.settings, server.config_path, server.mqtt, lambda: hang_up(server)
    )


def hang_up(server):
    server.process.send_signal(signal.SIGHUP)


def add_town(owner, code, devices=()):
    secrets = {}
    with owner.transaction() as conn:
        (tenant_id,) = conn.execute(
            "insert into tenant (code, name_ja, name_en) values (%s, %s, %s) returning tenant_id",
            (code, code, code),
        ).fetchone()
        for name in devices:
            secrets[code, name] = new_secret()
            conn.execute(
                "insert into device (tenant_id, code, kind, name_ja, name_en, expected_interval_s,"
                " secret_hash) values (%s, %s, 'flood_level', '', '', 60, %s)",
                (tenant_id, name, hash_secret(secrets[code, name])),
            )
    return secrets


def rows(owner, server):
    """Let the fixture's clients know the accounts that the database holds."""
    with owner.transaction() as conn:
        listed = broker_accounts.list_accounts(conn)
        server.accounts = {account.tenant_code: account for account in listed}
        server.admitted = set(server.accounts)
        return listed, broker_accounts.list_devices(conn)


def test_devices_are_let_in_when_all_sessions_exist_and_not_before(owner, server, accounts):
    server.secrets |= add_town(owner, TOWN, ["flood-01"])
    accounts.close_doors()
    rows(owner, server)
    server.start()
    early = Client(server, *server.credentials("flood-01")).open()
    assert early.code.is_failure, "the server started with closed doors"
    early.close()
    renewal = accounts.renew()
    assert (renewal.changed, renewal.admitted, renewal.refused) == (True, (TOWN,), {})
    assert is_prepared(server.account, server.settings)
    with device(server) as d:
        assert d.publish(up(), b"kept")
    with intakes(server) as opened:
        assert [m.payload for _, m in drain_all(opened, [b"kept"])] == [b"kept"]


def test_renewing_again_changes_nothing_and_disturbs_nobody(owner, server, accounts):
    server.secrets |= add_town(owner, TOWN, ["flood-01"])
    accounts.close_doors()
    rows(owner, server)
    server.start()
    accounts.renew()
    loaded = server.monitor("varz")["config_load_time"]
    with intakes(server) as opened, device(server) as d:
        assert accounts.renew().changed is False
        assert server.monitor("varz")["config_load_time"] == loaded
        server.secrets |= add_town(owner, "higashi", ["pond-01"])
        assert accounts.renew().admitted == ("higashi", TOWN)
        rows(owner, server)
        assert not d.disconnected
        assert not any(client.disconnected for client in opened.values())
        with device(server, "pond-01", "higashi") as other:
            assert other.publish(up("pond-01", "higashi"))


def test_a_store_that_was_lost_closes_the_doors_until_sessions_exist_again(owner, server, accounts):
    server.secrets |= add_town(owner, TOWN, ["flood-01"])
    accounts.close_doors()
    rows(owner, server)
    server.start()
    accounts.renew()
    with gateway(server, server.account.intake_client_id(1), clean=True):
        pass  # erased
    assert not is_prepared(server.account, server.settings)
    assert accounts.renew().admitted == (TOWN,)
    assert is_prepared(server.account, server.settings)


def test_a_town_that_cannot_be_prepared_stays_outside_with_its_reason(owner, server, accounts):
    server.secrets |= add_town(owner, TOWN, ["flood-01"])
    accounts.close_doors()
    rows(owner, server)
    server.start()
    wrong = TownAccounts(
        owner,
        server.settings,
        server.config_path,
        type(server.mqtt)("127.0.0.1", server.client_port),
        accounts.reload,
    )
    renewal = wrong.renew()
    assert renewal.admitted == ()
    assert TOWN in renewal.refused
    assert f"{TOWN}/flood-01" not in server.config_path.read_text()
    assert accounts.renew().admitted == (TOWN,)


def add_operator(owner, secret, topic="spBv1.0/ponds/#"):
    with owner.transaction() as conn:
        [(town,)] = conn.execute("select tenant_id from tenant").fetchall()
        operators.add(conn, town, NewOperator(
            "scada", "sparkplug-b", "", topic, operators.token_hash(secret), hash_secret(secret)
        ))  # fmt: skip
    return town


def relays(server):
    with AccountAdmin(server.settings, TOWN) as admin:
        return admin.subscriptions().count("spBv1//0.ponds.>")


def test_the_session_of_a_revoked_operator_is_ended_and_another_one_gets_its_own(
    owner, server, accounts
):
    add_town(owner, TOWN)
    accounts.close_doors()
    rows(owner, server)
    server.start()
    accounts.renew()
    town = add_operator(owner, "first")
    assert not accounts.renew().unfinished
    assert relays(server) == 1
    [account], _ = rows(owner, server)
    with owner.transaction() as conn:
        [first] = operators.at_broker(conn)
        operators.revoke(conn, town, "scada")
    add_operator(owner, "second")
    renewal = accounts.renew()
    assert (renewal.unfinished, renewal.refused) == (True, {})
    assert relays(server) == 1
    # A gateway that has not heard of it yet makes the session again: it is looked for once more.
    make_session(server.mqtt, account, account.relay_client_id(first.operator_id), first.topic)
    with owner.transaction() as conn:
        conn.execute("update operator set revoked_at = revoked_at - interval '1 hour'")
    assert accounts.renew().unfinished
    assert not accounts.renew().unfinished
    with owner.transaction() as conn:
        [second] = operators.at_broker(conn)
    with gateway(server, account.relay_client_id(second.operator_id)) as client:
        assert client.session_present
    with owner.transaction() as conn:
        operators.revoke(conn, town, "scada")
    accounts.renew()
    assert relays(server) == 0


def test_a_town_too_many_for_the_store_stays_outside_alone(owner, server, accounts):
    server.secrets |= add_town(owner, TOWN, ["flood-01"])
    accounts.close_doors()
    rows(owner, server)
    server.start()
    accounts.renew()
    add_town(owner, "higashi")
    with owner.transaction() as conn:
        broker_accounts.add_account(
            conn,
            new_account(
                broker_accounts.towns_without_account(conn)[0][0],
                "higashi",
                server.settings.model_copy(update={"queue_bytes": server.settings.store_bytes}),
            ),
        )
    renewal = accounts.renew()
    assert renewal.admitted == (TOWN,)
    assert "give the store more" in renewal.refused["higashi"]
    with device(server) as d:
        assert d.publish(up())


def test_a_server_of_somebody_else_is_asked_to_be_reloaded(owner, server, accounts):
    server.secrets |= add_town(owner, TOWN, ["flood-01"])
    accounts.close_doors()
    rows(owner, server)
    server.start()
    theirs = TownAccounts(owner, server.settings, server.config_path, server.mqtt, None)
    first = theirs.renew()
    assert first.reload_needed
    assert first.admitted == (TOWN,)
    server.reload()
    second = theirs.renew()
    assert not second.reload_needed
    assert not second.changed
    with device(server) as d:
        assert d.publish(up())


def test_a_broker_that_is_away_is_one_sentence(owner, accounts):
    add_town(owner, TOWN)
    accounts.close_doors()
    with pytest.raises(BrokerUnreachableError, match="Does it run"):
        accounts.renew()


def test_an_account_keeps_its_secrets(owner, server, accounts):
    add_town(owner, TOWN)
    accounts.close_doors()
    before, _ = rows(owner, server)
    accounts.close_doors()
    after, _ = rows(owner, server)
    assert before == after


def test_retired_devices_and_those_without_a_secret_may_not_connect(owner, server):
    add_town(owner, TOWN, ["a", "b", "c"])
    with owner.transaction() as conn:
        conn.execute("update device set state = 'retired' where code = 'a'")
        conn.execute("update device set secret_hash = null where code = 'b'")
    _, devices = rows(owner, server)
    assert [d.code for d in devices] == ["c"]


def test_a_probe_tells_which_partition_nobody_reads(owner, server, accounts, database_dsn):
    add_town(owner, TOWN)
    accounts.close_doors()
    rows(owner, server)
    server.start()
    accounts.renew()
    with intakes(server) as opened, psycopg.connect(database_dsn.owner, autocommit=True) as conn:
        # A gateway in a nutshell that does not read partition 2.
        def on_message(client, _data, message):
            nonce = message.payload.decode().split('"')[3]
            conn.execute(
                "insert into probe_seen (nonce, tenant_id) values (%s, %s)",
                (nonce, server.account.tenant_id),
            )
            client.ack(message.mid, message.qos)

        for n, client in opened.items():
            if n != 2:
                client.mqtt.on_message = on_message
        # On a busy machine the others, too, may take longer than that at first.
        wait_until(lambda: probe(server.account, server.mqtt, owner, timeout_s=1.5) == [2])
        *_, message = opened[2].received
        assert partition_of(message.topic.split("/")[-2], 4) == 2
        opened[2].mqtt.on_message = on_message
        assert probe(server.account, server.mqtt, owner, timeout_s=30) == []


def test_the_doctors_findings(owner, server, accounts):
    server.secrets |= add_town(owner, TOWN, ["flood-01"])
    accounts.close_doors()
    listed, devices = rows(owner, server)
    away = {f.code: f.severity for f in examine(listed, devices, server.settings)}
    assert away["unreachable"] is Severity.ALARM
    assert away["account"] is Severity.ALARM
    server.start()
    accounts.renew()
    found = {f.code: f.severity for f in examine(listed, devices, server.settings)}
    assert found.pop("unread") is Severity.WARNING
    assert found.pop("refused_login", Severity.WARNING) is Severity.WARNING
    found.pop("refused", None)
    assert found == {
        "version": Severity.GOOD,
        "sync": Severity.GOOD,
        "queue": Severity.GOOD,
    }
    with gateway(server, server.account.intake_client_id(0), clean=True):
        pass
    with device(server) as d:
        assert d.publish(f"mz/v1/{TOWN}/d/somebody/up")

    def named():  # while a client goes, the server does not know for a moment who it was
        found = examine(listed, devices, server.settings)
        return any("kawabe/flood-01 published to" in f.sentence for f in found) and found

    findings = wait_until(named)
    bad = {f.code: f for f in findings if f.severity is Severity.ALARM}
    assert bad.keys() == {"session_absent", "refused_publish"}
    assert "kawabe/flood-01 published to" in bad["refused_publish"].sentence
    assert "partition 0" in bad["session_absent"].sentence
    assert not any(server.account.client_id_secret in f.sentence for f in findings)


def test_a_server_that_syncs_seldom_is_reported(owner, server):
    fast = server.settings.model_copy(update={"sync": "fast"})
    TownAccounts(owner, fast, server.config_path, server.mqtt).close_doors()
    server.start()
    assert {f.code: f.severity for f in examine([], [], fast)}["sync"] is Severity.WARNING
    wrong = {f.code: f.severity for f in examine([], [], server.settings)}
    assert wrong["sync"] is Severity.ALARM
