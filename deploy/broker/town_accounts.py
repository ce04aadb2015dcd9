"""Keeps the broker's accounts equal to the database's rows.

For the supervisor::

    accounts = TownAccounts(database, settings.nats, config_file, mqtt=..., reload=nats.reload)
    accounts.close_doors()   # before NATS starts on its store: no device is let in yet
    ...                      # start NATS
    accounts.renew()         # now, and after each `mizumori_config` of kind tenant, device, broker

`renew` may be called at any time and any number of times; it reads everything, so several
notifications that wait are one call. When it adopts a NATS server that already runs, it is called
alone. It makes missing accounts, sessions and limits, and lets a town's devices in only when all
of its intake sessions exist: a message that no session wants is acknowledged and thrown away.
With ``reload=None`` (a NATS server that somebody else starts) it stops where the server must read
the file, and says so in its answer.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from deploy.broker.account import new_account
from deploy.broker.account_admin import AccountAdmin
from deploy.broker.errors import (
    AccountUnknownError,
    BrokerConfigError,
    BrokerError,
    BrokerUnreachableError,
)
from deploy.broker.file import write_if_changed
from deploy.broker.monitor import Monitor
from deploy.broker.mqtt_client import MqttAddress, end_session, make_session
from deploy.broker.nats_config import fitting, operator_user, render, store_limit
from deploy.broker.settings import NatsSettings
from gateway.foreign_topic import subject
from gateway.operator_topics import needs_relay, parse_topics
from gateway.topics import status_filter, up_filter
from store import broker_accounts, operators
from store.broker_accounts import BrokerAccount, BrokerDevice
from store.database import Database
from store.operators import BrokerOperator

_RELOADED_WITHIN_S = 15.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Renewal:
    """What `TownAccounts.renew` did.

    Attributes
    ----------
    changed
        Whether the configuration file was written.
    admitted
        Towns whose devices are let in.
    refused
        For each other town, or user of an operator, why not, in words.
    reload_needed
        Whether somebody must have NATS read the file, and then call `renew` again.
    unfinished
        Whether to call `renew` again soon: a gateway may still be at what was ended.
    """

    changed: bool = False
    admitted: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    reload_needed: bool = False
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class _Guests:
    """Who may connect beside the gateway."""

    devices: list[BrokerDevice]
    operators: list[BrokerOperator]
    revoked: list[BrokerOperator]


@dataclass(frozen=True)
class TownAccounts:
    """The accounts of all towns at one NATS server.

    Parameters
    ----------
    database
        As the owner: accounts of new towns are added.
    settings
        Section ``[nats]``.
    config_file
        The file that NATS reads; its folder must exist.
    mqtt
        Where the gateway connects.
    reload
        Has NATS read the file again (SIGHUP); may return before it has. None: it is not ours.
    """

    database: Database
    settings: NatsSettings
    config_file: Path
    mqtt: MqttAddress
    reload: Callable[[], None] | None = None

    def close_doors(self) -> None:
        """Write the configuration without devices, for a server that is about to start.

        Its store may be a new one, which knows no sessions.
        """
        known, guests = self._read()
        self._write(fitting(known, self.settings), guests, ())

    def renew(self) -> Renewal:
        """Bring configuration, sessions and limits up to date.

        Raises
        ------
        BrokerUnreachableError
            NATS does not answer, or did not take the new configuration.
        BrokerConfigError
            The configuration cannot be written.
        """
        known, guests = self._read()
        accounts = fitting(known, self.settings)
        refused = {a.tenant_code: self._too_much(a) for a in known if a not in accounts}
        ready = [a for a in accounts if self._is_ready(a)]
        everybody = guests
        unfinished = self._end_sessions(everybody, ready)
        guests = self._with_sessions(everybody, ready, {})
        changed = self._write(accounts, guests, ready)
        if not self._is_current():
            if self.reload is None:
                return Renewal(changed, _codes(ready), refused, reload_needed=True)
            self._reload()
        for account in accounts:
            if account in ready:
                continue
            try:
                prepare(account, self.settings, self.mqtt)
            except BrokerError as error:
                refused[account.tenant_code] = str(error)
            else:
                ready.append(account)
        guests = self._with_sessions(everybody, ready, refused)
        if self._write(accounts, guests, ready):
            changed = True
            if self.reload is None:
                return Renewal(changed, _codes(ready), refused, reload_needed=True)
            self._reload()
        return Renewal(changed, _codes(ready), refused, unfinished=unfinished)

    def _read(self) -> tuple[list[BrokerAccount], "_Guests"]:
        with self.database.transaction() as conn:
            for tenant_id, code in broker_accounts.towns_without_account(conn):
                broker_accounts.add_account(conn, new_account(tenant_id, code, self.settings))
            guests = _Guests(
                broker_accounts.list_devices(conn),
                operators.at_broker(conn),
                operators.at_broker(conn, revoked=True),
            )
            return broker_accounts.list_accounts(conn), guests

    def _write(
        self,
        accounts: list[BrokerAccount],
        guests: "_Guests",
        ready: Collection[BrokerAccount],
    ) -> bool:
        text = render(accounts, guests.devices, self.settings, _codes(ready), guests.operators)
        try:
            return write_if_changed(self.config_file, text)
        except OSError as error:
            raise BrokerConfigError(
                f"{self.config_file} cannot be written: {error.strerror or error}"
            ) from error

    def _with_sessions(
        self, guests: "_Guests", ready: Collection[BrokerAccount], refused: dict[str, str]
    ) -> "_Guests":
        """Leave out the operators whose messages nobody would keep, and say why in `refused`."""
        accounts = {account.tenant_code: account for account in ready}
        let_in = []
        for one in guests.operators:
            account = accounts.get(one.tenant_code)
            if account is None:
                continue  # no operator of its town is let in
            try:
                if needs_relay(one.topic, "nats"):
                    prepare_relay(account, one, self.settings, self.mqtt)
            except BrokerError as error:
                refused[operator_user(one.tenant_code, one.code)] = str(error)
            else:
                let_in.append(one)
        return _Guests(guests.devices, let_in, guests.revoked)

    def _end_sessions(self, guests: "_Guests", ready: Iterable[BrokerAccount]) -> bool:
        """End the sessions of operators that are revoked; return whether to look again soon.

        Nobody reads them, and the messages of whoever gets the same topics would fill the queue. A
        gateway that has not heard of it yet makes one anew.
        """
        unfinished = False
        for account in ready:
            town = account.tenant_code
            gone = [
                one
                for one in guests.revoked
                if one.tenant_code == town and needs_relay(one.topic, "nats")
            ]
            if not gone:
                continue
            with AccountAdmin(self.settings, town) as admin:
                unread = Counter(admin.subscriptions())
            unread -= Counter(
                relay_subject(one) for one in guests.operators if one.tenant_code == town
            )
            for one in gone:
                if one.revoked_lately or unread[relay_subject(one)]:
                    end_session(self.mqtt, account, account.relay_client_id(one.operator_id))
                    unfinished = True
        return unfinished

    def _too_much(self, account: BrokerAccount) -> str:
        return (
            f"its queue may take {store_limit(account) >> 20} MiB, more than is left of the "
            f"{self.settings.store_bytes >> 20} MiB of the broker's store: give the store more "
            "(nats.store_bytes), or the town a smaller queue"
        )

    def _is_ready(self, account: BrokerAccount) -> bool:
        try:
            return is_prepared(account, self.settings)
        except AccountUnknownError:
            return False  # a town of which NATS has not been told yet

    def _is_current(self) -> bool:
        written_at = datetime.fromtimestamp(self.config_file.stat().st_mtime, UTC)
        return Monitor(self.settings.monitor_port).server().config_loaded_at > written_at

    def _reload(self) -> None:
        assert self.reload is not None
        self.reload()
        end = time.monotonic() + _RELOADED_WITHIN_S
        while not self._is_current():
            if time.monotonic() > end:
                raise BrokerUnreachableError(
                    f"NATS did not take the new configuration {self.config_file}; its log says "
                    "why. It goes on with the former one."
                )
            time.sleep(_POLL_S)


def _codes(accounts: Iterable[BrokerAccount]) -> tuple[str, ...]:
    return tuple(sorted(account.tenant_code for account in accounts))


def intake_filters(account: BrokerAccount) -> dict[int | None, str]:
    """Return what each of a town's sessions subscribes to; None is the one for states."""
    town = account.tenant_code
    filters: dict[int | None, str] = {n: up_filter(town, n) for n in range(account.partitions)}
    filters[None] = status_filter(town)
    return filters


def is_prepared(account: BrokerAccount, settings: NatsSettings) -> bool:
    """Tell whether all sessions of a town exist and its queue is limited.

    Raises
    ------
    AccountUnknownError, BrokerUnreachableError
        The account's administrator cannot ask.
    """
    with AccountAdmin(settings, account.tenant_code) as admin:
        present = {session.partition_no for session in admin.sessions()}
        return present >= intake_filters(account).keys() and admin.is_limited(account)


def relay_subject(operator: BrokerOperator) -> str:
    """Return what NATS makes of an operator's topics."""
    return subject(parse_topics(operator.topic).filter)


def prepare_relay(
    account: BrokerAccount, operator: BrokerOperator, settings: NatsSettings, mqtt: MqttAddress
) -> None:
    """Make the session in which an operator's messages wait to be handed on, if there is none.

    Raises
    ------
    BrokerError
        It could not be made.
    """
    with AccountAdmin(settings, account.tenant_code) as admin:
        if relay_subject(operator) in admin.subscriptions():
            return
    topic_filter = parse_topics(operator.topic).filter
    make_session(mqtt, account, account.relay_client_id(operator.operator_id), topic_filter)


def prepare(account: BrokerAccount, settings: NatsSettings, mqtt: MqttAddress) -> None:
    """Make the sessions of a town that do not exist, and limit its queue.

    Sessions that exist are left alone: an intake may be connected with them.

    Raises
    ------
    BrokerError
        What is missing could not be made.
    """
    with AccountAdmin(settings, account.tenant_code) as admin:
        present = {session.partition_no for session in admin.sessions()}
        for partition_no, topic_filter in intake_filters(account).items():
            if partition_no in present:
                continue
            client_id = (
                account.status_client_id
                if partition_no is None
                else account.intake_client_id(partition_no)
            )
            make_session(mqtt, account, client_id, topic_filter)
        admin.limit_queue(account)
