"""NMEA lines of a logger: checksums, moments without a fix, dates."""

import gzip
import json
import pathlib
from datetime import UTC, datetime

import pytest

from gateway.codecs import nmea
from gateway.errors import RefusedReadingError

FILE = pathlib.Path(__file__).parents[1] / "data/nmea_logs.json.gz"
RECORDED = json.loads(gzip.decompress(FILE.read_bytes()))


def line(body):
    return f"${body}*{nmea._checksum(body):02X}\r\n"


RMC = line("GPRMC,010203.250,A,3814.4000,N,14020.4000,E,10.00,92.17,221126,,,A")
GGA = line("GPGGA,010203.250,3814.4000,N,14020.4000,E,1,07,1.1,56.1,M,37.0,M,,")
AT = datetime(2026, 11, 22, 1, 2, 3, 250_000, UTC)


def test_rmc_and_gga_of_one_moment_are_one_fix():
    [epoch] = nmea.parse(GGA + RMC).epochs
    assert (epoch.at, epoch.hdop, epoch.course_deg) == (AT, 1.1, 92.17)
    assert epoch.lat == pytest.approx(38.24)
    assert epoch.lon == pytest.approx(140.34)
    assert epoch.speed_kmh == pytest.approx(18.52)
    assert nmea.parse(RMC + GGA).epochs == nmea.parse(GGA + RMC).epochs


def test_without_a_fix_the_position_is_missing_even_if_old_coordinates_are_sent():
    void = line("GPRMC,010203.00,V,2712.6404,S,15303.1201,E,0.00,0.00,221126,,,A")
    [epoch] = nmea.parse(void).epochs
    assert (epoch.lat, epoch.lon, epoch.speed_kmh) == (None, None, None)
    [epoch] = nmea.parse(RMC.replace("A*", "N*").replace(RMC[-4:-2], "00")).epochs or [None]
    assert epoch is None


def test_south_and_west_are_negative_and_midnight_changes_the_date():
    late = line("GNRMC,235959.00,A,3606.0000,S,12237.5000,W,,,311226,,,A")
    after = line("GNGGA,000001.00,3606.0000,S,12237.5000,W,1,07,1.1,,M,,M,,")
    first, second = nmea.parse(late + after).epochs
    assert (first.lat, first.lon) == (pytest.approx(-36.1), pytest.approx(-122.625))
    assert second.at == datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert (first.speed_kmh, first.course_deg) == (None, None)


def test_damaged_lines_are_left_out_and_counted_and_their_neighbours_stand():
    text = "12:00:01 " + RMC + RMC.replace("3814", "3815") + "$GPRMC,01*\n" + "noise\n"
    log = nmea.parse(text)
    assert len(log.epochs) == 1
    assert log.skipped == [(2, "bad checksum"), (3, "malformed")]
    undated = line("GPRMC,,V,,,,,,,,,,N") + GGA
    assert nmea.parse(undated).reasons == {"no date or time": 2}


@pytest.mark.parametrize("payload", [b"", b"hello", b"\xff\xfe", RMC[:-6].encode(), GGA.encode()])
def test_nothing_usable_is_refused(payload):
    with pytest.raises(RefusedReadingError, match="no usable"):
        nmea.decode(payload)


@pytest.mark.parametrize("place", [
    "3860.0000,N,14020.4000,E", "9914.4000,N,14020.4000,E", "3814.4000,X,14020.4000,E",
    "3814.4000,N,18120.4000,E", "x,N,y,E", ",,,",
])  # fmt: skip
def test_coordinates_that_cannot_be_are_missing(place):
    [epoch] = nmea.parse(line(f"GPRMC,010203,A,{place},,,221126,,,A")).epochs
    assert epoch.lat is None or epoch.lon is None


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_log_is_read_in_order(name):
    text = RECORDED[name]
    log = nmea.parse(text)
    assert len(log.epochs) > 20
    times = [epoch.at for epoch in log.epochs]
    assert times == sorted(set(times))
    placed = [epoch for epoch in log.epochs if epoch.lat is not None]
    assert placed, "every log has a fix somewhere"
    # None of them is a drive.
    assert max(epoch.lat for epoch in placed) - min(epoch.lat for epoch in placed) < 0.01
    assert len(log.epochs) + len(log.skipped) <= text.count("$")
