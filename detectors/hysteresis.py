"""The state machine of levels: the latest on or off event wins, scanned over many rows at once."""

from dataclasses import dataclass

import numpy as np

from detectors.arrays import NEVER, Bits, Bools, Index, Times, blocks


@dataclass(frozen=True, eq=False)
class Carry:
    """State of T sensors between two rows.

    Attributes
    ----------
    bits : uint16[T]
        Bit k: lane k is on.
    timer : int64[T, K]
        When the run that may change the lane began: readings at or beyond `on` while it is off,
        at or beyond `off` while it is on. NEVER: no such run.
    flat : int64[T]
        When the value last changed.
    """

    bits: Bits
    timer: Times
    flat: Times

    def take(self, index: Index | slice) -> "Carry":
        """State of some of the sensors."""
        return Carry(self.bits[index], self.timer[index], self.flat[index])


@dataclass(frozen=True, eq=False)
class Rows:
    """n rows of T sensors, each sensor's rows together and in order of time.

    Attributes
    ----------
    owner : int64[n]
        Which of the T sensors.
    time_ms : int64[n]
    reach, leave : uint16[n]
        Bit k: the reading is at or beyond lane k's `on`; at or beyond its `off`. Never both.
    broken : bool[n]
        No reading within max_gap before this one: every run starts anew.
    same : bool[n]
        The value is that of the row before.
    """

    owner: Index
    time_ms: Times
    reach: Bits
    leave: Bits
    broken: Bools
    same: Bools

    def take(self, index: Index) -> "Rows":
        """Some of the rows, in the same order."""
        return Rows(
            self.owner[index], self.time_ms[index], self.reach[index], self.leave[index],
            self.broken[index], self.same[index],
        )  # fmt: skip

    def beside(self, other: "Rows", sensors: int) -> "Rows":
        """These rows, of so many sensors, then the others, of sensors that are numbered on."""
        return Rows(
            np.concatenate([self.owner, other.owner + sensors]),
            np.concatenate([self.time_ms, other.time_ms]),
            np.concatenate([self.reach, other.reach]),
            np.concatenate([self.leave, other.leave]),
            np.concatenate([self.broken, other.broken]),
            np.concatenate([self.same, other.same]),
        )


def scan(
    rows: Rows, carry: Carry, delay_on_ms: Times, delay_off_ms: Times, at: Index
) -> tuple[Bits, Times, Carry]:
    """Run the state machine over the rows.

    Parameters
    ----------
    rows : Rows
    carry : Carry
        State of the T sensors before their first row.
    delay_on_ms, delay_off_ms : int64[T, K]
    at : int64[m]
        Rows after which the full state is wanted.

    Returns
    -------
    bits : uint16[n]
        Lanes that are on after each row.
    flat : int64[n]
        When the value last changed, as of each row.
    carry : Carry
        State of m sensors after the rows `at`.

    Notes
    -----
    A run's start is found with ``maximum.accumulate`` over the indices at which runs start, and
    the latest event in the same way. A lane keeps one timer: while it is off only a run at or
    beyond `on` can change it, while it is on only a run at or beyond `off`; a run of the other
    kind ends before it could matter, because no reading is beyond both.
    """
    n = len(rows.time_ms)
    first = np.empty(n, bool)
    first[:1] = True
    first[1:] = rows.owner[1:] != rows.owner[:-1]
    bits = np.zeros(n, np.uint16)
    timer = np.full((len(at), carry.timer.shape[1]), NEVER, np.int64)
    # Sensors that are at rest and reach nothing stay so: most of a town on most days.
    awake = carry.bits != 0
    awake[rows.owner[rows.reach != 0]] = True
    lively = awake[rows.owner].nonzero()[0]
    if len(lively) == n:
        bits, timer = _scan_lanes(rows, first, carry, delay_on_ms, delay_off_ms, at)
    elif len(lively):
        wanted = awake[rows.owner[at]].nonzero()[0]
        places = lively.searchsorted(at[wanted])
        bits[lively], timer[wanted] = _scan_lanes(
            rows.take(lively), first[lively], carry, delay_on_ms, delay_off_ms, places
        )

    change_ms = rows.time_ms.copy()
    heads = first.nonzero()[0]
    kept = heads[rows.same[heads]]
    change_ms[kept] = carry.flat[rows.owner[kept]]
    flat = change_ms[np.maximum.accumulate(np.where(first | ~rows.same, np.arange(n), 0))]
    return bits, flat, Carry(bits[at], timer, flat[at])


def _scan_lanes(
    rows: Rows, first: Bools, carry: Carry, delay_on_ms: Times, delay_off_ms: Times, at: Index
) -> tuple[Bits, Times]:
    """Bits after each row, and timers after the rows `at`."""
    n = len(rows.time_ms)
    heads = first.nonzero()[0]
    head_owner = rows.owner[heads]
    bits = np.zeros(n, np.uint16)
    timer = np.full((len(at), carry.timer.shape[1]), NEVER, np.int64)
    # A lane that was off before and is never reached stays off, and no run is under way.
    stirred = int(np.bitwise_or.reduce(rows.reach))
    stirred |= int(np.bitwise_or.reduce(carry.bits[head_owner]))
    lanes = np.array([lane for lane in range(timer.shape[1]) if stirred >> lane & 1])
    for block in blocks(0, len(lanes), n):
        some = lanes[block]
        shift = some.astype(np.uint16)[:, None]
        # From here on each lane of each sensor is a series of its own, one after the other.
        h = len(some)
        index = np.arange(h * n)
        begins = (np.arange(h)[:, None] * n + heads).reshape(-1)
        starts = np.concatenate([first] * h)
        unbroken = np.concatenate([~rows.broken] * h)
        linked = unbroken & ~starts
        time_ms = np.concatenate([rows.time_ms] * h)
        reach = ((rows.reach >> shift) & 1).astype(bool).reshape(-1)
        leave = ((rows.leave >> shift) & 1).astype(bool).reshape(-1)
        was_on = ((carry.bits >> shift) & 1).astype(bool)
        was_on_here = was_on.take(rows.owner, axis=1).reshape(-1)
        carried = carry.timer.T[some].take(head_owner, axis=1).reshape(-1)
        runs = unbroken[begins] & (carried != NEVER)
        on_before = was_on.take(head_owner, axis=1).reshape(-1)
        events, began = [], []
        for meets, delay_ms, runs_on in (
            (reach, delay_on_ms, runs & ~on_before & reach[begins]),
            (leave, delay_off_ms, runs & on_before & leave[begins]),
        ):
            start = meets.copy()
            start[1:] &= ~(meets[:-1] & linked[1:])
            start_ms = time_ms.copy()
            start_ms[begins[runs_on]] = carried[runs_on]
            run_ms = start_ms[np.maximum.accumulate(np.where(start, index, 0))]
            delay = delay_ms.T[some].take(rows.owner, axis=1).reshape(-1)
            began.append(run_ms)
            events.append(meets & (time_ms - run_ms >= delay))
        on_event, off_event = events
        decided = on_event | off_event
        latest = np.maximum.accumulate(np.where(decided | starts, index, 0))
        is_on = np.where(decided[latest], on_event[latest], was_on_here)
        bits |= np.bitwise_or.reduce(is_on.reshape(h, n) * (np.uint16(1) << shift), axis=0)
        wanted = (np.arange(h)[:, None] * n + at).reshape(-1)
        timer[:, some] = (
            np.where(
                is_on[wanted],
                np.where(leave[wanted], began[1][wanted], NEVER),
                np.where(reach[wanted], began[0][wanted], NEVER),
            )
            .reshape(h, len(at))
            .T
        )
    return bits, timer
