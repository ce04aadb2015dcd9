"""Which partition a device's readings belong to, computed as the broker does.

NATS maps a device's topic to a partition by itself. The gateway computes the same, so that a
message on a partition that is not its device's (a device wrote to it on purpose, or the number
of partitions was changed) goes to quarantine: two intakes that both feed one detector would
disturb each other.
"""

from functools import lru_cache

_FNV_OFFSET = 0x811C9DC5
_FNV_PRIME = 0x01000193


@lru_cache(maxsize=1 << 17)
def partition_of(device_code: str, partitions: int) -> int:
    """Return the partition of a device.

    Parameters
    ----------
    device_code
        The device's code as it stands in the topic.
    partitions
        How many partitions its town has, at least 1.

    Returns
    -------
    int
        A number from 0 to ``partitions - 1``: FNV-1a, 32 bits, of the code's UTF-8 bytes, modulo
        `partitions`, which is what ``{{partition(n,1)}}`` of a NATS subject mapping gives.

    Examples
    --------
    >>> partition_of("flood-01", 4)
    1
    """
    digest = _FNV_OFFSET
    for byte in device_code.encode():
        digest = ((digest ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    return digest % partitions
