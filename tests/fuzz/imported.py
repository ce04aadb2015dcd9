"""Spoiled files of loggers, and spoiled sheets of devices, as they are imported."""

import collections
import random
import tempfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from deploy import device_import, device_sheet
from deploy.broker.mqtt_client import Login
from deploy.import_item import ImportFileError
from deploy.importing import Town, import_file
from deploy.settings import Settings
from store import town_catalog
from store.settings import DatabaseSettings
from tests.fixtures.database import PASSWORD
from tests.fuzz.decoded import PROPERTIES
from tests.fuzz.ground import Ground
from tests.fuzz.spoil import scramble
from tests.gateway.conftest import NOW_MS
from tests.gateway.test_nmea import line as sentence

CALM = 5  # good rows at each end of a file
SPOILED = 10
PLOW = "dev-1"  # it stands in the database, where an import looks what is stored already
JST = timezone(timedelta(hours=9))
SHEET = (
    "機器,種別,名称,地点,地点種別,緯度,経度,送信間隔,測定項目\n"
    "sheet-1,flood_level,水位計　一号,sheet-site,street,38.24,140.36,60,depth_m:m\n"
)
ROWS = (
    "sheet-{},flood_level,水位計,sheet-site,,38.24,140.36,60,depth_m:m battery_v:V\n",
    "sheet-{},pond_probe,,,,,,600,\n",
    ",,,other-{},pond,38.2,140.3,,\n",
)


class Imported:
    """Files with spoiled rows among good ones; now and then all of a file is spoiled."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        [tenant] = town_catalog.tenants(ground.owner)
        self.town = Town(
            tenant,
            Login("nobody", "no broker"),
            {"calm": frozenset(PROPERTIES), PLOW: frozenset()},
            frozenset([PLOW]),
        )
        parts = conninfo_to_dict(ground.dsn.owner)
        where = f"postgresql://{parts['host']}:{parts['port']}/{parts['dbname']}"
        self.settings = Settings(database=DatabaseSettings(dsn=where, owner_password=PASSWORD))
        self.folder = tempfile.TemporaryDirectory(prefix="fuzz-")

    def batch(self, dice: random.Random, seen: collections.Counter) -> None:
        way = dice.random()
        if way < 0.1:
            self._sheet(dice, seen)
            return
        make = dice.choice((_csv, _csv, _gpx, _nmea))
        suffix, data, good = make(dice)
        if way < 0.2:
            data, good = scramble(dice, data), 0
        path = Path(self.folder.name) / f"file{suffix}"
        path.write_bytes(data)
        try:
            report = import_file(
                self.settings, self.town, path, device=PLOW if suffix != ".csv" else "calm",
                zone=JST, now_ms=NOW_MS + 10**8, dry=True,
            )  # fmt: skip
        except ImportFileError:
            if good:
                raise
            seen["file_refused"] += 1
            return
        assert report.sent + report.skipped.total() == report.total
        assert report.sent >= good, (data, list(report.lines(dry=True)))
        lines = list(report.lines(dry=True))
        assert len(lines) < 50
        assert all(len(line) < 500 for line in lines), lines
        seen["imported"] += report.sent
        seen["skipped"] += report.skipped.total()

    def close(self) -> None:
        self.folder.cleanup()

    def _sheet(self, dice: random.Random, seen: collections.Counter) -> None:
        text = SHEET + "".join(dice.choice(ROWS).format(n) for n in range(2, 10))
        data = scramble(dice, text.encode(dice.choice(("utf-8", "utf-8-sig", "cp932", "utf-16"))))
        try:
            sheet = device_sheet.read(data)
        except ImportFileError:
            seen["sheet_refused"] += 1
            return
        report = device_import.import_sheet(
            self.settings, self.town.tenant, sheet, dry=True, secrets_file=None
        )
        assert all(len(line) < 1000 for line in report.lines(dry=True))
        seen["sheet_faults" if report.faults else "sheet_good"] += 1


def _csv(dice: random.Random) -> tuple[str, bytes, int]:
    """A table with readings of the calm device, times with and without a zone."""
    at = datetime.fromtimestamp(NOW_MS / 1000, UTC)
    long = dice.random() < 0.3
    header = "time,device,property,value" if long else "time,device,seq,depth_m,temp_c"

    def row(number: int) -> bytes:
        time = (at + timedelta(seconds=number)).isoformat()
        cells = f"{time},calm,depth_m,0.5" if long else f"{time},calm,{number},0.5,"
        return cells.encode()

    rows = [row(number) for number in range(CALM)]
    rows += [_one_line(scramble(dice, row(100 + number))) for number in range(SPOILED)]
    rows += [row(200 + number) for number in range(CALM)]
    end = dice.choice((b"\n", b"\r\n"))
    mark = b"\xef\xbb\xbf" if dice.random() < 0.3 else b""
    return ".csv", mark + end.join([header.encode(), *rows]) + end, 2 * CALM


def _gpx(dice: random.Random) -> tuple[str, bytes, int]:
    """A track whose first points are good."""

    def point(number: int) -> bytes:
        time = datetime.fromtimestamp(NOW_MS / 1000 + number, UTC).isoformat()
        return f'<trkpt lat="38.2" lon="140.3"><time>{time}</time></trkpt>\n'.encode()

    points = [point(number) for number in range(CALM)]
    points += [scramble(dice, point(100 + number)) for number in range(SPOILED)]
    body = b"".join(points)
    return ".gpx", b'<gpx version="1.1"><trk><trkseg>\n' + body + b"</trkseg></trk></gpx>", CALM


def _nmea(dice: random.Random) -> tuple[str, bytes, int]:
    """A logger's lines, each of a second of its own."""

    def line(second: int) -> bytes:
        body = f"GPRMC,0210{second:02}.00,A,3814.40,N,14021.60,E,5.0,90.0,211125,,,A"
        return sentence(body).encode().strip()

    lines = [line(second) for second in range(CALM)]
    lines += [_one_line(scramble(dice, line(20 + second))) for second in range(SPOILED)]
    lines += [line(40 + second) for second in range(CALM)]
    return ".nmea", b"\r\n".join(lines) + b"\r\n", 2 * CALM


def _one_line(data: bytes) -> bytes:
    return data.replace(b"\r", b"").replace(b"\n", b"")
