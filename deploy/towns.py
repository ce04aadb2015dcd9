"""Adding a town, from its row to its account at the broker."""

import time

from deploy.compose_database import open_database
from deploy.settings import Settings
from deploy.writing import at_the_terminal
from store import audit, broker_accounts, rules, town_catalog
from store.errors import RefusedError
from store.town_catalog import NewTenant

ACCOUNT_WITHIN_S = 15.0
POLL_S = 0.1


def add_town(settings: Settings, town: NewTenant) -> tuple[int, bool]:
    """Add a town with the default rules and wait for its account at the broker.

    Returns
    -------
    tuple of int and bool
        The number of its rules, and whether the running system has made its account.

    Raises
    ------
    StoreError
        The database refuses or does not answer.
    """
    with open_database(settings, "owner", name="mizumori-cli") as database:
        with database.transaction() as connection:
            audit.write_as(connection, at_the_terminal())
            row = town_catalog.add_tenant(connection, town)
            made = len(rules.add_defaults(connection, row.tenant_id))
        deadline = time.monotonic() + ACCOUNT_WITHIN_S
        while time.monotonic() < deadline:
            with database.transaction() as connection:
                accounts = broker_accounts.list_accounts(connection)
            if any(account.tenant_code == town.code for account in accounts):
                return made, True
            time.sleep(POLL_S)
    return made, False


def find_town(settings: Settings, code: str) -> town_catalog.Tenant:
    """Return a town by its code.

    Raises
    ------
    RefusedError
        There is none; the message names those there are.
    """
    with (
        open_database(settings, "owner", name="mizumori-cli", max_size=1) as database,
        database.transaction() as connection,
    ):
        found = town_catalog.tenant(connection, code)
        if found is not None:
            return found
        known = ", ".join(town.code for town in town_catalog.tenants(connection)) or "none yet"
    raise RefusedError(f"There is no town {code}; known: {known}.")
