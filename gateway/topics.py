"""The topics of version 1, taken apart."""

import re
from dataclasses import dataclass

from gateway.errors import RefusedReadingError
from gateway.reasons import Reason

_CODE = r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}"
_TOWN = r"[a-z][a-z0-9-]{0,30}"
_UP = re.compile(rf"mz/v1/({_TOWN})/(?:p/(0|[1-9][0-9]{{0,2}})/)?d/({_CODE})/up\Z", re.ASCII)
_STATUS = re.compile(rf"mz/v1/({_TOWN})/d/({_CODE})/status\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class UpTopic:
    """Where a device's readings came in."""

    tenant_code: str
    device_code: str
    partition_no: int | None


def parse_up(topic: str) -> UpTopic:
    """Take the topic of a message with readings apart.

    Raises
    ------
    RefusedReadingError
        If it is none.

    Examples
    --------
    >>> parse_up("mz/v1/kawabe/p/3/d/flood-01/up").device_code
    'flood-01'
    """
    match = _UP.match(topic)
    if match is None:
        raise RefusedReadingError(Reason.BAD_TOPIC, "expected mz/v1/{town}/d/{device}/up")
    town, partition, device = match.groups()
    return UpTopic(town, device, None if partition is None else int(partition))


def parse_status(topic: str) -> tuple[str, str]:
    """Return the town's and the device's code of a status topic.

    Raises
    ------
    RefusedReadingError
        If it is none.
    """
    match = _STATUS.match(topic)
    if match is None:
        raise RefusedReadingError(Reason.BAD_TOPIC, "expected mz/v1/{town}/d/{device}/status")
    return match[1], match[2]


def up_filter(tenant_code: str, partition_no: int | None) -> str:
    """Return what an intake subscribes to; `partition_no` is None on brokers without them."""
    middle = "" if partition_no is None else f"p/{partition_no}/"
    return f"mz/v1/{tenant_code}/{middle}d/+/up"


def status_filter(tenant_code: str) -> str:
    """Return what a town's status client subscribes to."""
    return f"mz/v1/{tenant_code}/d/+/status"
