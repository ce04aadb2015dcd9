"""Our database inside the embedded server: its owner, its name, its size."""

import psycopg
from psycopg import sql

from deploy.embedded.postgres import EmbeddedPostgres

NAME = "mizumori"
OWNER = "mizumori_owner"


def ensure_database(server: EmbeddedPostgres, owner_password: str) -> None:
    """Make the owner and the database if they are missing.

    Parameters
    ----------
    server
        Running.
    owner_password
        Password of mizumori_owner; it is set again each time, so that the remembered one holds.
    """
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        role = sql.Identifier(OWNER)
        known = connection.execute("select 1 from pg_roles where rolname = %s", [OWNER]).fetchone()
        if known is None:
            connection.execute(sql.SQL("create role {} login createrole").format(role))
        connection.execute(
            sql.SQL("alter role {} password {}").format(role, sql.Literal(owner_password))
        )
        made = connection.execute("select 1 from pg_database where datname = %s", [NAME]).fetchone()
        if made is None:
            connection.execute(
                sql.SQL("create database {} owner {}").format(sql.Identifier(NAME), role)
            )
