"""A town whose devices are those of a recording."""

import csv
from collections.abc import Mapping
from pathlib import Path

from deploy.compose_database import open_database
from deploy.demo.device_secrets import DeviceSecrets
from deploy.demo.enrolment import EnrolledTown, enrol
from deploy.settings import Settings
from firmware_sim.errors import RecordingError
from firmware_sim.recording import Recording, read_recording
from store.datastream_catalog import USUAL_DATASTREAMS
from store.device_catalog import NewDevice

DEFAULT_INTERVAL_S = 60.0
COLUMNS = ("device", "kind", "site_kind", "name_ja", "name_en", "lat", "lon", "expected_interval_s")
UNITS = {
    **{name: unit for streams in USUAL_DATASTREAMS.values() for name, unit in streams},
    "stage_m": "m",
    "turbidity_ntu": "NTU",
}
TOWN_ZOOM = 11.0


def register_recording(settings: Settings, path: Path, tenant: str) -> None:
    """Put a recording's town (marked 訓練), devices and default rules into the database.

    May be repeated; a town that exists gets the missing devices only.

    Raises
    ------
    RecordingError
        The recording or the list of its devices is wrong.
    SettingsError, StoreError, EmbeddedError
        In words.
    """
    town = recorded_town(path, tenant)
    with open_database(settings, "owner", name="mizumori-register", max_size=1) as database:
        enrol(database, town, DeviceSecrets.of(settings))


def recorded_town(path: Path, tenant: str) -> EnrolledTown:
    """Return what the database is to know of a recording's devices.

    Names and places come from `NAME.devices.csv` beside the recording, if it is there.

    Raises
    ------
    RecordingError
        The recording or the list is wrong.
    """
    recording = read_recording(path)
    listed = _listed(_list_path(path))
    devices, sites = [], []
    for code in recording.devices:
        row = listed.get(code, {})
        kind = row.get("kind") or _kind(recording, code)
        lat, lon = _place(row, recording, code)
        name_ja, name_en = row.get("name_ja") or code, row.get("name_en") or code
        site = None
        if kind != "plow":
            site = code
            site_kind = row.get("site_kind") or ("pond" if kind == "pond_probe" else "street")
            sites.append(
                {
                    "code": code,
                    "kind": site_kind,
                    "name_ja": name_ja,
                    "name_en": name_en,
                    "lat": lat,
                    "lon": lon,
                }
            )
        devices.append(
            NewDevice(
                code=code,
                kind=kind,
                name_ja=name_ja,
                name_en=name_en,
                lat=lat,
                lon=lon,
                expected_interval_s=_interval_s(row, code),
                site=site,
                datastreams=tuple(
                    (name, UNITS.get(name, "1")) for name in recording.properties[code]
                ),
            )
        )
    lats = [device.lat for device in devices if device.lat is not None]
    lons = [device.lon for device in devices if device.lon is not None]
    middle = {}
    if lats and lons:
        middle = {"map_lat": sum(lats) / len(lats), "map_lon": sum(lons) / len(lons)}
    return EnrolledTown(
        tenant={
            "code": tenant,
            "name_ja": tenant,
            "name_en": tenant,
            "training": True,
            "map_zoom": TOWN_ZOOM,
            **middle,
        },
        sites=tuple(sites),
        devices=tuple(devices),
    )


def _list_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".gz").removesuffix(".csv") + ".devices.csv")


def _listed(path: Path) -> Mapping[str, dict[str, str]]:
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines)
            strange = set(rows.fieldnames or ()) - set(COLUMNS)
            if strange or "device" not in (rows.fieldnames or ()):
                raise RecordingError(
                    f"{path}, line 1: the columns are {', '.join(COLUMNS)}, of which only device "
                    "is needed."
                )
            return {row["device"]: row for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path} cannot be read: {error}.") from error


def _kind(recording: Recording, code: str) -> str:
    properties = set(recording.properties[code])
    if not properties:
        return "plow"
    if properties & {"depth_m", "stage_m"}:
        return "flood_level"
    return "pond_probe"


def _interval_s(row: Mapping[str, str], code: str) -> float:
    try:
        return float(row.get("expected_interval_s") or DEFAULT_INTERVAL_S)
    except ValueError as error:
        raise RecordingError(f"The interval of {code} is no number: {error}.") from error


def _place(
    row: Mapping[str, str], recording: Recording, code: str
) -> tuple[float | None, float | None]:
    if row.get("lat") and row.get("lon"):
        try:
            return float(row["lat"]), float(row["lon"])
        except ValueError as error:
            raise RecordingError(f"The place of {code} is no number: {error}.") from error
    fix = next((r.sample.fix for r in recording.rows if r.device == code and r.sample.fix), None)
    return (fix.lat, fix.lon) if fix else (None, None)
