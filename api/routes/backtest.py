"""What a rule would have raised on the stored readings."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from api import backtest_picture, times
from api.dictionary import dictionary
from api.errors import ApiError, Kind, Mistake
from api.language import HasLanguage, spoken_in
from api.problems import RETRY_AFTER_S, responses
from api.town import CODE, HasTown, TownAccess
from detectors.sentence import Sentence
from store import backtest as store_backtest
from store.backtest import WrongRequestError
from store.backtest_readings import Budget, Source, TooMuchError
from store.backtest_result import (
    LedgerAlert,
    Raised,
    RealEvent,
    Result,
    Standing,
    StreamResult,
    judge,
)

if TYPE_CHECKING:
    from threading import Lock

router = APIRouter(tags=["rules"])

# One sensor for a year at a reading a minute: 1 to 5 s, and, measured with the rule of rate of
# rise, 0.8 GB of memory while it lasts.
MOST_READINGS: Final = 550_000
# Of the time of a statement: the last datastream is still to be decided on when it has passed.
TIME_SHARE: Final = 0.7
MOST_SERIES: Final = 20

_Code = Annotated[str, Field(pattern=f"^{CODE.pattern}$")]


class RealItem(BaseModel):
    """A time at which it was real: at this device, as a person saw it."""

    model_config = ConfigDict(extra="forbid")

    device: _Code
    time: str = Field(max_length=40, description=times.DESCRIPTION)


class BacktestRequest(BaseModel):
    """Which rule, over what."""

    model_config = ConfigDict(extra="forbid")

    rule: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$", examples=["street-depth"])
    params: dict[str, Any] | None = Field(
        default=None, description="Instead of the rule's own; null: as it is in force now"
    )
    since: str | None = Field(default=None, max_length=40, description=times.DESCRIPTION)
    until: str | None = Field(default=None, max_length=40, description="Not included; as `since`")
    site: _Code | None = None
    device: _Code | None = None
    real: list[RealItem] | None = Field(
        default=None,
        max_length=1000,
        description="When it was real: the other alerts are counted as false alarms",
    )


class RaisedItem(BaseModel):
    """An alert that the rule would have raised, beside the ledger."""

    device: str
    datastream: int
    onset: datetime
    clear: datetime | None = Field(description="null: not over at the end of the range")
    peak_level: int
    peak_value: float | None
    unconfirmed: bool
    ledger: Standing = Field(description="same; changed: overlaps `alert`; new: none is there")
    alert: int | None = Field(description="Id of the alert in the ledger")
    real: bool | None = Field(description="null: it was not said which are real")

    @classmethod
    def of(cls, alert: Raised) -> "RaisedItem":
        """Take over one."""
        return cls(
            device=alert.stream.device,
            datastream=alert.stream.datastream_id,
            onset=alert.onset,
            clear=alert.clear,
            peak_level=alert.peak_level,
            peak_value=alert.peak_value,
            unconfirmed=alert.unconfirmed,
            ledger=alert.standing,
            alert=alert.alert_id,
            real=alert.real,
        )


class GoneItem(BaseModel):
    """An alert of the ledger that the rule would not have raised."""

    alert: int
    datastream: int
    onset: datetime
    clear: datetime | None
    peak_level: int
    peak_value: float | None

    @classmethod
    def of(cls, alert: LedgerAlert) -> "GoneItem":
        """Take over one."""
        return cls(
            alert=alert.alert_id,
            datastream=alert.datastream_id,
            onset=alert.onset,
            clear=alert.clear,
            peak_level=alert.peak_level,
            peak_value=alert.peak_value,
        )


class MissedItem(BaseModel):
    """A real event that no alert covers."""

    device: str
    time: datetime


class RateItem(BaseModel):
    """Alerts per sensor-month (30 days), false ones where `real` was given; 95% interval."""

    count: int
    per_sensor_month: float
    low: float
    high: float


class BinItem(BaseModel):
    """A stretch of the picture."""

    time: datetime
    min: float | None = Field(description="null: no usable value")
    max: float | None


class StreamItem(BaseModel):
    """One datastream that was gone over."""

    device: str
    site: str | None
    datastream: int
    property: str
    unit: str
    readings: int
    series: list[BinItem] = Field(
        description=f"240 stretches of the range, for a chart; of the first {MOST_SERIES} only"
    )

    @classmethod
    def of(cls, result: StreamResult, *, with_series: bool) -> "StreamItem":
        """Take over one."""
        stream = result.stream
        bins = result.bins if with_series else ()
        return cls(
            device=stream.device,
            site=stream.site,
            datastream=stream.datastream_id,
            property=stream.property,
            unit=stream.unit,
            readings=result.readings,
            series=[BinItem(time=each.time, min=each.low, max=each.high) for each in bins],
        )


class BacktestAnswer(BaseModel):
    """What the rule would have raised."""

    rule: str
    since: datetime
    until: datetime
    readings: int
    sensor_months: float
    by_level: dict[int, int] = Field(description="Alerts by peak level")
    same: int
    changed: int
    new: int
    rate: RateItem | None = Field(description="null: no length of time")
    alerts: list[RaisedItem]
    gone: list[GoneItem]
    missed: list[MissedItem]
    datastreams: list[StreamItem]

    @classmethod
    def of(cls, result: Result) -> "BacktestAnswer":
        """Take over a result."""
        rate = result.rate()
        return cls(
            rule=result.rule,
            since=result.start,
            until=result.stop,
            readings=result.readings,
            sensor_months=result.sensor_months,
            by_level=result.by_level(),
            same=result.count(Standing.SAME),
            changed=result.count(Standing.CHANGED),
            new=result.count(Standing.NEW),
            rate=None if rate is None else RateItem(**vars(rate)),
            alerts=[RaisedItem.of(alert) for alert in result.raised],
            gone=[GoneItem.of(alert) for alert in result.gone],
            missed=[MissedItem(**vars(event)) for event in result.missed],
            datastreams=[
                StreamItem.of(each, with_series=number < MOST_SERIES)
                for number, each in enumerate(result.streams)
            ],
        )


@router.post(
    "/{tenant}/backtest",
    response_model=BacktestAnswer,
    responses={
        **responses(Kind.UNKNOWN_TOWN, Kind.TOO_MUCH, Kind.BUSY),
        200: {"content": {backtest_picture.MEDIA_TYPE: {"schema": {"type": "string"}}}},
    },
)
def backtest(
    here: HasTown,
    asked: BacktestRequest,
    request: Request,
    language: HasLanguage,
    form: Annotated[
        Literal["json", "svg"],
        Query(alias="format", description="svg: a picture to print, in Accept-Language's words"),
    ] = "json",
) -> Response | BacktestAnswer:
    """Tell what a rule would have raised on stored readings; nothing is written.

    At most 550,000 readings, and one backtest at a time: it keeps a processor busy for seconds.
    """
    zone = here.town.zone
    wanted = store_backtest.Request(
        rule=asked.rule,
        params=asked.params,
        since=times.parse("since", asked.since, zone) if asked.since else None,
        until=times.parse("until", asked.until, zone) if asked.until else None,
        site=asked.site,
        device=asked.device,
    )
    real = None
    if asked.real is not None:
        real = [
            RealEvent(event.device, times.parse(f"real.{number}.time", event.time, zone))
            for number, event in enumerate(asked.real)
        ]
    running: Lock = request.app.state.backtests
    if not running.acquire(blocking=False):
        raise ApiError(
            Kind.BUSY,
            Sentence("One backtest runs at a time. Try again in a few seconds."),
            headers={"Retry-After": str(RETRY_AFTER_S)},
        )
    try:
        result = _run(here, wanted)
    finally:
        running.release()
    judged = result if real is None else judge(result, real)
    if form == "svg":
        picture = backtest_picture.draw(judged, zone, dictionary(language))
        return Response(
            picture, media_type=backtest_picture.MEDIA_TYPE, headers=spoken_in(language)
        )
    return BacktestAnswer.of(judged)


def _run(here: TownAccess, wanted: store_backtest.Request) -> Result:
    budget = Budget(MOST_READINGS, here.access.statement_timeout_s * TIME_SHARE)
    try:
        return store_backtest.run(
            here.transaction, here.town.tenant_id, wanted, Source.TOWN, budget
        )
    except WrongRequestError as error:
        raise ApiError(
            Kind.MISTAKE, error.said, mistakes=[Mistake(error.field, error.said)]
        ) from error
    except TooMuchError as error:
        raise ApiError(Kind.TOO_MUCH, error.said) from error
