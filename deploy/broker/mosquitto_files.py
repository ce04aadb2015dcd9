"""Mosquitto's files, kept equal to the database's towns, devices and operators.

`mizumori broker-config FOLDER` calls `renew`; somebody else has Mosquitto read the files again. A
town's devices are let in only when its sessions exist, an operator when its own does: a message
that no session wants is acknowledged and thrown away, as by NATS. Who is in the access list has
been let in before.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.broker import mosquitto
from deploy.broker.account import new_account
from deploy.broker.errors import BrokerConfigError, BrokerError
from deploy.broker.file import write_if_changed
from deploy.broker.mqtt_client import MqttAddress, end_session, make_session
from deploy.broker.nats_config import device_user, operator_user
from deploy.broker.settings import NatsSettings
from gateway.operator_topics import parse_topics
from gateway.topics import status_filter, up_filter
from store import broker_accounts, config_channel, operators
from store.broker_accounts import BrokerAccount, BrokerDevice
from store.database import Database
from store.operators import BrokerOperator

CONFIG, ACL, PASSWORDS = "mosquitto.conf", "acl", "passwords"


@dataclass(frozen=True, slots=True)
class Renewal:
    """What `MosquittoFiles.renew` did.

    Attributes
    ----------
    changed
        Whether somebody must have Mosquitto read its files, and then call `renew` again.
    admitted
        Towns whose devices are let in.
    refused
        For each other town, or user of an operator, why not, in words.
    without_password
        Users that Mosquitto would let in if it knew their secret, which we do not.
    """

    changed: bool
    admitted: tuple[str, ...]
    refused: dict[str, str]
    without_password: tuple[str, ...]


@dataclass(frozen=True)
class MosquittoFiles:
    """The files of one Mosquitto.

    Parameters
    ----------
    database
        As the owner: accounts of new towns are added.
    settings
        Section ``[nats]``, whose window a new town gets.
    folder
        Holds the files, and what Mosquitto stores: its user must own it.
    mqtt
        Where the gateway connects.
    """

    database: Database
    settings: NatsSettings
    folder: Path
    mqtt: MqttAddress

    def renew(self, *, start: bool = False) -> Renewal:
        """Bring sessions and files up to date.

        Parameters
        ----------
        start
            Mosquitto has no sessions yet: let nobody but the gateway in for now.

        Raises
        ------
        BrokerConfigError
            The files cannot be read or written.
        """
        accounts, devices, servers = self._read()
        text = "" if start else self._text(ACL)
        known, let_in = mosquitto.users(text), mosquitto.let_in(text)
        refused: dict[str, str] = {}
        ready = [a for a in accounts if self._is_ready(a, devices, known, refused)]
        towns = {a.tenant_code: a for a in ready}
        devices = [d for d in devices if d.tenant_code in towns]
        servers = [
            one
            for one in servers
            if one.tenant_code in towns
            and self._is_kept(towns[one.tenant_code], one, let_in, refused)
        ]
        self._end_sessions(towns, let_in - {(one.tenant_code, one.operator_id) for one in servers})
        changed = self._write(ACL, mosquitto.acl(accounts, devices, servers))
        known_lines = mosquitto.password_lines(self._text(PASSWORDS))
        lines, missing = _passwords(known_lines, accounts, devices, servers)
        # In whatever order mosquitto_passwd left them; without the file Mosquitto does not start.
        if lines != known_lines or not (self.folder / PASSWORDS).exists():
            changed |= self._write(PASSWORDS, "".join(f"{line}\n" for line in lines.values()))
        if not (self.folder / CONFIG).exists():
            changed |= self._write(CONFIG, mosquitto.config(
                host=self.mqtt.host, port=self.mqtt.port, folder=self.folder.absolute(),
                window_messages=self.settings.window_messages,
            ))  # fmt: skip
        return Renewal(changed, tuple(sorted(towns)), refused, missing)

    def _read(self) -> tuple[list[BrokerAccount], list[BrokerDevice], list[BrokerOperator]]:
        with self.database.transaction() as conn:
            new = broker_accounts.towns_without_account(conn)
            for tenant_id, code in new:
                broker_accounts.add_account(conn, new_account(tenant_id, code, self.settings))
            if new:
                config_channel.notify(conn, "broker")
            return (
                broker_accounts.list_accounts(conn),
                broker_accounts.list_devices(conn),
                operators.at_broker(conn),
            )

    def _is_ready(
        self,
        account: BrokerAccount,
        devices: Iterable[BrokerDevice],
        known: Collection[str],
        refused: dict[str, str],
    ) -> bool:
        """Make a town's sessions, unless its devices have been let in before."""
        town = account.tenant_code
        if account.gateway_user not in known:
            refused[town] = "Mosquitto has to be told of its gateway first"
            return False
        if any(device_user(town, d.code) in known for d in devices if d.tenant_code == town):
            return True
        try:
            for client_id, topic_filter in (
                (account.intake_client_id(0), up_filter(town, None)),
                (account.status_client_id, status_filter(town)),
            ):
                make_session(self.mqtt, account, client_id, topic_filter)
        except BrokerError as error:
            refused[town] = str(error)
        return town not in refused

    def _is_kept(
        self,
        account: BrokerAccount,
        one: BrokerOperator,
        let_in: Collection[tuple[str, int]],
        refused: dict[str, str],
    ) -> bool:
        """Make the session in which an operator's messages wait, unless it was let in before."""
        user = operator_user(one.tenant_code, one.code)
        if (one.tenant_code, one.operator_id) not in let_in:
            client_id = account.relay_client_id(one.operator_id)
            try:
                make_session(self.mqtt, account, client_id, parse_topics(one.topic).filter)
            except BrokerError as error:
                refused[user] = str(error)
        return user not in refused

    def _end_sessions(
        self, towns: Mapping[str, BrokerAccount], gone: Iterable[tuple[str, int]]
    ) -> None:
        """End those of operators that are revoked: another one's messages would pile up in them."""
        for town, operator_id in gone:
            if town in towns:
                account = towns[town]
                end_session(self.mqtt, account, account.relay_client_id(operator_id))

    def _text(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise BrokerConfigError(f"{self.folder / name} cannot be read: {error}") from error

    def _write(self, name: str, text: str) -> bool:
        path = self.folder / name
        try:
            changed = write_if_changed(path, text)
            if os.geteuid() == 0:  # Mosquitto reads it as its own user
                owner = self.folder.stat()
                os.chown(path, owner.st_uid, owner.st_gid)
        except OSError as error:
            raise BrokerConfigError(
                f"{path} cannot be written: {error.strerror or error}. Make the folder first, and "
                "let Mosquitto's user own it."
            ) from error
        return changed


def _passwords(
    lines: Mapping[str, str],
    accounts: Iterable[BrokerAccount],
    devices: Iterable[BrokerDevice],
    servers: Iterable[BrokerOperator],
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the lines that the password file is to have, and whose is missing.

    Those of users that are no more are left out. The gateway's secret alone is known here.
    """
    kept = {}
    for account in accounts:
        user, secret = account.gateway_user, account.gateway_password
        line = lines.get(user, "")
        known = mosquitto.is_of(line, secret)
        kept[user] = line if known else mosquitto.password_line(user, secret)
    guests = [device_user(d.tenant_code, d.code) for d in devices]
    guests += [operator_user(one.tenant_code, one.code) for one in servers]
    kept |= {user: lines[user] for user in guests if user in lines}
    return kept, tuple(user for user in guests if user not in lines)
