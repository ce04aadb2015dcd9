"""Fixes held to the speed that they imply, whatever the order in which they come."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.flags import Flag, Test, aggregate
from detectors.track import Speed, distance_m, speed_flags
from store import latest, queries
from store.binary import INT4, TIMESTAMPTZ, Column
from store.database import Connection
from store.positions import Positions, place_flags
from store.times import moment

_SQL = queries.load("speeds")
# From further back nothing follows for a speed.
_FURTHEST_MS: Final = 86_400_000


class _Stored(NamedTuple):
    """A row of the query `around`."""

    device_id: int
    tenant_id: int
    time_ms: int
    lat: float
    lon: float
    marks: int
    flag: int
    evaluated: int
    unsure: bool


@dataclass(frozen=True, slots=True)
class Follower:
    """A stored fix whose flag is another one since something came before it."""

    device_id: int
    tenant_id: int
    time_ms: int
    flag: int
    evaluated: int


def keep_settlement_out(conn: Connection) -> None:
    """Wait for a settlement of conflicts under way; no other begins until the transaction ends."""
    conn.execute(_SQL["keep_settlement_out"])


def hold(conn: Connection, fixes: Positions) -> tuple[Positions, list[Follower]]:
    """Flag fixes by the speed that they imply since the fix before, one of these or stored.

    Each is compared with its neighbour in time, also with one that failed: a lone fix that is far
    off costs itself and the next, and a first one that was far off does not condemn all others.
    Until the transaction ends, what they are compared with is not replaced by one that contradicts
    it.

    Parameters
    ----------
    fixes
        No two with one device and time, flagged by their places.

    Returns
    -------
    Positions, list of Follower
        The same, flagged; and the stored ones that follow one of them, where that changes the
        flag: `put` writes it.
    """
    n, stored = len(fixes), _around(conn, fixes)
    lat = np.array([one.lat for one in stored], np.float64)
    lon = np.array([one.lon for one in stored], np.float64)
    marks = np.array([one.marks for one in stored], np.int16)
    place_flag, place_evaluated = place_flags(lat, lon, marks)
    flag = np.concatenate([fixes.flag, place_flag])
    evaluated = np.concatenate([fixes.evaluated, place_evaluated])
    nowhere = flag == Flag.FAIL
    lat = np.where(nowhere, np.nan, np.concatenate([fixes.lat, lat]))
    lon = np.where(nowhere, np.nan, np.concatenate([fixes.lon, lon]))
    device = np.array([one.device_id for one in stored], np.int32)
    time_ms = np.concatenate([fixes.time_ms, np.array([one.time_ms for one in stored], np.int64)])
    order, last = latest.by_key(np.concatenate([fixes.device_id, device]), time_ms)
    before = np.roll(order, 1)
    since_ms = time_ms[order] - time_ms[before]
    moved_m = distance_m(lat[before], lon[before], lat[order], lon[order])
    alone = np.roll(last, 1) | (since_ms > _FURTHEST_MS)
    moved_m[alone] = np.nan
    speed = speed_flags(Speed(), since_ms, moved_m)
    known = speed != Flag.NOT_EVALUATED
    flag[order[known]] = aggregate(flag[order[known]], speed[known])
    evaluated[order[known]] |= Test.SPEED
    followers = []
    for place in order[(order >= n) & (before < n) & ~alone].tolist():
        one, says = stored[place - n], (int(flag[place]), int(evaluated[place]))
        if says != (one.flag, one.evaluated):
            followers.append(Follower(one.device_id, one.tenant_id, one.time_ms, *says))
    return replace(fixes, flag=flag[:n], evaluated=evaluated[:n]), followers


def put(conn: Connection, followers: Sequence[Follower]) -> None:
    """Write the flags of stored fixes anew, once what comes before them is written."""
    for one in followers:
        row = {
            "device_id": one.device_id,
            "tenant_id": one.tenant_id,
            "phenomenon_time": moment(one.time_ms),
            "flag": one.flag,
            "evaluated": one.evaluated,
        }
        conn.execute(_SQL["put_flag"], row)
        put_latest(conn, row)


def put_latest(conn: Connection, key: dict[str, Any]) -> None:
    """Let the latest position of a device follow after a change of the fix of one time.

    Parameters
    ----------
    key
        `tenant_id`, `device_id` and `phenomenon_time` of the fix.
    """
    conn.execute(_SQL["put_latest"], key)


def _around(conn: Connection, fixes: Positions) -> list[_Stored]:
    """Read what is stored before and behind each fix, once."""
    order, last = latest.by_key(fixes.device_id, fixes.time_ms)
    found = _ask(conn, fixes, order[np.roll(last, 1)], order[last])
    if any(one.unsure for one in found):
        # Something stored lies between or behind them: each has neighbours of its own. And a
        # settlement may be under way, which would not see what is written now.
        keep_settlement_out(conn)
        found = _ask(conn, fixes, order, order)
    return list({(one.device_id, one.time_ms): one for one in found}.values())


def _ask(
    conn: Connection, fixes: Positions, since: NDArray[np.intp], until: NDArray[np.intp]
) -> list[_Stored]:
    columns = {
        "device_id": Column(INT4, fixes.device_id[since]),
        "tenant_id": Column(INT4, fixes.tenant_id[since]),
        "since": Column(TIMESTAMPTZ, fixes.time_ms[since]),
        "until": Column(TIMESTAMPTZ, fixes.time_ms[until]),
    }
    return [_Stored(*row) for row in conn.execute(_SQL["around"], columns, binary=True)]
