"""The gateways that are alive, and how they share the partitions: through their rows alone."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from detectors.sentence import Sentence
from store import programs, queries
from store.binary import INT2, INT4, INT8, TIMESTAMPTZ, Column
from store.database import Connection
from store.errors import StoreError

# A gateway that gave no sign of life for so long has lost what it held.
LEASE_S: Final = 10.0
# What gateways tell each other: one has come, gone, or let go of something.
CHANNEL: Final = "mizumori_gateways"
_SQL = queries.load("gateways")
# Rows of gateways that have been dead for so long are of no interest to anybody.
_FORGET_AFTER_S: Final = 3600.0

Unit = tuple[int, int]  # tenant_id, partition_no


class SupersededError(StoreError):
    """Another process was started under this gateway's name."""


@dataclass(frozen=True, slots=True)
class Member:
    """A gateway process.

    `name` is what it is called from one start to the next, `gateway_id` what tells this process
    from those before it under that name.
    """

    gateway_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Sight:
    """An intake as its gateway sees it: connected since when (None: it is not), what waits."""

    tenant_id: int
    partition_no: int
    epoch: int
    listening_since: datetime | None
    waiting: int


@dataclass(frozen=True, slots=True)
class TownListening:
    """Whether anybody listens to a town.

    `partitions` is how many there are (0: no gateway has ever taken it), `listening` how many of
    them are connected and alive, `waiting` how many messages wait in the gateways' memory,
    `last_sign_s` the seconds since the last sign of life of the one that gave none for longest.
    """

    code: str
    partitions: int
    listening: int
    waiting: int
    last_sign_s: float | None

    @property
    def problem(self) -> Sentence | None:
        """What is wrong; None if every partition is listened to."""
        if self.partitions and self.listening == self.partitions:
            return None
        if not self.partitions:
            return Sentence(
                "No gateway has listened to {town} yet: is one running? Its log says more.",
                town=self.code,
            )
        since = (
            ""
            if self.last_sign_s is None
            else Sentence(" (last sign of life {age})", age=_age(self.last_sign_s))
        )
        if not self.listening:
            return Sentence(
                "No gateway listens to {town}{since}: is one running, and does the broker let it "
                "in? Its log says more. What devices send meanwhile waits at the broker.",
                town=self.code,
                since=since,
            )
        return Sentence(
            "Nobody listens to {missing} of the {partitions} partitions of {town}{since}: another "
            "gateway takes them over within seconds, or the log of the one that holds them says "
            "why it is not let in.",
            missing=self.partitions - self.listening,
            partitions=self.partitions,
            town=self.code,
            since=since,
        )


def enter(conn: Connection, member: Member) -> None:
    """Add a gateway. Whatever a process of the same name held is free from now on."""
    former = conn.execute(_SQL["named"], {"name": member.name}).fetchone()
    if former is not None and former[0] != member.gateway_id:
        end_transactions(conn, [former[0]])
        conn.execute(_SQL["remove"], {"gateway_id": former[0]})
    conn.execute(_SQL["add"], {"gateway_id": member.gateway_id, "name": member.name})
    _tell(conn)


def beat(conn: Connection, member: Member) -> float:
    """Say that a gateway lives; return how many seconds ago it said so before.

    Raises
    ------
    SupersededError
        Another process has been started under this name.
    """
    row = conn.execute(_SQL["beat"], {"gateway_id": member.gateway_id}).fetchone()
    if row is not None:
        return float(row[0])
    if conn.execute(_SQL["named"], {"name": member.name}).fetchone() is not None:
        raise SupersededError(
            f"another gateway was started under the name {member.name!r}; this one stops. Give "
            "each gateway a name of its own (--name) to have them share the work"
        )
    enter(conn, member)  # so long dead that it was forgotten
    return _FORGET_AFTER_S


def see(conn: Connection, sights: Collection[Sight]) -> None:
    """Write down how intakes are; those that somebody else has taken meanwhile are left alone.

    Raises
    ------
    psycopg.errors.LockNotAvailable
        A long batch is being written; the next time it may be said.
    """
    if not sights:
        return
    rows = sorted(sights, key=lambda sight: (sight.tenant_id, sight.partition_no))
    since = [s.listening_since for s in rows]
    since_ms = [0 if at is None else round(at.timestamp() * 1000) for at in since]
    parameters = {
        "tenant_ids": Column(INT4, np.array([s.tenant_id for s in rows])),
        "partitions": Column(INT2, np.array([s.partition_no for s in rows])),
        "epochs": Column(INT8, np.array([s.epoch for s in rows])),
        "since": Column(TIMESTAMPTZ, np.array(since_ms), np.array([at is None for at in since])),
        "waiting": Column(INT4, np.array([s.waiting for s in rows])),
    }
    conn.execute(_SQL["hurry"])
    conn.execute(_SQL["see"], parameters)


def held(conn: Connection, gateway_id: str) -> dict[Unit, int]:
    """Return what a gateway holds, with the epochs."""
    rows = conn.execute(_SQL["held"], {"gateway_id": gateway_id}).fetchall()
    return {(tenant, partition): epoch for tenant, partition, epoch in rows}


def share_out(
    conn: Connection, units: Collection[Unit], patience_s: float
) -> tuple[list[str], dict[Unit, str | None]]:
    """Make the rows of `units` be those of the present layout; read who is alive and holds what.

    Parameters
    ----------
    units
        Every partition of every town. Rows of others are removed: a town that was removed, or a
        broker that has fewer partitions now.
    patience_s
        A gateway that gave no sign of life for so long is dead; its transactions are ended, as
        one of them may have stopped in the middle and hold what others need.

    Returns
    -------
    list of str
        The gateways that are alive.
    dict
        The holder of each unit; None: it is free.
    """
    conn.execute(_SQL["lay_out"], _keys(units))
    conn.execute(_SQL["clear_away"], _keys(units) | {"patience_s": patience_s})
    conn.execute(_SQL["forget"], {"after_s": _FORGET_AFTER_S})
    found = conn.execute(_SQL["members"], {"patience_s": patience_s}).fetchall()
    alive = [gateway_id for gateway_id, lives, _ in found if lives]
    dead = [gateway_id for gateway_id, lives, holds in found if holds and not lives]
    end_transactions(conn, dead)
    living = set(alive)
    rows = conn.execute(_SQL["holders"]).fetchall()
    return alive, {
        (tenant, partition): holder if holder in living else None
        for tenant, partition, holder in rows
    }


def release(conn: Connection, epochs: Mapping[Unit, int]) -> None:
    """Let go of intakes; whoever is below its share takes them."""
    if not epochs:
        return
    ordered = sorted(epochs)
    parameters = _keys(ordered) | {
        "epochs": Column(INT8, np.array([epochs[unit] for unit in ordered]))
    }
    conn.execute(_SQL["release"], parameters)
    _tell(conn)


def leave(conn: Connection, gateway_id: str) -> None:
    """Remove a gateway; what it still holds is free."""
    conn.execute(_SQL["remove"], {"gateway_id": gateway_id})
    _tell(conn)


def end_transactions(conn: Connection, gateway_ids: Collection[str]) -> None:
    """End the database sessions of gateways, whatever they are in the middle of.

    A process that is frozen between two statements, or within a COPY, keeps its locks for as
    long as it sleeps.
    """
    if gateway_ids:
        names = [session_name(gateway_id) for gateway_id in gateway_ids]
        conn.execute(_SQL["end_transactions"], {"names": names})


def session_name(gateway_id: str) -> str:
    """Return what a gateway's sessions are called in ``pg_stat_activity``."""
    return f"{programs.GATEWAY} {gateway_id}"


def listening(conn: Connection) -> list[TownListening]:
    """Read for every town whether it is listened to, by the town's code."""
    rows = conn.execute(_SQL["listening"]).fetchall()
    return [TownListening(*row) for row in rows]


def _tell(conn: Connection) -> None:
    conn.execute(_SQL["tell"], {"channel": CHANNEL})


def _keys(units: Collection[Unit]) -> dict[str, Column]:
    keys = np.array(sorted(units), np.int64).reshape(-1, 2)
    return {"tenant_ids": Column(INT4, keys[:, 0]), "partitions": Column(INT2, keys[:, 1])}


def _age(seconds: float) -> Sentence:
    if seconds < 120:
        return Sentence("{n:.0f} s ago", n=seconds)
    if seconds < 7200:
        return Sentence("{n:.0f} minutes ago", n=seconds / 60)
    return Sentence("{n:.0f} hours ago", n=seconds / 3600)
