"""What a rule would have raised on a town's stored readings, beside what stands in the ledger.

The rule is decided on by `detectors.backtest`, which is the streaming core that the gateway runs.
Each datastream is read in pieces, each in a transaction of its own, and then decided on at once:
memory is that of one datastream.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import numpy as np
from psycopg.rows import class_row

from detectors.backtest import backtest
from detectors.errors import ParameterError
from detectors.profile import STREAM_KINDS, Profile
from detectors.readings import Readings
from detectors.rules import rule_from_params
from store import queries, rules
from store.backtest_result import Bin, LedgerAlert, Raised, Result, Stream, StreamResult, compare
from store.database import Connection
from store.episodes import moment
from store.errors import RefusedError, StoreError
from store.fleet import milliseconds
from store.rule_profile import Compiled, compile_rules
from store.rules import RuleInForce

_SQL = queries.load("backtest")

PIECE: Final = 50_000
BINS: Final = 240
# Read before the range, so that timers, slopes and open alerts at its begin are what they were.
LEAD: Final = timedelta(days=1)
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)

Transaction = Callable[[], AbstractContextManager[Connection]]


class WrongRequestError(RefusedError):
    """A backtest cannot be run as it was asked for; `field` is the part that has to change."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class TooMuchError(StoreError):
    """A backtest would read more or take longer than was granted."""


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes
    ----------
    rule
        Code of a stored rule.
    params
        Instead of its own; None: as it is in force now, at each datastream its own version.
    since, until
        ``[since, until)`` of phenomenon time; None: from the first reading, up to now.
    site, device
        Codes that narrow it; None does not.
    """

    rule: str
    params: Mapping[str, Any] | None = None
    since: datetime | None = None
    until: datetime | None = None
    site: str | None = None
    device: str | None = None


@dataclass
class Budget:
    """How much a backtest may read and how long it may take; it is looked at after each piece.

    One datastream that was read is decided on at once, so that the time is overrun by at most
    what that takes: about a second for a year of minutes.
    """

    readings: int
    seconds: float

    def __post_init__(self) -> None:
        self._left = self.readings
        self._until = time.monotonic() + self.seconds

    def spend(self, readings: int) -> None:
        """Count readings.

        Raises
        ------
        TooMuchError
            If there were too many, or too much time has passed.
        """
        self._left -= readings
        if self._left < 0:
            raise TooMuchError(
                f"The range holds more than {self.readings:,} readings. Ask for a shorter range, "
                "one site or one device; `mizumori backtest` on the server has no such limit."
            )
        if time.monotonic() > self._until:
            raise TooMuchError(
                f"The backtest took more than {self.seconds:g} seconds. Ask for a shorter range, "
                "one site or one device; `mizumori backtest` on the server has no such limit."
            )


class Source(StrEnum):
    """Where readings are read: what a role may see."""

    TOWN = "tenant_observation"
    """For the API: row-level security shows the town of the transaction."""
    TABLE = "observation"
    """For the owner, who is of no town; datastreams are chosen by town."""

    def statement(self, name: str) -> bytes:
        """Return a statement about readings."""
        return _SQL[name].replace(Source.TOWN.encode(), self.value.encode())


def run(
    transaction: Transaction,
    tenant_id: int,
    request: Request,
    source: Source,
    budget: Budget | None = None,
) -> Result:
    """Run a rule over what is stored.

    Parameters
    ----------
    transaction
        Opens a transaction that sees the town, or all of them with `Source.TABLE`.
    budget
        None: without limit.

    Raises
    ------
    WrongRequestError
        No such rule, site, device or range, or parameters that the detectors refuse.
    TooMuchError
        The budget is spent.
    """
    start, stop = request.since or EARLIEST, request.until or datetime.now(UTC)
    if start >= stop:
        field = "since" if request.since else "until"
        raise WrongRequestError(field, "The range is empty: `since` must be before `until`.")
    with transaction() as conn:
        chosen = _choose(conn, tenant_id, request)
        streams = [stream for stream, _ in chosen]
        ledger = _ledger(conn, tenant_id, request.rule, streams, start, stop)
        edges = [_extent(conn, source, stream, start, stop) for stream in streams]
    known = [edge for edge in edges if edge is not None]
    first = request.since or min((low for low, _ in known), default=start)
    last = request.until or max((high for _, high in known), default=stop)
    grid = np.linspace(milliseconds(first), milliseconds(last) + 1, BINS + 1)
    found = []
    for (stream, compiled), edge in zip(chosen, edges, strict=True):
        stands = [alert for alert in ledger if alert.datastream_id == stream.datastream_id]
        history = Readings.none()
        if edge is not None or request.since is not None:
            # A sensor that fell silent before the range may still be in an alert.
            low = start if edge is None else max(start, edge[0])
            after = max(EARLIEST, min([low, *(alert.onset for alert in stands)]) - LEAD)
            end = start if edge is None else min(stop, edge[1] + timedelta(milliseconds=1))
            history = _history(transaction, source, stream, after, end, budget)
        found.append(_decide(stream, compiled, history, milliseconds(start), grid))
    return compare(request.rule, first, last, found, ledger, until=request.until)


def _choose(conn: Connection, tenant_id: int, request: Request) -> list[tuple[Stream, Compiled]]:
    """Find the datastreams at which the rule is in force, and what is decided there."""
    versions = rules.versions(conn, tenant_id, request.rule)
    if not versions:
        known = sorted({row.code for row in rules.versions(conn, tenant_id)})
        raise WrongRequestError(
            "rule", f"There is no rule {request.rule!r}; known: {', '.join(known) or 'none yet'}."
        )
    parameters = {"tenant_id": tenant_id, "device": request.device, "site": request.site}
    with conn.cursor(row_factory=class_row(Stream)) as cursor:
        streams = cursor.execute(_SQL["streams"], parameters).fetchall()
    if not streams:
        field = "device" if request.device else "site"
        where = request.device or request.site
        said = f"There is no {field} {where!r} with datastreams." if where else "No device yet."
        raise WrongRequestError(field, said)
    in_force: dict[int, list[RuleInForce]] = {}
    for row in rules.in_force(conn, datetime.now(UTC), tenant_id):
        in_force.setdefault(row.datastream_id, []).append(row)
    chosen = []
    for stream in streams:
        own = in_force.get(stream.datastream_id, [])
        tested = next((row for row in own if row.code == request.rule), None)
        if tested is not None:
            chosen.append((stream, _compile(stream, own, tested, request.params)))
    if not chosen:
        raise WrongRequestError(
            "rule",
            f"The rule {request.rule!r} is not in force at any datastream that was asked for: it "
            f"is about {versions[-1].property}, and may be off or for other sites or devices.",
        )
    return chosen


def _compile(
    stream: Stream,
    own: Sequence[RuleInForce],
    tested: RuleInForce,
    params: Mapping[str, Any] | None,
) -> Compiled:
    """Compile the tested rule with the quality tests beside it, which it may look at."""
    try:
        rule = rule_from_params(tested.kind, tested.params if params is None else params)
    except ParameterError as error:
        field = ".".join(part for part in ("params", error.field) if part)
        raise WrongRequestError(
            field, f"The parameters for the rule {tested.code!r} are refused: {error}"
        ) from error
    if not isinstance(rule, STREAM_KINDS):
        kinds = " and ".join(kind.kind for kind in STREAM_KINDS)
        raise WrongRequestError(
            "rule",
            f"The rule {tested.code!r} is of kind {tested.kind}, which raises no alert from the "
            f"readings of one datastream. A backtest runs rules of the kinds {kinds}.",
        )
    compiled = compile_rules(own, stream.expected_interval_s)
    profile = compiled.profile
    alone = Profile(
        profile.quality,
        Profile.of([(tested.code, rule)]).rules,
        max_gap_s=profile.max_gap_s,
        lateness_s=profile.lateness_s,
    )
    return Compiled(alone, (), compiled.left_out)


def _ledger(
    conn: Connection,
    tenant_id: int,
    code: str,
    streams: Sequence[Stream],
    start: datetime,
    stop: datetime,
) -> list[LedgerAlert]:
    parameters = {
        "tenant_id": tenant_id,
        "code": code,
        "datastream_ids": [stream.datastream_id for stream in streams],
        "start": start,
        "stop": stop,
    }
    with conn.cursor(row_factory=class_row(LedgerAlert)) as cursor:
        return cursor.execute(_SQL["ledger"], parameters).fetchall()


def _extent(
    conn: Connection, source: Source, stream: Stream, start: datetime, stop: datetime
) -> tuple[datetime, datetime] | None:
    parameters = {"datastream_id": stream.datastream_id, "start": start, "stop": stop}
    low = conn.execute(source.statement("first"), parameters).fetchone()
    high = conn.execute(source.statement("last"), parameters).fetchone()
    return (low[0], high[0]) if low and high else None


def _history(
    transaction: Transaction,
    source: Source,
    stream: Stream,
    after: datetime,
    stop: datetime,
    budget: Budget | None,
) -> Readings:
    times, values = [np.zeros(0, np.int64)], [np.zeros(0)]
    # The view is no index: all that a statement's range holds is sorted for its first rows, so
    # the range is kept to about as many readings as a piece takes.
    window = timedelta(seconds=PIECE * stream.expected_interval_s)
    while after < stop:
        until = min(stop, after + window)
        parameters = {
            "datastream_id": stream.datastream_id,
            "after": after,
            "stop": until,
            "rows": PIECE,
        }
        with transaction() as conn:
            rows = conn.execute(source.statement("readings"), parameters, binary=True).fetchall()
        if budget is not None:
            budget.spend(len(rows))
        piece = np.array(rows, np.dtype([("time", np.int64), ("value", np.float64)]))
        times.append(piece["time"])
        values.append(piece["value"])
        # Stored times are whole milliseconds; the statement's range holds neither of its ends.
        whole = len(rows) < PIECE
        after = until - timedelta(milliseconds=1) if whole else moment(int(rows[-1][0]))
        if until == stop and whole:
            break
    return Readings.of(0, np.concatenate(times), np.concatenate(values))


def _decide(
    stream: Stream, compiled: Compiled, history: Readings, start_ms: int, grid: np.ndarray
) -> StreamResult:
    outcome = backtest(compiled.profile, history)
    episodes = outcome.episodes
    low, high = compiled.span
    rule = compiled.profile.rules[0].rule
    worst = np.nanmin if rule.direction == "falling" else np.nanmax
    usable = np.where(
        np.isfinite(history.value) & (history.value >= low) & (history.value <= high),
        history.value,
        np.nan,
    )
    raised = []
    for i in range(len(episodes)):
        if not episodes.open[i] and episodes.clear_ms[i] < start_ms:
            continue
        rows = slice(
            int(np.searchsorted(history.time_ms, episodes.onset_ms[i])),
            int(np.searchsorted(history.time_ms, episodes.clear_ms[i], side="right")),
        )
        within = usable[rows]
        raised.append(
            Raised(
                stream=stream,
                onset=moment(int(episodes.onset_ms[i])),
                clear=None if episodes.open[i] else moment(int(episodes.clear_ms[i])),
                peak_level=int(episodes.peak_level[i]),
                peak_value=None if np.isnan(within).all() else float(worst(within)),
                unconfirmed=bool(episodes.unconfirmed[i]),
            )
        )
    inside = history.time_ms >= start_ms
    times = history.time_ms[inside]
    return StreamResult(
        stream=stream,
        readings=len(times),
        length_ms=int(times[-1] - times[0]) if len(times) else 0,
        raised=tuple(raised),
        bins=_bins(times, usable[inside], grid),
    )


def _bins(times: np.ndarray, values: np.ndarray, grid: np.ndarray) -> tuple[Bin, ...]:
    """Lowest and highest value of each bin of the picture; None where there was none."""
    edges = np.searchsorted(times, grid)
    bins = []
    for number in range(BINS):
        part = values[edges[number] : edges[number + 1]]
        part = part[~np.isnan(part)]
        bins.append(
            Bin(
                moment(int(grid[number])),
                float(part.min()) if len(part) else None,
                float(part.max()) if len(part) else None,
            )
        )
    return tuple(bins)
