"""The database roles: one a service, and a group for the towns' own."""

import time
from collections.abc import Mapping
from typing import Final

import psycopg
from psycopg import sql

from store.database import describe
from store.errors import DatabaseAwayError, RoleError

LOGIN_ROLES = ("mizumori_gateway", "mizumori_jobs", "mizumori_api")
GROUP_ROLES = ("mizumori_grafana",)
# Of another database on the same server, which no lock keeps away: roles belong to all of them.
ATTEMPTS: Final = 10


def ensure_roles(owner_dsn: str, passwords: Mapping[str, str]) -> None:
    """Make the service roles, or give the present ones these passwords.

    The connecting role owns the schema (`mizumori_owner`). Roles belong to the whole server,
    so that a second database on it shares them.

    Parameters
    ----------
    owner_dsn
        Connection string of a role with CREATEROLE.
    passwords
        By role name, for each of `LOGIN_ROLES`; an absent one keeps the password it has.

    Raises
    ------
    RoleError
        If the connecting role may not make roles, in words.
    DatabaseAwayError
        If the database does not answer.
    """
    try:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return _ensure(owner_dsn, passwords)
            except (
                psycopg.errors.InternalError_,  # "tuple concurrently updated"
                psycopg.errors.DuplicateObject,
                psycopg.errors.UniqueViolation,
            ):
                if attempt == ATTEMPTS:
                    raise
                time.sleep(0.05 * attempt)
    except psycopg.errors.InsufficientPrivilege as error:
        raise RoleError(
            f"The role of {describe(owner_dsn)} may not make or change database roles "
            f"({error.diag.message_primary}). Give it the right with "
            "'alter role ... createrole', or make the roles "
            f"{', '.join((*LOGIN_ROLES, *GROUP_ROLES))} as a superuser; see docs/database.md."
        ) from error
    except psycopg.OperationalError as error:
        raise DatabaseAwayError(
            f"{describe(owner_dsn)} does not answer: {str(error).strip()}"
        ) from error


def _ensure(owner_dsn: str, passwords: Mapping[str, str]) -> None:
    with psycopg.connect(owner_dsn) as conn:
        # Two programs that start together would otherwise both create the same role.
        conn.execute("select pg_advisory_xact_lock(hashtext('mizumori.roles'))")
        present = {str(name) for (name,) in conn.execute("select rolname from pg_roles")}
        for role in (*LOGIN_ROLES, *GROUP_ROLES):
            verb = sql.SQL("alter" if role in present else "create")
            rights = sql.SQL("nologin" if role in GROUP_ROLES else "login")
            statement = sql.SQL("{} role {} with {}").format(verb, sql.Identifier(role), rights)
            if role in passwords:
                statement += sql.SQL(" password {}").format(sql.Literal(passwords[role]))
            if role not in present or role in passwords:
                conn.execute(statement)
