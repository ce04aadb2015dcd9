"""What an intake connects to."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Session:
    """What an intake connects to. Its text form holds no secrets.

    `partition_no` is None on a broker without partitions; `lease_no` is the partition whose lease
    it is read under, status messages under that of a town's first. `window_messages` is the most
    that may be unacknowledged; on NATS the server's own setting rules, on MQTT 5 we ask for it.
    """

    name: str
    tenant_id: int
    lease_no: int
    partition_no: int | None
    partitions: int
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    client_id: str = field(repr=False)
    topic_filter: str
    window_messages: int
    mqtt5: bool
    keepalive_s: int
    tls_ca: Path | None = None
    # Of an operator whose messages are handed on to its devices: its topics, as it has said them.
    operator_topics: str = ""
    operator_codec: str = ""
