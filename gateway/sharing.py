"""One gateway among others: signs of life, and taking and giving up partitions."""

import structlog

from gateway.assignment import plan
from gateway.holdings import Holdings, now_s
from gateway.settings import BrokerSettings, GatewaySettings
from gateway.towns import layout
from store import broker_accounts, gateways, operators
from store.database import Database
from store.gateways import LEASE_S, Member
from store.intake_lease import take

log = structlog.get_logger(__name__)

# Longer than anything that is alive is silent.
_FOR_EVER_S = 10 * 365 * 86_400.0


class Sharing:
    """Keeps the holdings equal to this gateway's share.

    Parameters
    ----------
    database
        As the role `mizumori_gateway`.
    broker, settings
        Sections ``[broker]`` and ``[gateway]``.
    member
        This gateway.
    holdings
        What it holds.
    """

    def __init__(
        self,
        database: Database,
        broker: BrokerSettings,
        settings: GatewaySettings,
        member: Member,
        holdings: Holdings,
    ) -> None:
        self._database = database
        self._broker = broker
        self._settings = settings
        self._member = member
        self._holdings = holdings
        self._judge_from_s = 0.0

    def enter(self) -> None:
        """Join the others.

        Raises
        ------
        DatabaseAwayError
        """
        with self._database.transaction() as conn:
            gateways.enter(conn, self._member)

    def beat(self) -> None:
        """Say that we live, and hear what is still ours; from a thread that nothing holds up.

        Raises
        ------
        SupersededError
            Another process was started under our name.
        DatabaseAwayError
        """
        asked_s = now_s()
        with self._database.transaction() as conn:
            silent_s = gateways.beat(conn, self._member)
            epochs = gateways.held(conn, self._member.gateway_id)
        if silent_s > LEASE_S:
            # The database was away, or the machine slept: the others may have had no chance to
            # give a sign of life either. They get one before they are taken for dead.
            self._judge_from_s = now_s() + LEASE_S
        self._holdings.confirm(epochs, asked_s)

    def tell(self) -> None:
        """Write down how our intakes are.

        Raises
        ------
        psycopg.errors.LockNotAvailable
            See `store.gateways.see`.
        DatabaseAwayError
        """
        with self._database.transaction() as conn:
            gateways.see(conn, self._holdings.sights())

    def tend(self) -> bool:
        """Let go of what is beyond our share, and take what is free and below it.

        From the worker's thread, between two batches.

        Returns
        -------
        bool
            Whether something was taken: its detector state has to be loaded, then
            `Holdings.connect` begins to read.
        """
        holdings, me = self._holdings, self._member.gateway_id
        holdings.lose()
        holdings.left()
        patience_s = LEASE_S if now_s() >= self._judge_from_s else _FOR_EVER_S
        asked_s = now_s()
        with self._database.transaction() as conn:
            # What has disconnected, and what an outage kept us from hearing that we have it.
            idle = {
                unit: epoch
                for unit, epoch in gateways.held(conn, me).items()
                if not holdings.occupies(unit, epoch)
            }
            gateways.release(conn, idle)
            sessions = layout(
                broker_accounts.list_accounts(conn),
                operators.operators(conn),
                self._broker,
                self._settings,
            )
            alive, holders = gateways.share_out(conn, sessions.keys(), patience_s)
            ours = plan(me, alive, {unit: holders.get(unit) for unit in sessions})
            leases = take(conn, ours.take, self._member, patience_s) if ours.take else []
        holdings.give_up([*ours.give_up, *holdings.outdated(sessions)])
        for lease in leases:
            holdings.add(lease, sessions[lease.unit], asked_s=asked_s)
        if leases or ours.give_up:
            log.info(
                "partitions_shared",
                taken=[lease.unit for lease in leases],
                given_up=list(ours.give_up),
                gateways=len(alive),
            )
        return bool(leases)

    def leave(self, within_s: float) -> None:
        """Disconnect, and free everything for the others.

        Raises
        ------
        DatabaseAwayError
            They notice by themselves, after `LEASE_S`.
        """
        done = self._holdings.close(within_s)
        with self._database.transaction() as conn:
            gateways.release(conn, done)
            gateways.leave(conn, self._member.gateway_id)
