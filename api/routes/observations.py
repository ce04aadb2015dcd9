"""Observations of one datastream: raw or in buckets, as pages of JSON or as one CSV file."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, TypeAlias
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field

from api import cursors, table, times
from api.errors import ApiError, Kind, mistake
from api.problems import responses
from api.town import HasTown, TownAccess
from detectors.sentence import Sentence
from store import readings
from store.database import Connection
from store.readings import Bucket, Observation, Span, Summary

router = APIRouter(tags=["observations"])

MOST = 10_000
CSV_ROWS = 5_000  # of one visit to the database: a slow reader holds no connection
# Buckets are summed up anew at each request, so their range is bounded: 10 minutes from up to
# 100,000 readings of a minute's interval, hours and days from rollups.
MOST_DAYS = {Bucket.TEN_MINUTES: 62, Bucket.HOUR: 731, Bucket.DAY: 3660}
Rows: TypeAlias = list[Observation] | list[Summary]


class ObservationItem(BaseModel):
    """One stored reading with its quality flag."""

    time: datetime = Field(description="When it was measured")
    value: float | None = Field(description="null: the device reported none, or not a number")
    flag: int = Field(
        description="As given in real time. QARTOD: 1 good, 2 not evaluated, 3 suspect, 4 fail, "
        "9 missing"
    )
    revised_flag: int | None = Field(
        description="What stands since tests over hours, days or several sensors, or a late "
        "reading, said something else; null: nothing did"
    )


class SummaryItem(BaseModel):
    """The readings of one bucket; buckets without a reading are absent."""

    time: datetime = Field(description="Start of the bucket")
    n: int = Field(description="Readings with a value")
    n_suspect: int = Field(description="Readings flagged 3 or 4, as revised")
    min: float | None
    max: float | None
    mean: float | None
    last: float | None


class ObservationPage(BaseModel):
    """One page of observations or buckets, oldest first."""

    items: list[ObservationItem] | list[SummaryItem]
    next: str | None = Field(
        description="Give it as `cursor`, all else unchanged, for the next page; null: the end"
    )


def _read(conn: Connection, span: Span, bucket: Bucket, zone: ZoneInfo, limit: int) -> Rows:
    if bucket is Bucket.RAW:
        return readings.raw(conn, span, limit)
    return readings.summaries(conn, span, bucket, zone, limit)


def _check_range(bucket: Bucket, start: datetime, stop: datetime) -> None:
    most = MOST_DAYS.get(bucket)
    if most is not None and stop - start > timedelta(days=most):
        raise mistake(
            "from",
            Sentence(
                "a range with bucket={bucket} may be {most} days long; choose a coarser bucket",
                bucket=bucket,
                most=most,
            ),
        )


def _chunks(here: TownAccess, span: Span, bucket: Bucket, first: Rows) -> Iterator[Rows]:
    """Yield the first chunk, and the rest in one short transaction each."""
    rows = first
    while rows:
        yield rows
        if len(rows) < CSV_ROWS:
            return
        span = replace(span, start=readings.following(rows[-1].time, bucket, here.town.zone))
        with here.transaction() as conn:
            rows = _read(conn, span, bucket, here.town.zone, CSV_ROWS)


@router.get(
    "/{tenant}/datastreams/{datastream_id}/observations",
    response_model=ObservationPage,
    responses={
        **responses(Kind.UNKNOWN_TOWN, Kind.UNKNOWN_DATASTREAM),
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
    },
)
def observations(
    here: HasTown,
    *,
    datastream_id: Annotated[int, Path(ge=1, le=2**31 - 1)],
    start: Annotated[
        str | None,
        Query(alias="from", max_length=40, description=f"{times.DESCRIPTION} Default: a day ago."),
    ] = None,
    stop: Annotated[
        str | None,
        Query(alias="to", max_length=40, description="Not included; as `from`. Default: now."),
    ] = None,
    bucket: Annotated[
        Bucket, Query(description="raw, or summed up; a day is one of the town")
    ] = Bucket.RAW,
    limit: Annotated[int, Query(ge=1, le=MOST, description="Most items of a page")] = 1000,
    cursor: Annotated[str | None, Query(max_length=40, description="`next` of a page")] = None,
    form: Annotated[
        Literal["json", "csv"],
        Query(alias="format", description="csv: the whole range in one file, without pages"),
    ] = "json",
) -> Response | ObservationPage:
    """Read observations with from <= time < to, oldest first; buckets whole, by their start."""
    first, last = times.span(
        start, stop, here.town.zone, default=timedelta(days=1), now=datetime.now(UTC)
    )
    _check_range(bucket, first, last)
    span = Span(datastream_id, max(first, cursors.time(cursor)) if cursor else first, last)
    with here.transaction() as conn:
        stream = readings.datastream(conn, datastream_id)
        if stream is None:
            detail = Sentence(
                "{town} has no datastream {code}. GET /api/v1/{town}/devices lists those it has.",
                town=here.town.code,
                code=datastream_id,
            )
            raise ApiError(Kind.UNKNOWN_DATASTREAM, detail)
        count = CSV_ROWS if form == "csv" else limit + 1
        rows = _read(conn, span, bucket, here.town.zone, count) if span.start < last else []
    if form == "csv":
        about = table.About(stream, here.town.zone, bucket)
        return StreamingResponse(
            table.lines(about, _chunks(here, span, bucket, rows)),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{about.file_name(first)}"'},
        )
    following = None
    if len(rows) > limit:
        rows = rows[:limit]
        following = cursors.of_time(readings.following(rows[-1].time, bucket, here.town.zone))
    item = ObservationItem if bucket is Bucket.RAW else SummaryItem
    return ObservationPage.model_construct(
        items=[item.model_construct(**vars(row)) for row in rows], next=following
    )
