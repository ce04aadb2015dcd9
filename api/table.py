"""Observations as CSV for the spreadsheets of a city office.

UTF-8 with a byte order mark and CRLF: without the mark Excel on a Japanese Windows reads the file
as Shift_JIS and garbles 欠測. Every line carries UTC and the town's own time.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from detectors.flags import Flag
from store.readings import Bucket, Datastream, Observation, Summary

BYTE_ORDER_MARK = "\ufeff"
FLAG_JA = {
    Flag.GOOD: "良",
    Flag.NOT_EVALUATED: "未評価",
    Flag.SUSPECT: "疑い",
    Flag.FAIL: "不良",
    Flag.MISSING: "欠測",
}
RAW = (
    "time", "local_time", "value", "unit", "flag", "flag_ja", "revised_flag", "revised_flag_ja",
)  # fmt: skip
SUMMED = ("time", "local_time", "n", "n_suspect", "min", "max", "mean", "last", "unit")


@dataclass(frozen=True)
class About:
    """What the file is about."""

    stream: Datastream
    zone: ZoneInfo
    bucket: Bucket

    def file_name(self, start: datetime) -> str:
        """Name the file after device, property and first day; ASCII, as codes are."""
        day = start.astimezone(self.zone).strftime("%Y%m%d")
        return f"{self.stream.device}_{self.stream.property}_{self.bucket}_{day}.csv"


def lines(
    about: About, chunks: Iterable[Sequence[Observation] | Sequence[Summary]]
) -> Iterator[bytes]:
    """Write the heading, and each chunk of rows as it comes."""
    heading = RAW if about.bucket is Bucket.RAW else SUMMED
    yield (BYTE_ORDER_MARK + ",".join(heading) + "\r\n").encode()
    for chunk in chunks:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(_cells(about, row) for row in chunk)
        yield text.getvalue().encode()


def _cells(about: About, row: Observation | Summary) -> list[object]:
    times = [
        row.time.isoformat().replace("+00:00", "Z"),
        row.time.astimezone(about.zone).strftime("%Y-%m-%d %H:%M:%S"),
    ]
    unit = about.stream.unit
    if isinstance(row, Observation):
        flags: list[object] = [row.flag, FLAG_JA[Flag(row.flag)], None, None]
        if row.revised_flag is not None:
            flags[2:] = [row.revised_flag, FLAG_JA[Flag(row.revised_flag)]]
        return [*times, row.value, unit, *flags]
    return [*times, row.n, row.n_suspect, row.min, row.max, row.mean, row.last, unit]
