"""Operators: found by their token, named once in a town, and gone when they are revoked."""

import psycopg
import pytest

from store import operators, town_catalog
from store.errors import RefusedError
from store.operators import NewOperator


@pytest.fixture
def conn(database_dsn):
    with psycopg.connect(database_dsn.owner) as connection:
        yield connection


def town(conn, code="kawabe"):
    new = town_catalog.NewTenant(code=code, name_ja="川辺町", name_en="Kawabe")
    return town_catalog.add_tenant(conn, new).tenant_id


def operator(code, token, topic=None):
    secret_hash = "$2b$04$" if topic else None
    return NewOperator(code, "json", "", topic, operators.token_hash(token), secret_hash)


def test_a_token_finds_its_operator_until_it_is_revoked(conn):
    kawabe = town(conn)
    operators.add(conn, kawabe, operator("loranet", "one"))
    found = operators.by_token(conn, "one")
    assert (found.tenant_code, found.code, found.codec) == ("kawabe", "loranet", "json")
    assert operators.by_token(conn, "two") is None
    operators.revoke(conn, kawabe, "loranet")
    assert operators.by_token(conn, "one") is None
    assert operators.operators(conn, kawabe) == []
    with pytest.raises(RefusedError, match="no operator loranet"):
        operators.revoke(conn, kawabe, "loranet")
    # Its name is free again, its token is not.
    operators.add(conn, kawabe, operator("loranet", "three"))


def test_a_name_is_once_in_a_town(conn):
    for number, one in enumerate((town(conn), town(conn, "higashi"))):
        operators.add(conn, one, operator("loranet", f"token-{number}"))
    assert [o.tenant_code for o in operators.operators(conn)] == ["higashi", "kawabe"]
    with pytest.raises(RefusedError, match="already"):
        operators.add(conn, one, operator("loranet", "another"))


@pytest.mark.parametrize("code", ["admin", "gateway", "Upper", "a b", "", "x" * 32])
def test_names_that_an_operator_cannot_have(conn, code):
    with pytest.raises(RefusedError, match="cannot be an operator's name"):
        operators.add(conn, town(conn), operator(code, "one"))


def test_only_those_with_topics_are_at_the_broker(conn):
    kawabe = town(conn)
    operators.add(conn, kawabe, operator("pushes", "one"))
    operators.add(conn, kawabe, operator("speaks", "two", "tele/{device}/SENSOR"))
    assert [one.code for one in operators.at_broker(conn)] == ["speaks"]


def test_the_gateway_reads_operators_and_the_api_does_not(database_dsn):
    with psycopg.connect(database_dsn.owner) as connection:
        operators.add(connection, town(connection), operator("loranet", "one"))
    with psycopg.connect(database_dsn.gateway) as connection:
        assert operators.by_token(connection, "one") is not None
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            operators.revoke(connection, 1, "loranet")
    with (
        psycopg.connect(database_dsn.api) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        operators.by_token(connection, "one")
