"""The NATS server's configuration as text, a pure function of rows and settings.

Towns are accounts, so that one town's subjects, client ids and storage are nobody else's. A
device's message is mapped to a partition before permissions are checked, so the permission to
publish a reading is written on the mapped subject; a last will is checked on the subject as the
device wrote it. Anything else a device publishes is dropped by the server, which acknowledges it
all the same: `deploy.broker.violations` finds such cases in the server's log.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from deploy.broker.errors import BrokerConfigError
from deploy.broker.secrets import hash_for_config
from deploy.broker.settings import NatsSettings
from gateway.foreign_topic import ForeignTopic, subject
from gateway.operator_topics import parse_topics
from gateway.sparkplug.topic import NAMESPACE, STATE, SparkplugGroup
from store.broker_accounts import BrokerAccount, BrokerDevice
from store.operators import BrokerOperator

# What an account may store beyond its queue: sessions, retained states, subscriptions' positions.
HEADROOM_BYTES = 64 << 20
MAX_MEMORY_BYTES = 64 << 20
# The server's own 2 s cut off 1,971 of 2,000 devices that came back at once while other programs
# held the processor.
LOGIN_WITHIN_S = 30
# The server's own 5 s closed the connection of a device whose buffer a slow disk had not stored by
# then. The device sent all of it again, and so on: the queue grew and nothing was acknowledged.
STORED_WITHIN_S = 60
LOG_BYTES = 64 << 20
LOG_FILES = 4
# No town can be called so.
GUARD = "@no-town"

_TENANT = re.compile(r"[a-z][a-z0-9-]{0,30}")
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def admin_user(tenant_code: str) -> str:
    """Return the name of an account's administrator. No device can be called so."""
    return f"{tenant_code}/@admin"


def device_user(tenant_code: str, device_code: str) -> str:
    """Return the user name with which a device connects."""
    return f"{tenant_code}/{device_code}"


def operator_user(tenant_code: str, operator_code: str) -> str:
    """Return the user name with which an operator's server connects. No device can be called so."""
    return f"{tenant_code}/@{operator_code}"


def partition_mapping(account: BrokerAccount) -> tuple[str, str]:
    """Return the subjects of a town's readings as devices write them and as intakes read them."""
    town = account.tenant_code
    partition = f"{{{{partition({account.partitions},1)}}}}"
    return f"mz.v1.{town}.d.*.up", f"mz.v1.{town}.p.{partition}.d.{{{{wildcard(1)}}}}.up"


def store_limit(account: BrokerAccount) -> int:
    """Return the most an account may store, in bytes: its queue, and room for what steers it."""
    return account.queue_bytes + HEADROOM_BYTES


def fitting(accounts: Iterable[BrokerAccount], settings: NatsSettings) -> list[BrokerAccount]:
    """Return the accounts whose queues can fill before the store does, the oldest towns first."""
    fit, needed = [], 0
    for account in sorted(accounts, key=lambda a: a.tenant_id):
        if needed + store_limit(account) <= settings.store_bytes:
            needed += store_limit(account)
            fit.append(account)
    return fit


def render(
    accounts: Sequence[BrokerAccount],
    devices: Iterable[BrokerDevice],
    settings: NatsSettings,
    admitted: Collection[str],
    operators: Iterable[BrokerOperator] = (),
) -> str:
    """Write the server's configuration.

    Parameters
    ----------
    accounts
        One per town.
    devices
        Devices that have a secret, of any town.
    settings
        Section ``[nats]``.
    admitted
        Codes of the towns whose devices are let in: those whose intake sessions all exist. A
        message that no session wants is acknowledged and thrown away.
    operators
        Operators that publish under topics of their own, of any town.

    Returns
    -------
    str
        Text for ``nats-server --config``; equal for equal arguments in any order.

    Raises
    ------
    BrokerConfigError
        A code or a topic holds characters that are not allowed in one, no administrator's secret
        is set, or the disk would fill before the queues do: choose the accounts with `fitting`
        first.
    """
    admin_secret = settings.admin_password.get_secret_value()
    if not admin_secret:
        raise BrokerConfigError(
            "NATS has no administrator's password: set MIZUMORI_NATS__ADMIN_PASSWORD"
        )
    needed = sum(map(store_limit, accounts))
    if needed > settings.store_bytes:
        raise BrokerConfigError(
            f"The towns' queues may take {needed >> 20} MiB, more than the "
            f"{settings.store_bytes >> 20} MiB of the broker's store"
        )
    by_town: dict[str, list[BrokerDevice]] = defaultdict(list)
    for device in devices:
        by_town[device.tenant_code].append(device)
    servers: dict[str, list[BrokerOperator]] = defaultdict(list)
    for operator in operators:
        servers[operator.tenant_code].append(operator)
    lines = _server(settings)
    lines += ["accounts {", *_guard(admin_secret)]
    for account in sorted(accounts, key=lambda a: a.tenant_code):
        town = account.tenant_code
        open_to = by_town[town] if town in admitted else []
        guests = servers[town] if town in admitted else []
        lines += _account(
            account,
            sorted(open_to, key=lambda d: d.code),
            sorted(guests, key=lambda o: o.code),
            admin_secret,
        )
    lines.append("}")
    return "\n".join(lines) + "\n"


def _server(settings: NatsSettings) -> list[str]:
    sync = ", sync_interval: always" if settings.sync == "always" else ""
    jetstream = (
        f"store_dir: {_text(str(settings.store_dir))}, max_mem: {MAX_MEMORY_BYTES}, "
        f"max_file: {settings.store_bytes}{sync}"
    )
    mqtt = (
        f"listen: {_text(f'{settings.mqtt_host}:{settings.mqtt_port}')}, "
        f"ack_wait: {_text(f'{settings.ack_wait_s}s')}, "
        f"max_ack_pending: {settings.window_messages}, "
        f"js_api_timeout: {_text(f'{STORED_WITHIN_S}s')}, "
        f"authorization {{ timeout: {LOGIN_WITHIN_S} }}{_tls(settings)}"
    )
    lines = [
        "# Written by Mizumori from its database; changes made here are overwritten.",
        "server_name: mizumori",
        f"listen: {_text(f'{settings.client_host}:{settings.client_port}')}",
        f"http: {_text(f'127.0.0.1:{settings.monitor_port}')}",
        f"max_payload: {settings.max_payload_bytes}",
        "logtime_utc: true",
        f"jetstream {{ {jetstream} }}",
        f"mqtt {{ {mqtt} }}",
    ]
    if settings.log_file is not None:
        lines += [
            f"log_file: {_text(str(settings.log_file))}",
            f"log_size_limit: {LOG_BYTES}",
            f"log_max_num: {LOG_FILES}",
        ]
    return lines


def _guard(admin_secret: str) -> list[str]:
    """Return an account without a town, whose user nobody is.

    A server that knows no user at all lets everybody in, into an account of its own: before the
    first town is added, a device's readings would be acknowledged there and thrown away.
    """
    return [
        f"  {_text(GUARD)} {{",
        "    users [",
        _user(admin_user(GUARD), hash_for_config(admin_user(GUARD), admin_secret), "STANDARD"),
        "    ]",
        "  }",
    ]


def _tls(settings: NatsSettings) -> str:
    if settings.tls_cert is None:
        return ""
    return (
        f", tls {{ cert_file: {_text(str(settings.tls_cert))}, "
        f"key_file: {_text(str(settings.tls_key))} }}"
    )


def _account(
    account: BrokerAccount,
    devices: Iterable[BrokerDevice],
    operators: Sequence[BrokerOperator],
    admin_secret: str,
) -> list[str]:
    town = account.tenant_code
    if not _TENANT.fullmatch(town):
        raise BrokerConfigError(f"{town!r} cannot be a town's code at the broker")
    admin = admin_user(town)
    mappings = [partition_mapping(account)]
    mappings += [
        topics.subjects(town, account.partitions)
        for topics in map(_topics, operators)
        if isinstance(topics, ForeignTopic)
    ]
    return [
        f"  {_text(town)} {{",
        f"    jetstream {{ max_file: {store_limit(account)}, max_mem: 0 }}",
        "    mappings {",
        *(f"      {_text(source)}: {_text(target)}" for source, target in mappings),
        "    }",
        "    users [",
        _user(admin, hash_for_config(admin, admin_secret), "STANDARD"),
        _user(
            account.gateway_user,
            hash_for_config(account.gateway_user, account.gateway_password),
            "MQTT",
        ),
        *(_device(town, device) for device in devices),
        *(_operator(town, operator) for operator in operators),
        "    ]",
        "  }",
    ]


def _device(town: str, device: BrokerDevice) -> str:
    code = _code(device.code)
    publish = [
        f"mz.v1.{town}.p.*.d.{code}.up",
        # A device may send its first reading together with its CONNECT. The server parses that
        # one before it knows the account, hence unmapped; the stream maps it (account_admin.py).
        f"mz.v1.{town}.d.{code}.up",
        f"mz.v1.{town}.d.{code}.status",
    ]
    subscribe = [f"mz.v1.{town}.d.{code}.down"]
    allow = f", permissions {{ publish: {_list(publish)}, subscribe: {_list(subscribe)} }}"
    return _user(device_user(town, code), device.secret_hash, "MQTT", allow)


def _code(code: str) -> str:
    if not _DEVICE.fullmatch(code):
        raise BrokerConfigError(f"{code!r} cannot be a device's code at the broker")
    return code


def _operator(town: str, operator: BrokerOperator) -> str:
    if not _TENANT.fullmatch(operator.code):
        raise BrokerConfigError(f"{operator.code!r} cannot be an operator's name at the broker")
    topics = _topics(operator)
    denied: list[str] = []
    if isinstance(topics, SparkplugGroup):
        own = f"{subject(NAMESPACE)}.{topics.group}"
        publish = [f"{own}.>"]
        subscribe = _list([f"{own}.NCMD.>", f"{own}.DCMD.>", f"{subject(NAMESPACE)}.{STATE}.>"])
    else:
        # What it publishes under its own topics is a device's reading once it is mapped, and the
        # server looks at the permission after that. It speaks for devices of its codec, and for
        # those that the town does not know: what it says of these is to be seen in quarantine.
        publish, subscribe = [f"mz.v1.{town}.p.*.d.*.up"], '{ deny: [">"] }'
        denied = [f"mz.v1.{town}.p.*.d.{_code(code)}.up" for code in operator.not_for]
    may = f"{{ allow: {_list(publish)}, deny: {_list(denied)} }}"
    allow = f", permissions {{ publish: {may}, subscribe: {subscribe} }}"
    return _user(operator_user(town, operator.code), operator.secret_hash, "MQTT", allow)


def _topics(operator: BrokerOperator) -> ForeignTopic | SparkplugGroup:
    try:
        return parse_topics(operator.topic)
    except ValueError as error:
        raise BrokerConfigError(
            f"The operator {operator.code} cannot be let in: {error}"
        ) from error


def _user(name: str, password_hash: str, connection: str, more: str = "") -> str:
    return (
        f"      {{ user: {_text(name)}, password: {_text(password_hash)}, "
        f"allowed_connection_types: [{connection}]{more} }}"
    )


def _list(subjects: Iterable[str]) -> str:
    return "[" + ", ".join(_text(subject) for subject in subjects) + "]"


def _text(value: str) -> str:
    # The double-quoted string of the server's format has JSON's escapes for what can occur here.
    return json.dumps(value, ensure_ascii=False)
