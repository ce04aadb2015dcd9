"""Adding a town, from its row to its account at the broker."""

from deploy.compose_database import owner_transaction
from deploy.settings import Settings
from deploy.waiting import NobodyError, wait_for
from deploy.writing import at_the_terminal
from store import audit, broker_accounts, programs, rules, town_catalog
from store.database import Connection
from store.errors import RefusedError
from store.town_catalog import NewTenant

ACCOUNT_WITHIN_S = 60.0


def add_town(settings: Settings, town: NewTenant) -> tuple[int, bool]:
    """Add a town with the default rules and wait for its account at the broker.

    Returns
    -------
    tuple of int and bool
        The number of its rules, and whether the running system has made its account. Mosquitto's
        is made by `mizumori broker-config`, and is not waited for.

    Raises
    ------
    StoreError
        The database refuses or does not answer.
    """
    with owner_transaction(settings) as connection:
        audit.write_as(connection, at_the_terminal())
        row = town_catalog.add_tenant(connection, town)
        made = len(rules.add_defaults(connection, row.tenant_id))
    if settings.broker.kind == "mosquitto":
        return made, False

    def account(connection: Connection) -> bool | None:
        accounts = broker_accounts.list_accounts(connection)
        return True if any(one.tenant_code == town.code for one in accounts) else None

    makers = {programs.UP, programs.BROKER}
    try:
        return made, wait_for(settings, account, ACCOUNT_WITHIN_S, makers) is not None
    except NobodyError:
        return made, False


def find_town(settings: Settings, code: str) -> town_catalog.Tenant:
    """Return a town by its code.

    Raises
    ------
    RefusedError
        There is none; the message names those there are.
    """
    with owner_transaction(settings) as connection:
        found = town_catalog.tenant(connection, code)
        if found is not None:
            return found
        known = ", ".join(town.code for town in town_catalog.tenants(connection)) or "none yet"
    raise RefusedError(f"There is no town {code}; known: {known}.")
