"""What a rule would have raised on a town's stored readings, beside what stands in the ledger.

The rule is decided on by `detectors.backtest`, which is the streaming core that the gateway runs.
Each datastream is read (`store.backtest_readings`) and then decided on at once: memory is that of
one datastream.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from psycopg.rows import class_row

from detectors.backtest import backtest
from detectors.errors import ParameterError
from detectors.level_labels import LevelLabel
from detectors.profile import STREAM_KINDS, Profile
from detectors.readings import Readings
from detectors.rules import Threshold, rule_from_params
from detectors.sentence import Sentence
from detectors.spoken_depth import spoken
from store import backtest_readings, level_labels, queries, rules, rules_in_force
from store.backtest_readings import Budget, Source, Transaction, extent
from store.backtest_result import (
    Bin,
    LedgerAlert,
    LevelTried,
    Raised,
    Result,
    Stream,
    StreamResult,
    compare,
)
from store.database import Connection
from store.errors import RefusedError
from store.rule_profile import Compiled, compile_rules
from store.rules_in_force import RuleInForce
from store.times import milliseconds, moment

_SQL = queries.load("backtest")

BINS: Final = 240
# Read before the range, so that timers, slopes and open alerts at its begin are what they were.
LEAD: Final = timedelta(days=1)
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)


class WrongRequestError(RefusedError):
    """A backtest cannot be run as it was asked for; `field` is the part that has to change."""

    def __init__(self, field: str, said: Sentence) -> None:
        super().__init__(said)
        self.field = field
        self.said = said


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
        raise WrongRequestError(
            field, Sentence("The range is empty: `since` must be before `until`.")
        )
    with transaction() as conn:
        chosen = _choose(conn, tenant_id, request)
        streams = [stream for stream, _, _ in chosen]
        labels = level_labels.in_force(conn, datetime.now(UTC))
        ledger = _ledger(conn, tenant_id, request.rule, streams, start, stop)
        edges = [extent(conn, source, stream, start, stop) for stream in streams]
    known = [edge for edge in edges if edge is not None]
    first = request.since or min((low for low, _ in known), default=start)
    last = request.until or max((high for _, high in known), default=stop)
    grid = np.linspace(milliseconds(first), milliseconds(last) + 1, BINS + 1)
    found = []
    for (stream, compiled, scheme), edge in zip(chosen, edges, strict=True):
        stands = [alert for alert in ledger if alert.datastream_id == stream.datastream_id]
        history = Readings.none()
        if edge is not None or request.since is not None:
            # A sensor that fell silent before the range may still be in an alert.
            low = start if edge is None else max(start, edge[0])
            after = max(EARLIEST, min([low, *(alert.onset for alert in stands)]) - LEAD)
            end = start if edge is None else min(stop, edge[1] + timedelta(milliseconds=1))
            history = backtest_readings.history(transaction, source, stream, after, end, budget)
        levels = _levels(compiled, scheme, labels)
        found.append(_decide(stream, compiled, levels, history, milliseconds(start), grid))
    return compare(request.rule, first, last, found, ledger, until=request.until)


def _choose(
    conn: Connection, tenant_id: int, request: Request
) -> list[tuple[Stream, Compiled, str]]:
    """Find where the rule is in force: datastream, what is decided there, scheme of the labels."""
    versions = rules.versions(conn, tenant_id, request.rule)
    if not versions:
        known = sorted({row.code for row in rules.versions(conn, tenant_id)})
        raise WrongRequestError(
            "rule",
            Sentence(
                "There is no rule {rule!r}; known: {known}.",
                rule=request.rule,
                known=", ".join(known) or "-",
            ),
        )
    parameters = {"tenant_id": tenant_id, "device": request.device, "site": request.site}
    with conn.cursor(row_factory=class_row(Stream)) as cursor:
        streams = cursor.execute(_SQL["streams"], parameters).fetchall()
    if not streams:
        field = "device" if request.device else "site"
        if request.device:
            said = Sentence("There is no device {code!r} with datastreams.", code=request.device)
        elif request.site:
            said = Sentence("There is no site {code!r} with datastreams.", code=request.site)
        else:
            said = Sentence("No device yet.")
        raise WrongRequestError(field, said)
    in_force: dict[int, list[RuleInForce]] = {}
    for row in rules_in_force.of_datastreams(conn, datetime.now(UTC), tenant_id):
        in_force.setdefault(row.datastream_id, []).append(row)
    chosen = []
    for stream in streams:
        own = in_force.get(stream.datastream_id, [])
        tested = next((row for row in own if row.code == request.rule), None)
        if tested is not None:
            compiled = _compile(stream, own, tested, request.params)
            chosen.append((stream, compiled, tested.label_scheme))
    if not chosen:
        raise WrongRequestError(
            "rule",
            Sentence(
                "The rule {rule!r} is not in force at any datastream that was asked for: it is "
                "about {property}, and may be off or for other sites or devices.",
                rule=request.rule,
                property=versions[-1].property,
            ),
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
            field,
            Sentence(
                "The parameters for the rule {rule!r} are refused: {error}",
                rule=tested.code,
                error=spoken(error, stream.property).args[0],
            ),
        ) from error
    if not isinstance(rule, STREAM_KINDS):
        kinds = ", ".join(kind.kind for kind in STREAM_KINDS)
        raise WrongRequestError(
            "rule",
            Sentence(
                "The rule {rule!r} is of kind {kind}, which raises no alert from the readings of "
                "one datastream. A backtest runs rules of the kinds {kinds}.",
                rule=tested.code,
                kind=tested.kind,
                kinds=kinds,
            ),
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


def _levels(
    compiled: Compiled, scheme: str, labels: Mapping[tuple[str, int], LevelLabel]
) -> tuple[LevelTried, ...]:
    rule = compiled.profile.rules[0].rule
    if isinstance(rule, Threshold):
        begins = [level.on for level in rule.levels]
    else:
        begins = list(rule.limits_per_h)
    return tuple(
        LevelTried(level, on, labels.get((scheme, level))) for level, on in enumerate(begins, 1)
    )


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


def _decide(
    stream: Stream,
    compiled: Compiled,
    levels: tuple[LevelTried, ...],
    history: Readings,
    start_ms: int,
    grid: np.ndarray,
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
        kind=rule.kind,
        levels=levels,
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
