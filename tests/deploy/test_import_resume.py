"""An import that breaks off goes on where it was, and sends what it is told to, in order."""

from zoneinfo import ZoneInfo

import pytest

from deploy import importing
from deploy.broker.errors import BrokerUnreachableError
from deploy.broker.mqtt_client import Login
from deploy.import_item import ImportFileError
from deploy.import_repeats import Known
from deploy.settings import load_settings
from gateway.codecs import native
from store.town_catalog import Tenant
from tests.gateway.test_nmea import RMC

START_MS = 1_793_493_000_000
ROWS = 45_000


@pytest.fixture
def settings(tmp_path):
    config = tmp_path / "mizumori.toml"
    config.write_text(f'[embedded]\ndata_dir = "{tmp_path / "var"}"\n')
    return load_settings(config)


@pytest.fixture
def town():
    tenant = Tenant(code="kawabe", name_ja="", name_en="", tenant_id=1)
    return importing.Town(tenant, Login("u", "p"), {"a": frozenset({"ph"})}, frozenset())


class Broker:
    """Stands for the visits to the broker: takes `visits` of them, then is away."""

    def __init__(self, monkeypatch):
        self.visits, self.times, self.devices = 10**9, [], ("a",)
        monkeypatch.setattr(importing, "publish", self.publish)
        monkeypatch.setattr(importing, "stored_already", lambda *said: [Known.NOT] * len(said[-1]))

    def publish(self, _address, _login, messages):
        if not self.visits:
            raise BrokerUnreachableError("away")
        self.visits -= 1
        for topic, payload in messages:
            assert topic in [f"mz/v1/kawabe/d/{code}/up" for code in self.devices]
            readings = native.decode(payload)
            assert len(readings) <= 200
            self.times += [reading.ts for reading in readings]


def test_an_import_that_breaks_off_goes_on_where_it_was(settings, town, monkeypatch, tmp_path):
    file = tmp_path / "pond.csv"
    file.write_text("time,ph\n" + "".join(f"{START_MS + n},7\n" for n in range(ROWS)) + "x,7\n")
    broker = Broker(monkeypatch)

    def run(**more):
        options = {"device": "a", "zone": None, "now_ms": START_MS + 10**9, "dry": False} | more
        return importing.import_file(settings, town, file, **options)

    assert run(dry=True).sent == ROWS
    assert broker.times == []
    broker.visits = 1
    with pytest.raises(BrokerUnreachableError):
        run()
    first = len(broker.times)
    assert 0 < first < ROWS
    broker.visits = 10**9
    so_far = []
    report = run(progress=lambda each: so_far.append(each.resumed + each.sent))
    assert first < so_far[0] < so_far[-1] == ROWS, "how far it is is told on the way"
    assert broker.times == [START_MS + n for n in range(ROWS)]
    assert (report.resumed, report.sent, report.total) == (first, ROWS - first, ROWS + 1)
    assert f"{ROWS} of {ROWS + 1} readings were imported, {first} of them in an earlier run." in [
        *report.lines(dry=False)
    ]
    assert run().resumed == 0  # done: the next time it is sent anew, and recognised
    assert list((tmp_path / "var/imports").iterdir()) == []


def test_an_import_goes_on_only_if_the_same_is_asked_of_it(settings, town, monkeypatch, tmp_path):
    file = tmp_path / "pond.csv"
    rows = [f"{START_MS + n},{'ab'[n % 2]},7\n" for n in range(ROWS)]
    file.write_text("time,device,ph\n" + "".join(rows))
    broker = Broker(monkeypatch)

    def run(town, zone):
        return importing.import_file(
            settings, town, file, device=None, zone=zone, now_ms=START_MS + 10**9, dry=False
        )

    def broken_off(town, zone):
        broker.visits = 1
        with pytest.raises(BrokerUnreachableError):
            run(town, zone)
        broker.visits = 10**9

    broken_off(town, None)
    assert run(town, ZoneInfo("Asia/Tokyo")).resumed == 0
    broker.times.clear()
    more = importing.Town(town.tenant, town.login, town.streams | {"b": {"ph"}}, town.moving)
    monkeypatch.setattr(broker, "devices", ("a", "b"))
    assert run(more, None).sent == ROWS
    assert sorted(broker.times) == [START_MS + n for n in range(ROWS)]
    assert run(town, None).resumed > 0


@pytest.mark.parametrize(("device", "row", "reason"), [
    (None, f"{START_MS},7", "no device: add a column device, or say --device"),
    ("b", f"{START_MS},7", "the town has no device 'b' that may send"),
    ("a", "900000000000,7", "the time is before gateway.earliest_time"),
    ("a", "1993493000000,7", "the time is in the future"),
])  # fmt: skip
def test_what_the_town_cannot_take_is_skipped_and_said(
    settings, town, monkeypatch, tmp_path, device, row, reason
):
    file = tmp_path / "pond.csv"
    file.write_text(f"time,ph\n{row}\n")
    broker = Broker(monkeypatch)
    report = importing.import_file(
        settings, town, file, device=device, zone=None, now_ms=START_MS + 1000, dry=False
    )
    assert list(report.lines(dry=False))[1] == f"1 skipped: {reason} (line 2)"
    assert broker.times == []


@pytest.mark.parametrize(("name", "text", "said"), [
    ("a.gpx", "<gpx>" + "<wpt/>" * 40 + "</gpx>",
     "40 skipped: the point has no usable time (point 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …)"),
    ("a.nmea", RMC + "$GP\n" * 2, "2 skipped: malformed (line 2, 3)"),
    ("a.csv", "time,ph\n" + f"{START_MS},high\n" * 12,
     "12 skipped: ph 'high' is not a number (line 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …)"),
])  # fmt: skip
def test_what_is_skipped_is_named_with_its_lines_or_points_some_of_them(
    settings, town, tmp_path, name, text, said
):
    file = tmp_path / name
    file.write_text(text, newline="")
    report = importing.import_file(
        settings, town, file, device="a", zone=None, now_ms=START_MS, dry=True
    )
    assert said in list(report.lines(dry=True))


def test_a_packed_file_that_is_damaged_is_refused_in_words(tmp_path):
    file = tmp_path / "pond.csv.gz"
    file.write_bytes(b"\x1f\x8b broken")
    with pytest.raises(ImportFileError, match="cannot be unpacked"):
        importing.read_file(file, None)
