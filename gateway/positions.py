"""Which fixes of a batch are new: repeated ones are dropped, others for one time set aside."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.recent import Recent
from store import position_conflicts, speeds
from store.batch_writer import BatchWriter
from store.positions import (
    NO_POSITIONS,
    Positions,
    equal_content,
    known_positions,
    write_positions,
)
from store.speeds import Follower


@dataclass(eq=False)
class Fixes:
    """The fixes of a batch that are new, and those that wait beside another one.

    Attributes
    ----------
    new
    clashing
        Not the same as what is stored for their device and time.
    renumbered
        The same, under a higher number of the device: it counts when the winner is sought.
    followers
        Stored ones whose flags are others since a new one is sorted in before them.
    duplicates, conflicts : int
        Those that are known already, and those that are kept beside; the latter after `write`.
    """

    new: Positions
    clashing: Positions
    renumbered: Positions
    followers: list[Follower]
    duplicates: int
    conflicts: int = 0

    def write(self, writer: BatchWriter, *, copy: bool) -> None:
        """Write them; see `store.positions.write_positions`."""
        if len(self.new):
            write_positions(writer.conn, self.new, copy=copy)
            speeds.put(writer.conn, self.followers)
        if len(self.renumbered):
            position_conflicts.add(writer.conn, self.renumbered)
        if len(self.clashing):
            self.conflicts = position_conflicts.add(writer.conn, self.clashing)
            self.duplicates += len(self.clashing) - self.conflicts


def sift(writer: BatchWriter, fixes: Positions, recent: Recent, *, ask_store: bool) -> Fixes:
    """Find the new fixes, and flag them by the speed that they imply.

    Parameters
    ----------
    writer
        Of the batch's transaction.
    recent
        Devices and times that were stored a moment ago.
    ask_store
        Also ask the database for all others: after a COPY that met one of them.
    """
    if not len(fixes):
        return Fixes(fixes, fixes, fixes, [], 0)
    known = recent.look(fixes.device_id, fixes.time_ms)[0]
    ask = np.flatnonzero(known | ask_store)
    content, seq = fixes.content(), fixes.seq
    # What each is compared with: the fix that is stored, else the first of the batch.
    rival = _first(fixes)
    other, number, stored = content[rival], seq[rival], np.zeros(len(fixes), np.bool_)
    if len(ask):
        places, there = known_positions(writer.conn, fixes.device_id[ask], fixes.time_ms[ask])
        places = ask[places]
        other[places], number[places], stored[places] = there.content(), there.seq, True
    new = ~stored & (rival == np.arange(len(fixes)))
    same = equal_content(content, other)
    clashing, renumbered = ~new & ~same, ~new & same & (seq > number)
    if (clashing | renumbered).any():
        speeds.keep_settlement_out(writer.conn)
    flagged, followers = (
        speeds.hold(writer.conn, fixes.take(new)) if new.any() else (NO_POSITIONS, [])
    )
    return Fixes(
        flagged,
        fixes.take(clashing),
        fixes.take(renumbered),
        followers,
        int(np.count_nonzero(~new & same)),
    )


def _first(fixes: Positions) -> NDArray[np.intp]:
    """Return by fix the place of the first of its device and time."""
    order = np.lexsort((fixes.time_ms, fixes.device_id))  # stable: ties stay as they came
    device, time_ms = fixes.device_id[order], fixes.time_ms[order]
    again = np.zeros(len(fixes), np.bool_)
    again[1:] = (device[1:] == device[:-1]) & (time_ms[1:] == time_ms[:-1])
    first = np.empty(len(fixes), np.intp)
    first[order] = order[np.maximum.accumulate(np.where(again, 0, np.arange(len(fixes))))]
    return first
