"""Times as Python's, and as the milliseconds that arrays hold."""

from datetime import UTC, datetime, timedelta

import numpy as np

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(time_ms: int) -> datetime:
    """Return milliseconds since 1970 UTC as a time, exactly."""
    return _EPOCH + timedelta(milliseconds=time_ms)


def milliseconds(moment: datetime) -> int:
    """Return a time as milliseconds since 1970 UTC, exactly."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return int(np.datetime64(utc, "ms").astype(np.int64))
