"""A broker that runs and does not answer any more."""

from contextlib import closing
from types import SimpleNamespace

import pytest
from psycopg.conninfo import conninfo_to_dict

from deploy.broker.errors import BrokerConfigError, BrokerUnreachableError
from deploy.broker.town_accounts import Renewal
from deploy.settings import Settings
from deploy.supervisor import broker_keeper
from deploy.supervisor.broker_keeper import RETRY_S, SILENT_S, BrokerKeeper
from tests.fixtures.database import PASSWORD


class Server:
    """A broker's process as its keeper sees it."""

    def __init__(self, folder):
        self.config_file = folder / "nats.conf"
        self.alive, self.ended = True, 0

    def reload(self):
        pass

    def end(self):
        self.ended += 1


class Accounts:
    """What the keeper brings up to date, at a broker that says this."""

    says: Exception | None = BrokerUnreachableError("NATS does not answer")

    def renew(self):
        if self.says is not None:
            raise self.says
        return Renewal()


@pytest.fixture
def kept(database_dsn, tmp_path, monkeypatch):
    """A keeper's server, accounts, what was said, and a function that renews for some seconds."""
    place = conninfo_to_dict(database_dsn.owner)
    dsn = f"postgresql://{place['host']}:{place['port']}/{place['dbname']}"
    server, said, now = Server(tmp_path), [], [0.0]
    monkeypatch.setattr(broker_keeper, "time", SimpleNamespace(monotonic=lambda: now[0]))
    settings = Settings(database={"dsn": dsn, "owner_password": PASSWORD})
    with closing(BrokerKeeper(settings, server, said.append)) as keeper:
        accounts = keeper._accounts = Accounts()

        def renew(seconds):
            for _ in range(int(seconds / RETRY_S)):
                now[0] += RETRY_S
                keeper.renew()

        yield server, accounts, said, renew


def test_a_broker_that_does_not_answer_any_more_is_started_again_once(kept):
    server, _, said, renew = kept
    renew(SILENT_S)
    assert server.ended == 0
    renew(2 * RETRY_S)
    assert server.ended == 1
    assert said == [
        "NATS does not answer",
        "The broker has not answered for 90 s: it is started again.",
    ]
    renew(SILENT_S)
    assert server.ended == 1


@pytest.mark.parametrize("says", [None, BrokerConfigError("it cannot be written")])
def test_a_broker_that_answered_in_between_is_left_alone(kept, says):
    server, accounts, _, renew = kept
    silence = accounts.says
    for answer in (silence, says) * 5:
        accounts.says = answer
        renew(SILENT_S / 2)
    assert server.ended == 0


def test_a_broker_that_does_not_run_is_not_silent(kept):
    server, _, _, renew = kept
    server.alive = False
    renew(3 * SILENT_S)
    server.alive = True
    renew(SILENT_S)
    assert server.ended == 0
