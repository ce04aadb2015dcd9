"""A town whose account is that of the test's broker."""

import pytest

from store import broker_accounts
from store.database import Database
from tests.gateway.conftest import BROKER
from tests.jobs.door import Place
from tests.store.conftest import add_town


@pytest.fixture
def jobs_database(database_dsn):
    with Database(database_dsn.jobs, name="test-jobs", max_size=8, answer_within_s=60) as database:
        yield database


@pytest.fixture
def owner(database_dsn):
    with Database(database_dsn.owner, name="test-owner", answer_within_s=60) as database:
        yield database


@pytest.fixture
def quiet_town(owner):
    """A town without a broker."""
    return add_town(owner, "kawabe")


@pytest.fixture
def broker(request):
    """NATS, or Mosquitto for those tests that do not handle NATS itself."""
    if BROKER != "nats" and "nats" in request.fixturenames:
        pytest.skip("it kills, changes or asks NATS")
    return request.getfixturevalue(BROKER)


@pytest.fixture
def kawabe(quiet_town, owner, broker):
    """The town of the running broker, with its account."""
    account = broker.account
    assert account.tenant_code == quiet_town.code
    with owner.transaction() as conn:
        broker_accounts.add_account(
            conn, type(account)(**{**vars_of(account), "tenant_id": quiet_town.tenant_id})
        )
    return quiet_town


def vars_of(account):
    return {name: getattr(account, name) for name in account.__slots__}


@pytest.fixture
def place(database_dsn):
    """A town with a gateway's way into the store and the settlement, without a broker."""
    made = Place(database_dsn)
    yield made
    made.close()
