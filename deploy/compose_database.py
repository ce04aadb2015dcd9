"""Connections to the database, one a role, from the settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from psycopg.conninfo import make_conninfo

from deploy.settings import Settings, SettingsError
from store import rules, town_catalog
from store.database import Connection, Database
from store.migrate import Migrated, migrate
from store.roles import ensure_roles

Role = Literal["owner", "gateway", "jobs", "api"]
SERVICE_ROLES: tuple[Role, ...] = ("gateway", "jobs", "api")


def role_dsn(settings: Settings, role: Role) -> str:
    """Return the connection string of one of our roles.

    Raises
    ------
    SettingsError
        There is no database to connect to, or no password for the role.
    """
    if not settings.database.dsn:
        raise SettingsError(
            "There is no database yet: start the system with `make run` (or `mizumori up`) in "
            f"another terminal, which keeps {settings.embedded.data_dir}, or set database.dsn."
        )
    password = getattr(settings.database, f"{role}_password").get_secret_value()
    if not password:
        raise SettingsError(
            f"The database role mizumori_{role} has no password: set database.{role}_password, "
            f"best in the environment as MIZUMORI_DATABASE__{role.upper()}_PASSWORD."
        )
    return make_conninfo(settings.database.dsn, user=f"mizumori_{role}", password=password)


def open_database(settings: Settings, role: Role, *, name: str, max_size: int = 4) -> Database:
    """Open a pool for one of our roles; `name` is what the server shows for it."""
    return Database(role_dsn(settings, role), name=name, max_size=max_size)


@contextmanager
def owner_transaction(settings: Settings) -> Iterator[Connection]:
    """Open one transaction of the owner, as a command of the CLI needs it; all of it or nothing."""
    with (
        open_database(settings, "owner", name="mizumori-cli", max_size=1) as database,
        database.transaction() as connection,
    ):
        yield connection


def bring_up_schema(settings: Settings) -> Migrated:
    """Make the service roles with their passwords and the tables as this program needs them.

    Towns that are there already get the default rules that this version is the first to have.

    Raises
    ------
    StoreError
        The database does not answer, refuses, or belongs to another version.
    """
    owner = role_dsn(settings, "owner")
    passwords = {
        f"mizumori_{role}": secret
        for role in SERVICE_ROLES
        if (secret := getattr(settings.database, f"{role}_password").get_secret_value())
    }
    ensure_roles(owner, passwords)
    done = migrate(owner)
    with (
        open_database(settings, "owner", name="mizumori-migrate", max_size=1) as database,
        database.transaction() as conn,
    ):
        for town in town_catalog.tenants(conn):
            rules.add_defaults(conn, town.tenant_id)
    return done
