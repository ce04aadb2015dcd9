"""What is kept for how long, and the partitions that are made ahead."""

from dataclasses import dataclass

from store import queries
from store.database import Connection

_SQL = queries.load("retention")


@dataclass(frozen=True)
class Retention:
    """Days that things are kept; None keeps readings for ever. The ledger is always kept."""

    readings_days: int | None
    quarantine_days: int
    outbox_days: int
    sequence_days: int
    conflict_days: int


def make_partitions(conn: Connection, months_ahead: int = 3) -> int:
    """Make the monthly partitions up to so many months ahead; returns how many are new.

    Nothing to do on TimescaleDB, whose chunks make themselves.
    """
    [[made]] = conn.execute(_SQL["make_partitions"], {"months_ahead": months_ahead}).fetchall()
    return int(made)


def apply(conn: Connection, retention: Retention) -> dict[str, int]:
    """Delete what is older than it is kept; returns rows (readings: partitions or chunks).

    Readings wait until no settlement needs them: `wait_for_settlement_of` then says of how many
    datastreams.
    """
    gone = {
        "quarantine": _prune(conn, "prune_quarantine", retention.quarantine_days),
        "quarantine_overflow": _prune(conn, "prune_overflow", retention.quarantine_days),
        "outbox": _prune(conn, "prune_outbox", retention.outbox_days),
        "sequences": _prune(conn, "prune_sequences", retention.sequence_days),
        "conflicts": _prune(conn, "prune_conflicts", retention.conflict_days),
        "position_conflicts": _prune(conn, "prune_position_conflicts", retention.conflict_days),
        "routers": conn.execute(_SQL["prune_routers"]).rowcount,
        "probes": conn.execute(_SQL["prune_probes"]).rowcount,
    }
    if retention.readings_days is not None:
        gone |= _drop_readings(conn, retention.readings_days)
    gone["checkpoints"] = conn.execute(_SQL["thin_checkpoints"]).rowcount
    return gone


def _drop_readings(conn: Connection, days: int) -> dict[str, int]:
    """Delete old readings, unless alerts that are still to be decided on need them.

    Then that is asked for, and the next time is soon enough.
    """
    [[oldest]] = conn.execute(_SQL["oldest"], {"days": days}).fetchall()
    parameters = {"oldest": oldest}
    conn.execute(_SQL["demand_checkpoints"], parameters)
    [[needed]] = conn.execute(_SQL["still_needed"], parameters).fetchall()
    if needed:
        return {"reading_partitions": 0, "wait_for_settlement_of": int(needed)}
    conn.execute(_SQL["close_silent"], parameters)
    conn.execute(_SQL["set_horizon"], parameters)
    [[dropped]] = conn.execute(_SQL["drop_readings"], parameters).fetchall()
    [[revisions]] = conn.execute(_SQL["drop_revisions"], {"days": days}).fetchall()
    return {"reading_partitions": int(dropped), "flag_revisions": int(revisions)}


def _prune(conn: Connection, name: str, days: int) -> int:
    return conn.execute(_SQL[name], {"days": days}).rowcount
