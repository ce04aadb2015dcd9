"""Sites and devices from a sheet: in the words and encodings of a town hall, all or nothing."""

# ruff: noqa: E501 (a sheet is as wide as it comes)

import stat
from pathlib import Path

import pytest

from deploy.device_export import export_sheet
from deploy.device_import import import_sheet
from deploy.device_sheet import read
from deploy.import_item import ImportFileError
from deploy.settings import Settings
from deploy.sheet_words import CHOICES, TITLES
from store import audit, datastream_catalog, device_catalog, site_catalog, town_catalog
from store.database import Database
from store.settings import DatabaseSettings
from store.town_catalog import NewTenant
from tests.fixtures.database import PASSWORD

ENGLISH = """\
site,site_kind,site_name_ja,site_lat,site_lon,close_at_m,ground_m,device,kind,name_ja,interval_s,datastreams,codec,map
ekimae,underpass,駅前地下道,38.9,139.8,0.1,3.4,ekimae-1,flood_level,駅前1,60,depth_m:m battery_v:V,senml-json,level=depth_m*0.01; v=battery_v
ekimae,,,,,,,ekimae-2,flood_contact,駅前2,,,,
ike-1,pond,一番池,,,,,,,,,,,
,,,,,,,plow-1,plow,除雪車1,5,,,
"""
JAPANESE = """\
地点,地点の種類,地点名,地点の緯度,地点の経度,通行止め水深（ｍ）,地盤高（ｍ）,機器,種類,機器名,送信間隔(秒),測定項目,形式,対応
ekimae,アンダーパス,駅前地下道,３８．９,139.8,０．１,３．４,ekimae-1,水位センサー,駅前1,６０,depth_m:m battery_v:V,senml-json,level=depth_m*0.01; v=battery_v
ekimae,,,,,,,ekimae-2,接触式 冠水センサー,駅前2,,,,
ike-1,養魚池,一番池,,,,,,,,,,,
,,,,,,,plow-1,除雪車,除雪車1,5,,,
"""


@pytest.fixture
def town(database_dsn):
    with Database(database_dsn.owner, name="sheet") as database:
        yield Town(database, database_dsn.owner)


class Town:
    def __init__(self, database, dsn):
        address = dict(part.split("=") for part in dsn.split())
        self.settings = Settings(
            database=DatabaseSettings(
                dsn=f"postgresql://{address['host']}:{address['port']}/{address['dbname']}",
                owner_password=PASSWORD,
            )
        )
        self.database = database
        with database.transaction() as conn:
            self.row = town_catalog.add_tenant(conn, NewTenant("sakata", "酒田市", "Sakata"))

    def load(self, text, *, dry=False, secrets=None, **more):
        data = text if isinstance(text, bytes) else text.encode()
        sheet = read(data)
        return import_sheet(self.settings, self.row, sheet, dry=dry, secrets_file=secrets, **more)

    def export(self, language="en", encoding="utf-8"):
        with self.database.transaction() as conn:
            return export_sheet(conn, self.row, language, encoding)

    def catalog(self):
        """Everything that there is, without ids."""
        with self.database.transaction() as conn:
            town = self.row.tenant_id
            devices = device_catalog.devices(conn, town)
            codes = {one.device_id: one.code for one in devices}
            return (
                [(s.code, s.kind, s.name_ja, s.name_en, s.lat, s.close_at_m, s.ground_m)
                 for s in site_catalog.sites(conn, town)],
                [(d.code, d.kind, d.site, d.name_ja, d.lat, d.expected_interval_s, d.state, d.codec,
                  d.codec_params) for d in devices],
                [(codes[s.device_id], s.property, s.unit)
                 for s in datastream_catalog.datastreams(conn, town)],
            )  # fmt: skip

    def entries(self):
        with self.database.transaction() as conn:
            return audit.entries(conn, self.row.tenant_id)


@pytest.mark.parametrize(
    "data",
    [
        ENGLISH.encode(),
        ENGLISH.replace("\n", "\r\n").encode("utf-8-sig"),
        JAPANESE.encode("cp932"),
        JAPANESE.encode("utf-8-sig"),
        JAPANESE.replace(",", "\t").encode("utf-16"),  # Excel's "Unicode text"
    ],
    ids=["utf-8", "bom-crlf", "cp932", "ja-bom", "utf-16-tab"],
)
def test_every_encoding_and_language_gives_the_same_catalog(town, data):
    report = town.load(data)
    assert report.faults == []
    assert list(report.lines(dry=False)) == [
        "sites: 2 added, 0 changed, 0 as they were",
        "devices: 3 added, 0 changed, 0 as they were",
        "datastreams: 4 added, 0 changed, 0 as they were",
    ]
    sites, devices, streams = town.catalog()
    assert sites == [
        ("ekimae", "underpass", "駅前地下道", "駅前地下道", 38.9, 0.1, 3.4),
        ("ike-1", "pond", "一番池", "一番池", None, None, None),
    ]
    assert [one[:7] for one in devices] == [
        ("ekimae-1", "flood_level", "ekimae", "駅前1", None, 60.0, "active"),
        ("ekimae-2", "flood_contact", "ekimae", "駅前2", None, 600.0, "active"),
        ("plow-1", "plow", None, "除雪車1", None, 5.0, "active"),
    ]
    assert devices[0][7] == "senml-json"
    assert devices[0][8]["map"]["level"] == {
        "property": "depth_m", "scale": 0.01, "offset": 0.0, "words": {},
    }  # fmt: skip
    assert ("ekimae-2", "depth_m", "m") in streams
    assert sorted(report.secrets) == ["ekimae-1", "ekimae-2", "plow-1"]


def test_again_changes_nothing_and_gives_no_other_secret(town):
    town.load(ENGLISH)
    before, said = town.catalog(), len(town.entries())
    again = town.load(ENGLISH)
    assert (again.added, again.changed, again.secrets) == ({}, {}, {})
    assert again.same == {"site": 2, "device": 3, "datastream": 2}
    assert town.catalog() == before
    assert len(town.entries()) == said


@pytest.mark.parametrize(("language", "encoding"), [("en", "utf-8"), ("ja", "cp932")])
def test_what_is_exported_comes_back_equal(town, language, encoding):
    town.load(ENGLISH)
    with town.database.transaction() as conn:
        device_catalog.set_device(
            conn, town.row.tenant_id, "plow-1",
            {"lat": 38.123456789012345, "lon": 139.1, "state": "out_of_season",
             "codec_params": {"map": {"a b": {"property": "fix.lat", "scale": -0.5,
                                              "offset": 2.25, "words": {"x": 1.0}},
                                      "c": {}}, "model": ""}},
        )  # fmt: skip
    before, data = town.catalog(), town.export(language, encoding)
    assert data.startswith(b"\xef\xbb\xbf") == (encoding == "utf-8")
    assert town.load(data).faults == []
    assert town.catalog()[0] == before[0]
    assert town.catalog()[2] == before[2]
    assert town.load(data).changed == {}


def test_only_what_is_said_changes(town):
    town.load(ENGLISH)
    report = town.load(
        "device,lat,lon,state,site,datastreams\n"
        "ekimae-1,38.5,139.5,maintenance,-,turbidity_ntu:NTU depth_m:m\n"
        "ekimae-2,,,,,\n"
    )
    assert report.faults == []
    assert (report.changed["device"], report.same["device"]) == (1, 1)
    _, devices, streams = town.catalog()
    assert devices[0][:7] == ("ekimae-1", "flood_level", None, "駅前1", 38.5, 60.0, "maintenance")
    assert ("ekimae-1", "turbidity_ntu", "NTU") in streams
    assert town.entries()[0].writer.startswith("terminal")
    town.load("device,lat,lon\nekimae-1,-,-\n")
    assert town.catalog()[1][0][4] is None


def test_each_wrong_row_is_named_and_nothing_is_written(town, tmp_path):
    town.load(ENGLISH)
    before = town.catalog()
    report = town.load(
        "device,kind,site,site_kind,lat,lon,interval_s,state,datastreams,codec,map\n"
        "new-1,flood_level,,,,,,,,,\n"
        "new-2,,,,,,,,,,\n"
        "new 3,plow,,,,,,,,,\n"
        "new-4,ドローン,,,,,,,,,\n"
        "new-5,plow,nowhere,,,,,,,,\n"
        "new-6,plow,,,91,139,,,,,\n"
        "new-7,plow,,,38.1,,,,,,\n"
        "new-8,plow,,,abc,1,,,,,\n"
        "new-9,plow,,,,,0,,,,\n"
        "new-1,plow,,,,,,,,,\n"
        "ekimae-1,plow,,,,,,,,,\n"
        "ekimae-1x,flood_level,,,,,,,depth,,\n"
        "ekimae-2,,,,,,,,depth_m:cm,,\n"
        "new-10,flood_level,,,,,,,,morse,\n"
        "new-11,flood_level,,,,,,,,senml-json,x=turbidity_ntu\n"
        ",,ike-1,street,,,,,,,\n"
        ",,ike-2,,,,,,,,\n"
        ",,ike-1,river,,,,,,,\n"
        ",plow,,,,,,,,,\n"
        "new-12,plow,,,,,,quarantined,,,\n"
        "new-13,plow,,,,,,,,,,extra\n",
        secrets=tmp_path / "secrets",
    )
    said = {fault.line: fault.said for fault in report.faults}
    assert {
        line: words for line, words in EXPECTED.items() if words not in said.get(line, "")
    } == {}
    assert said.keys() == EXPECTED.keys()
    assert town.catalog() == before
    assert not (tmp_path / "secrets").exists()
    assert list(report.lines(dry=False))[-1] == f"{len(said)} rows are wrong: nothing was written."


EXPECTED = {
    3: "kind is missing: 'new-2' is a new device",
    4: "code 'new 3' is not allowed",
    5: "kind 'ドローン' is none of flood_contact (接触式冠水センサー)",
    6: "site 'nowhere' is none that this town has",
    7: "lat 91 is not allowed: degrees from -90 to 90",
    8: "lon is missing: lat alone is no position",
    9: "lat 'abc' is not a number",
    10: "expected_interval_s is not allowed: seconds",
    11: "names the device 'new-1' again, after line 2",
    12: "kind is flood_level there already",
    13: "datastreams 'depth' is not PROPERTY:UNIT",
    14: "datastreams say depth_m is in cm, but it is stored in m",
    15: "there is no codec 'morse'",
    16: "mapped to 'turbidity_ntu', but the device has no such datastream",
    18: "kind is missing: 'ike-2' is a new site",
    19: "says another kind of the site 'ike-1' than line 17",
    20: "says kind of no device: its code is missing",
    21: "state quarantined is for devices that registered themselves",
    22: "has 'extra' in a column without a title",
}


def test_how_far_a_long_sheet_is_is_said_without_a_secret(town, monkeypatch):
    for module in ("deploy.broker.secrets", "deploy.device_import"):
        monkeypatch.setattr(f"{module}.TOLD_EVERY", 2)
    rows = "\n".join(f"plow-{n},plow" for n in range(3))
    said = []
    town.load(f"device,kind\n{rows}\n", say=said.append)
    assert said == [
        "2 of 3 devices have their secrets; …",
        "3 of 3 devices have their secrets; storing them",
    ]


def test_a_dry_run_says_the_same_and_writes_nothing(town, tmp_path):
    report = town.load(ENGLISH, dry=True, secrets=tmp_path / "secrets")
    assert (
        next(report.lines(dry=True))
        == "sites: 2 would be added, 0 would be changed, 0 as they were"
    )
    assert town.catalog() == ([], [], [])
    assert report.secrets == {}
    assert not (tmp_path / "secrets").exists()


def test_secrets_lie_in_a_file_that_only_its_owner_reads(town, tmp_path):
    path = tmp_path / "secrets.csv"
    report = town.load(ENGLISH, secrets=path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = path.read_text().splitlines()
    assert lines[0] == "user,secret"
    assert f"sakata/plow-1,{report.secrets['plow-1']}" in lines
    for secret in report.secrets.values():
        assert secret not in repr(report)
        assert all(secret not in str(entry.change) for entry in town.entries())


def test_a_secrets_file_that_is_there_is_left_alone_and_nothing_is_written(town, tmp_path):
    path = tmp_path / "secrets.csv"
    path.write_text("older ones")
    with pytest.raises(ImportFileError, match="is there already: name a new file"):
        town.load(ENGLISH, secrets=path)
    with pytest.raises(ImportFileError, match="cannot be written"):
        town.load(ENGLISH, secrets=tmp_path / "no" / "such")
    assert path.read_text() == "older ones"
    assert town.catalog() == ([], [], [])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "among them device"),
        (b"name_ja\nx\n", "among them device"),
        (b"device,kynd\n", r"no column 'kynd': did you mean kind \(種類\)"),
        ("機器,種るい\n".encode(), r"no column '種るい': the columns are .*kind \(種類\)"),
        (b"device,xyzzy\n", r"the columns are site \(地点\), site_kind"),
        ("device,機器\n".encode(), "The column device is there twice"),
        (b"\x81\xff\x00", "neither UTF-8 nor CP932"),
    ],
)
def test_a_file_that_is_no_sheet_is_refused_in_words(data, says):
    with pytest.raises(ImportFileError, match=says):
        read(data)


def test_a_column_that_is_wrong_in_every_row_is_said_a_hundred_times_and_counted(town):
    report = town.load("device,kind\n" + "".join(f"d {n},boat\n" for n in range(5000)))
    *named, more, end = report.lines(dry=False)
    assert len(named) == 100
    assert (more, end) == ("… and 4900 more.", "5000 rows are wrong: nothing was written.")


def test_a_sheet_without_rows_says_so(town):
    assert list(town.load("device,kind\r\n").lines(dry=False)) == [
        "The sheet names no site and no device: nothing is different."
    ]


def test_five_thousand_devices_at_once(town):
    rows = "".join(f"d-{n},flood_level,冠水{n},60\n" for n in range(5000))
    assert town.load("device,kind,name_ja,interval_s\n" + rows).added["device"] == 5000
    again = town.load("device,kind,name_ja,interval_s\n" + rows)
    assert again.same["device"] == 5000


def test_a_name_that_cp932_lacks_is_exported_as_utf8_only(town):
    town.load("地点コード,地点種別,site_name_ja\nx,street,鮭川𠮷野\n")
    with pytest.raises(ImportFileError, match="CP932 has no '𠮷': export as UTF-8"):
        town.export("ja", "cp932")


@pytest.mark.parametrize("page", ["provisioning.md", "provisioning.ja.md"])
def test_every_column_and_choice_is_documented(page):
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    table = "\n".join(line for line in text.splitlines() if line.startswith("| `"))
    for name, title in TITLES.items():
        assert f"`{name}`" in table
        assert title in table
    for words in CHOICES.values():
        for word, title in words.items():
            assert f"`{word}` {title}" in table
