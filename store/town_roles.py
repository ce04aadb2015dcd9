"""A database role that sees one town for good, for what reads the database from outside."""

from psycopg import sql

from store import queries
from store.database import Connection
from store.town_catalog import Tenant

GROUP = "mizumori_grafana"
CONNECTIONS = 20
STATEMENT_TIMEOUT = "30s"  # a dashboard that asks for years must not hold the database

_SQL = queries.load("town_roles")


def role_name(tenant_code: str) -> str:
    """Return the name of a town's role."""
    return f"mizumori_town_{tenant_code}"


def pin_role(conn: Connection, tenant: Tenant, password: str) -> str:
    """Make a town's read-only role, or give the present one this password.

    Which town it sees is written in `town_role`, so that no setting of a session changes it.

    Parameters
    ----------
    conn
        As the owner, who may make roles.
    tenant, password
        The town, and the role's new password.

    Returns
    -------
    str
        The role's name.
    """
    role = role_name(tenant.code)
    name = sql.Identifier(role)
    [[present]] = conn.execute(_SQL["present"], {"role": role}).fetchall()
    if not present:
        conn.execute(sql.SQL("create role {} in role {}").format(name, sql.Identifier(GROUP)))
    conn.execute(
        sql.SQL("alter role {} with login connection limit {} password {}").format(
            name, sql.Literal(CONNECTIONS), sql.Literal(password)
        )
    )
    for setting, value in (
        ("default_transaction_read_only", "on"),
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("timezone", "UTC"),
    ):
        conn.execute(
            sql.SQL("alter role {} set {} = {}").format(
                name, sql.Identifier(setting), sql.Literal(value)
            )
        )
    conn.execute(_SQL["pin"], {"role": role, "tenant_id": tenant.tenant_id})
    return role
