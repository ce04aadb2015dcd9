"""One town's account at a running NATS server, seen by its administrator."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import nats.errors
from nats.aio.client import Client
from nats.js.api import ConsumerInfo, DiscardPolicy, SubjectTransform
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from deploy.broker.errors import AccountUnknownError, BrokerUnreachableError, ProvisioningError
from deploy.broker.nats_config import admin_user, partition_mapping
from deploy.broker.settings import NatsSettings
from deploy.embedded.ports import dialled
from store.broker_accounts import BrokerAccount

# Names that the server itself gives to the streams behind its MQTT listener.
QUEUE = "$MQTT_msgs"
RETAINED = "$MQTT_rmsgs"
HALF_DONE = "$MQTT_qos2in"
SESSIONS = "$MQTT_sess"
SUBJECT_PREFIX = "$MQTT.msgs."

# Shares of the account's headroom that devices could fill: their retained states and QoS 2.
RETAINED_BYTES = 24 << 20
HALF_DONE_BYTES = 4 << 20

_TIMEOUT_S = 5
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class IntakeSession:
    """A stored subscription of an intake: what makes the broker keep a message.

    `partition_no` is None for the session of status messages and wills.
    """

    partition_no: int | None
    window_messages: int
    ack_wait_s: float
    waiting: int
    unacknowledged: int
    connected: bool


@dataclass(frozen=True, slots=True)
class QueueUsage:
    """How full a town's queue is. `sessions` counts the stored sessions, devices' included."""

    messages: int
    stored_bytes: int
    limit_bytes: int
    account_bytes: int
    account_limit_bytes: int
    sessions: int


class AccountAdmin:
    """A connection as the administrator of one account; use it in a ``with`` block.

    Raises
    ------
    BrokerUnreachableError
        NATS does not answer at its client address.
    AccountUnknownError
        NATS does not know the account, or not with this password: it has not read the
        configuration yet.
    """

    def __init__(self, settings: NatsSettings, tenant_code: str) -> None:
        self._url = f"nats://{dialled(settings.client_host)}:{settings.client_port}"
        self._password = settings.admin_password.get_secret_value()
        self._town = tenant_code
        self._runner = asyncio.Runner()
        self._client = Client()

    def __enter__(self) -> Self:
        try:
            self._client = self._run(self._connect())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._run(self._client.close())
        finally:
            self._runner.close()

    def sessions(self) -> list[IntakeSession]:
        """Return the stored subscriptions to this town's readings and states."""
        found = []
        for info in self._run(self._consumers()):
            session = self._intake_session(info)
            if session is not None:
                found.append(session)
        return found

    def subscriptions(self) -> list[str]:
        """Return the subject of each stored subscription, as MQTT clients of NATS name them."""
        return [
            (info.config.filter_subject or "").removeprefix(SUBJECT_PREFIX)
            for info in self._run(self._consumers())
        ]

    def limit_queue(self, account: BrokerAccount) -> bool:
        """Let the queue fill before the store does, and map what came unmapped.

        A full queue refuses new messages instead of dropping old ones. A store that fills first
        locks the gateway out, and no restart helps. The mapping repeats the account's: a reading
        that a device sends together with its CONNECT reaches the stream without it.

        Returns
        -------
        bool
            False if everything was so already.
        """
        return self._run(self._limit(account, change=True))

    def is_limited(self, account: BrokerAccount) -> bool:
        """Tell whether `limit_queue` has nothing to do."""
        try:
            return not self._run(self._limit(account, change=False))
        except AccountUnknownError:
            return False

    def usage(self) -> QueueUsage:
        """Return how full the queue is."""
        return self._run(self._usage())

    async def _connect(self) -> Client:
        client = Client()
        try:
            await client.connect(
                self._url,
                user=admin_user(self._town),
                password=self._password,
                connect_timeout=_TIMEOUT_S,
                allow_reconnect=False,
                # This also bounds the attempts of the first connect; 0 would mean for ever.
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                error_cb=_ignore,
            )
        except nats.errors.Error as error:
            await client.close()
            if "authorization" in str(error).lower():
                raise self._unknown() from error
            raise
        except BaseException:
            await client.close()
            raise
        return client

    def _unknown(self) -> AccountUnknownError:
        return AccountUnknownError(
            f"NATS at {self._url} does not let the administrator of {self._town!r} in: it has not "
            "read the newest configuration, or nats.admin_password is another one"
        )

    async def _consumers(self) -> list[ConsumerInfo]:
        stream = self._client.jetstream(timeout=_TIMEOUT_S)
        found: list[ConsumerInfo] = []
        try:
            while True:
                page = await stream.consumers_info(QUEUE, offset=len(found))
                found += page
                if not page:
                    return found
        except NotFoundError:
            return []  # no MQTT client has ever connected to this account

    def _intake_session(self, info: ConsumerInfo) -> IntakeSession | None:
        subject = (info.config.filter_subject or "").removeprefix(SUBJECT_PREFIX)
        readings, status = f"mz.v1.{self._town}.p.", f"mz.v1.{self._town}.d.*.status"
        if subject == status:
            partition = None
        elif subject.startswith(readings) and subject.endswith(".d.*.up"):
            number = subject.removeprefix(readings).removesuffix(".d.*.up")
            if not number.isdecimal():
                return None
            partition = int(number)
        else:
            return None
        return IntakeSession(
            partition_no=partition,
            window_messages=info.config.max_ack_pending or 0,
            ack_wait_s=info.config.ack_wait or 0.0,
            waiting=info.num_pending or 0,
            unacknowledged=info.num_ack_pending or 0,
            connected=bool(info.push_bound),
        )

    async def _limit(self, account: BrokerAccount, *, change: bool) -> bool:
        stream = self._client.jetstream(timeout=_TIMEOUT_S)
        source, target = partition_mapping(account)
        mapping = SubjectTransform(src=SUBJECT_PREFIX + source, dest=SUBJECT_PREFIX + target)
        wanted: dict[str, dict[str, Any]] = {
            QUEUE: {
                "max_bytes": account.queue_bytes,
                "discard": DiscardPolicy.NEW,
                "subject_transform": mapping,
            },
            RETAINED: {"max_bytes": RETAINED_BYTES},
            HALF_DONE: {"max_bytes": HALF_DONE_BYTES},
        }
        differs = False
        for name, values in wanted.items():
            try:
                config = (await stream.stream_info(name)).config
            except NotFoundError as error:
                raise AccountUnknownError(
                    f"The queue of {self._town!r} does not exist yet: no session was made"
                ) from error
            if all(getattr(config, key) == value for key, value in values.items()):
                continue
            differs = True
            if change:
                try:
                    await stream.update_stream(config.evolve(**values))
                except JetStreamError as error:
                    raise ProvisioningError(
                        f"NATS refuses the limits of the queue of {self._town!r}: {error}"
                    ) from error
        return differs

    async def _usage(self) -> QueueUsage:
        stream = self._client.jetstream(timeout=_TIMEOUT_S)
        account = await stream.account_info()
        try:
            queue = await stream.stream_info(QUEUE)
            sessions = await stream.stream_info(SESSIONS)
        except NotFoundError:
            return QueueUsage(0, 0, 0, account.storage, account.limits.max_storage, 0)
        return QueueUsage(
            messages=queue.state.messages,
            stored_bytes=queue.state.bytes,
            limit_bytes=queue.config.max_bytes or 0,
            account_bytes=account.storage,
            account_limit_bytes=account.limits.max_storage,
            sessions=sessions.state.messages,
        )

    def _run(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        try:
            return self._runner.run(work)
        except (OSError, TimeoutError, nats.errors.Error) as error:
            reason = str(error) or type(error).__name__
            raise BrokerUnreachableError(
                f"NATS does not answer the administrator at {self._url}: {reason}. "
                "Does it run, and are nats.client_host and nats.client_port right?"
            ) from error


async def _ignore(error: Exception) -> None:
    """Keep the client from logging what reaches the caller as an exception anyway."""
