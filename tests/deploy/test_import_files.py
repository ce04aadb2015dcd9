"""Files of loggers, read: what is in them, and what is skipped and why."""

from zoneinfo import ZoneInfo

import pytest

from deploy.import_csv import read as read_csv
from deploy.import_item import ImportFileError, Item, Skipped
from deploy.import_track import read_gpx, read_nmea
from tests.gateway.test_nmea import GGA, RMC, line

TOKYO = ZoneInfo("Asia/Tokyo")
MS = 1_793_493_000_000  # 2026-11-01T00:30:00Z


def rows(text, zone=None, encoding="utf-8"):
    return list(read_csv(text.encode(encoding), zone))


def test_a_column_a_property_and_a_row_a_value_say_the_same():
    wide = rows("time,depth_m,battery_v\n2026-11-01T09:30:00+09:00,0.1,\n")
    long = rows("device;time;property;value\nx;2026-11-01T00:30Z;depth_m;0.1\n")
    [one], [other] = wide, long
    assert one.reading == other.reading
    assert (one.reading.ts, one.reading.m, one.device) == (MS, {"depth_m": 0.1}, None)
    assert other.device == "x"


def test_times_as_loggers_write_them():
    text = "time,水温,a\n2026/11/01 09:30:00,5,1\n1793493000000,,2\n2026-11-01,3,\n"
    first, second, third = rows(text, TOKYO, "cp932")
    assert (first.reading.ts, first.reading.m) == (MS, {"水温": 5, "a": 1})
    assert (second.reading.ts, second.reading.m) == (MS, {"a": 2})
    assert third.reading.ts == MS - 34_200_000
    [recorded] = rows("time_utc,device,a\n2026-11-01T00:30:00Z,x,1\n")
    assert (recorded.reading.ts, recorded.device) == (MS, "x")
    [skipped] = rows("time,a\n2026/11/01 09:30:00,5\n")
    assert skipped == Skipped(2, "the time names no zone: say which with --time-zone")


@pytest.mark.parametrize("time", [
    "2026/11/1 9:30", "2026/11/01 9:30:00", "2026-11-1 09:30", "2026/11/1  9:30:00.000",
    "2026/11/1 9:30+09:00",
])  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp932"])
def test_times_as_excel_shows_and_writes_them(time, encoding):
    [item] = rows(f"time,水温\r\n{time},5\r\n", TOKYO, encoding)
    assert (item.place, item.reading.ts, item.reading.m) == (2, MS, {"水温": 5})


def test_a_damaged_byte_or_a_lone_quotation_mark_costs_its_own_row_alone():
    good, bad = b"1793493000000,0.5\r\n", b"17934930000\xff0,0.5\r\n"
    found = list(read_csv(b"time,depth_m\r\n" + bad + good + b'"' + good + good, None))
    assert [type(one) for one in found] == [Skipped, Item, Skipped, Item]
    assert [one.place for one in found] == [2, 3, 4, 5]
    huge = b"1793493000000," + b"9" * 200_000 + b"\n"
    first, last = read_csv(b"time,depth_m\n" + huge + good, None)
    assert (type(first), type(last)) == (Skipped, Item)


def test_missing_values_positions_and_numbers():
    text = "time,seq,lat,lon,blade,ph\n1793493000000,7,38.2,140.3,down,欠測\n"
    [item] = rows(text)
    assert (item.reading.seq, item.reading.m) == (7, {"ph": None})
    assert (item.reading.fix.lat, item.reading.fix.blade) == (38.2, True)


@pytest.mark.parametrize(("row", "words"), [
    ("yesterday,1", "is not like"), (",1", "is not like"), ("1793493000000,high", "not a number"),
    ("1793493000000,inf", "not a number"), ("1793493000000,", "no value"),
    ("1793493000000", "no value"),
    ("9" * 30 + ",1", "out of range"),
])  # fmt: skip
def test_a_bad_row_is_skipped_with_its_line_and_its_neighbours_are_read(row, words):
    good = "1793493000000,0.5"
    first, bad, last = rows(f"time,depth_m\n{good}\n\n{row}\n{good}\n")
    assert isinstance(first, Item)
    assert isinstance(last, Item)
    assert bad.place == 4
    assert words in bad.reason


@pytest.mark.parametrize("data", [
    b"", b"\xff\xfe\x00", b"a,b\n1,2\n", b"time\n1\n", b"time,a,a\n1,2,3\n", b"time,\n1,2\n",
])  # fmt: skip
def test_a_file_without_a_usable_header_is_refused_in_words(data):
    with pytest.raises(ImportFileError, match=r"\w+ \w+"):
        list(read_csv(data, None))


GPX = """<?xml version="1.0"?><gpx xmlns="http://www.topografix.com/GPX/1/1" version="1.1"><trk>
<trkseg><trkpt lat="38.24" lon="140.34"><time>2026-11-01T00:30:00Z</time><hdop>1.2</hdop>
<extensions><x:speed xmlns:x="u">10</x:speed></extensions></trkpt>
<trkpt lat="38.25" lon="140.34"/>
<trkpt lat="north" lon="1"><time>2026-11-01T00:30:00Z</time></trkpt>
</trkseg></trk></gpx>"""


def test_a_gpx_track():
    point, untimed, unplaced = read_gpx(GPX.encode())
    assert (point.reading.ts, point.reading.fix.lat, point.reading.fix.hdop) == (MS, 38.24, 1.2)
    assert point.reading.fix.speed_kmh == pytest.approx(36)
    assert point.place == 1
    assert untimed == Skipped(2, "the point has no usable time")
    assert unplaced == Skipped(3, "the point has no usable place")


def test_a_track_that_breaks_off_gives_the_points_before_the_break():
    end = GPX.index("</trkpt>") + len("</trkpt>")
    point = GPX[GPX.index("<trkpt") : end]
    *points, cut = read_gpx((GPX[:end] + point + point[:-3]).encode())
    assert [one.reading.ts for one in points] == [MS, MS]
    assert cut.place == 3
    assert "breaks off after point 2" in cut.reason


@pytest.mark.parametrize("data", [
    b"", b"<kml/>", b"<gpx>", b"<!DOCTYPE gpx [<!ENTITY a 'b'>]><gpx/>",
    "<?xml version='1.0'?><!DOCTYPE gpx [<!ENTITY a 'b'>]><gpx/>".encode("utf-16"),
    b"<?xml version='1.0' encoding='Shift_JIS'?><gpx/>",
    b"<?xml version='1.0' encoding='none-such'?><gpx/>",
])  # fmt: skip
def test_what_is_no_gpx_is_refused_in_words(data):
    with pytest.raises(ImportFileError, match="GPX"):
        list(read_gpx(data))


def test_nmea_lines_and_those_that_are_damaged():
    later = line("GPRMC,010204,A,3814.4000,N,14020.4000,E,10.00,92.17,221126,,,A")
    undated = line("GPGGA,x,3814.4000,N,14020.4000,E,1,07,1.1,56.1,M,37.0,M,,")
    damaged = RMC.replace("3814", "3815")
    text = "# a logger\n" + GGA + RMC + damaged + later + undated + "$GPRMC,01*\n"
    first, second, *skipped = read_nmea(text.encode())
    assert (first.place, second.place) == (2, 5)  # GGA and RMC of a moment are one
    assert first.reading.fix.lat == pytest.approx(38.24)
    assert skipped == [
        Skipped(4, "bad checksum"), Skipped(6, "no date or time"), Skipped(7, "malformed"),
    ]  # fmt: skip
    with pytest.raises(ImportFileError):
        list(read_nmea(b"nothing"))
