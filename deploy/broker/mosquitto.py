"""Mosquitto instead of NATS: recommended settings, passwords and access list as text.

Mosquitto has no accounts and no partitions: one intake subscribes to ``mz/v1/{town}/d/+/up``,
and towns are kept apart by the access list alone. What it cannot promise is in docs/broker.md:
it tells devices that a message is safe before it is on the disk.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from deploy.broker.nats_config import device_user, operator_user
from gateway.operator_topics import parse_topics
from gateway.relay.host_state import host_id
from gateway.sparkplug.topic import NAMESPACE, STATE, SparkplugGroup
from store.broker_accounts import BrokerAccount, BrokerDevice
from store.operators import BrokerOperator

# mosquitto_passwd's own number of rounds; with 128-bit secrets it is not what protects them.
_ROUNDS = 101


def config(*, host: str, port: int, folder: Path, window_messages: int) -> str:
    """Write mosquitto.conf.

    Parameters
    ----------
    host, port
        Where devices and the gateway connect.
    folder
        Holds ``passwords``, ``acl`` and the stored sessions; must be Mosquitto's own.
    window_messages
        Messages the gateway may hold unacknowledged.
    """
    return f"""\
# Written by Mizumori, once. What this cannot promise is in docs/broker.md. To let devices of
# other machines in, change the listener's address and set TLS (certfile, keyfile).
per_listener_settings false
listener {port} {host}
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl

# Messages for a gateway that is away. The default keeps 1,000 and drops the rest without a word.
max_queued_messages 0
max_inflight_messages {window_messages}

# By default nothing is stored. This writes everything every ten seconds: what was acknowledged
# since is lost when the process is killed or the power fails.
persistence true
persistence_location {folder}/
autosave_interval 10
log_dest stderr
log_type error
log_type warning
log_type notice
"""


def acl(
    accounts: Iterable[BrokerAccount],
    devices: Iterable[BrokerDevice],
    operators: Sequence[BrokerOperator] = (),
) -> str:
    """Write the access list: who writes what, and who reads it.

    A device writes its own two topics and reads its own commands; an operator writes under its
    own topics, which the town's gateway reads.
    """
    lines: list[str] = []
    for account in sorted(accounts, key=lambda a: a.tenant_code):
        town = account.tenant_code
        lines += [f"user {account.gateway_user}", f"topic readwrite mz/v1/{town}/#"]
        own = [one for one in operators if one.tenant_code == town]
        for one in own:
            topics = parse_topics(one.topic)
            sparkplug = isinstance(topics, SparkplugGroup)
            lines.append(f"topic {'readwrite' if sparkplug else 'read'} {topics.filter}")
            if sparkplug:
                lines.append(f"topic write {NAMESPACE}/{STATE}/{host_id(town)}")
        lines.append("")
        for one in own:
            lines += [
                f"# operator {town} {one.operator_id}",
                f"user {operator_user(town, one.code)}",
                *_own_topics(one.topic),
                "",
            ]
    for device in sorted(devices, key=lambda d: (d.tenant_code, d.code)):
        base = f"mz/v1/{device.tenant_code}/d/{device.code}"
        lines += [
            f"user {device_user(device.tenant_code, device.code)}",
            f"topic write {base}/up",
            f"topic write {base}/status",
            f"topic read {base}/down",
            "",
        ]
    return "\n".join(lines)


def _own_topics(text: str) -> list[str]:
    topics = parse_topics(text)
    if isinstance(topics, SparkplugGroup):
        return [f"topic readwrite {topics.filter}", f"topic read {NAMESPACE}/{STATE}/+"]
    return [f"topic write {topics.filter}"]


def users(access_list: str) -> frozenset[str]:
    """Return the users that an access list names."""
    return frozenset(
        line.removeprefix("user ") for line in access_list.splitlines() if line.startswith("user ")
    )


def let_in(access_list: str) -> frozenset[tuple[str, int]]:
    """Return the operators of an access list: town and number."""
    lines = [line.split() for line in access_list.splitlines() if line.startswith("# operator ")]
    return frozenset((line[2], int(line[3])) for line in lines)


def passwords(secret_of_user: Mapping[str, str]) -> str:
    """Write a password file from secrets in the clear.

    Mosquitto knows no bcrypt, and bcrypt is all that the database keeps: the line of a device can
    only be written when its secret is made.
    """
    return "".join(f"{password_line(*one)}\n" for one in sorted(secret_of_user.items()))


def password_lines(password_file: str) -> dict[str, str]:
    """Return the line of each user in a password file."""
    lines = [line.strip() for line in password_file.splitlines()]
    return {line.partition(":")[0]: line for line in lines if ":" in line}


def password_line(user: str, secret: str) -> str:
    """Return the line of a user."""
    return f"{user}:{_pbkdf2(secret, secrets.token_bytes(12), _ROUNDS)}"


def is_of(line: str, secret: str) -> bool:
    """Tell whether a line of the password file is of this secret."""
    try:
        _, number, rounds, salt, _ = line.partition(":")[2].split("$")
        known = _pbkdf2(secret, base64.b64decode(salt, validate=True), int(rounds))
    except ValueError:
        return False
    return number == "7" and line.endswith(f":{known}")


def _pbkdf2(secret: str, salt: bytes, rounds: int) -> str:
    digest = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, rounds)
    return f"$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
