"""What a batch decided, handed to the ledger of alerts with its evidence."""

from collections.abc import Mapping, Sequence

from detectors.outcome import Outcome
from gateway.registry import Registry
from store import evidence
from store.database import Connection
from store.episodes import Change
from store.evidence import Before
from store.ledger_writer import LedgerWriter, Stream, told
from store.times import moment


def write(
    conn: Connection,
    registry: Registry,
    outcome: Outcome,
    before: Mapping[int, Sequence[Before]],
) -> LedgerWriter:
    """Bring the ledger up to date with one batch; returns what was changed.

    Parameters
    ----------
    conn
        The batch's transaction, which holds the sensors' detector states.
    before
        What each sensor with a transition was decided from.
    """
    writer = LedgerWriter(conn)
    moves, windows = outcome.transitions, outcome.windows
    from_ms = {
        (int(s), int(r)): int(t)
        for s, r, t in zip(windows.sensor, windows.rule, windows.from_ms, strict=True)
    }
    places: dict[tuple[int, int], list[int]] = {key: [] for key in from_ms}
    for i in range(len(moves)):
        places.setdefault((int(moves.sensor[i]), int(moves.rule[i])), []).append(i)
    for (sensor, rule), rows in places.items():
        late = (sensor, rule) in from_ms
        since_ms = from_ms[sensor, rule] if late else int(moves.time_ms[rows[0]])
        writer.write(
            stream_of(registry, sensor),
            registry.rule_of(sensor, rule),
            [_change(registry, outcome, before[sensor], i) for i in rows],
            reason="late" if late else "live",
            since=moment(since_ms),
        )
    return writer


def stream_of(registry: Registry, sensor: int) -> Stream:
    """Return whose alerts a sensor's are."""
    tenant = int(registry.tenant_id[sensor])
    return Stream(
        datastream_id=int(registry.datastream_id[sensor]),
        tenant_id=tenant,
        town_code=registry.town_codes[tenant],
        device_code=registry.device_codes[int(registry.device_id[sensor])],
        training=tenant in registry.training,
        span=registry.compiled_of(sensor).span,
    )


def _change(registry: Registry, outcome: Outcome, before: Sequence[Before], i: int) -> Change:
    moves = outcome.transitions
    sensor, time_ms = int(moves.sensor[i]), int(moves.time_ms[i])
    version = registry.rule_of(sensor, int(moves.rule[i]))
    why = evidence.of_transition(
        before,
        registry.compiled_of(sensor).profile,
        version,
        time_ms,
        unconfirmed=bool(moves.unconfirmed[i]),
    )
    return Change(
        moment(time_ms),
        int(moves.from_level[i]),
        int(moves.to_level[i]),
        told(float(moves.value[i])),
        version.version,
        why,
        training=int(registry.tenant_id[sensor]) in registry.training,
    )
