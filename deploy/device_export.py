"""A town's sites and devices written as a sheet that `mizumori device import` takes back."""

import csv
import io
from collections.abc import Iterator
from typing import Any, Literal

from deploy.device_codec import mapping_entries
from deploy.device_sheet import NONE
from deploy.import_item import ImportFileError
from deploy.sheet_words import CHOICES, TITLES
from store import datastream_catalog, device_catalog, site_catalog
from store.database import Connection
from store.datastream_catalog import Datastream
from store.device_catalog import Device
from store.site_catalog import Site
from store.town_catalog import Tenant

Language = Literal["en", "ja"]
Encoding = Literal["utf-8", "cp932"]


def export_sheet(conn: Connection, town: Tenant, language: Language, encoding: Encoding) -> bytes:
    """Write every site and device; computed datastreams and secrets are not among it.

    UTF-8 has a byte order mark, so that a Japanese Excel opens it by a double click.

    Raises
    ------
    ImportFileError
        A name holds a character that CP932 does not have.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(TITLES.values() if language == "ja" else TITLES)
    for row in _rows(conn, town.tenant_id):
        writer.writerow([_cell(name, row.get(name), language) for name in TITLES])
    try:
        return text.getvalue().encode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeEncodeError as error:
        raise ImportFileError(
            f"CP932 has no {error.object[error.start : error.end]!r}: export as UTF-8."
        ) from error


def _rows(conn: Connection, tenant_id: int) -> Iterator[dict[str, Any]]:
    sites = {one.code: one for one in site_catalog.sites(conn, tenant_id)}
    streams: dict[int, list[Datastream]] = {}
    for stream in datastream_catalog.datastreams(conn, tenant_id):
        if not stream.derived:
            streams.setdefault(stream.device_id, []).append(stream)
    told: set[str] = set()
    for device in device_catalog.devices(conn, tenant_id):
        row = _device(device, streams.get(device.device_id, []))
        if device.site is not None and device.site not in told:
            told.add(device.site)
            row |= _site(sites[device.site])
        yield row
    for code, site in sites.items():
        if code not in told:
            yield _site(site)


def _site(site: Site) -> dict[str, Any]:
    return {
        "site": site.code,
        "site_kind": site.kind,
        "site_name_ja": site.name_ja,
        "site_name_en": site.name_en,
        "site_lat": site.lat,
        "site_lon": site.lon,
        "close_at_m": site.close_at_m,
        "crew_minutes": site.crew_minutes,
        "ground_m": site.ground_m,
    }


def _device(device: Device, streams: list[Datastream]) -> dict[str, Any]:
    return {
        "site": device.site or NONE,
        "device": device.code,
        "kind": device.kind,
        "name_ja": device.name_ja,
        "name_en": device.name_en,
        "lat": device.lat,
        "lon": device.lon,
        "interval_s": device.expected_interval_s,
        "state": device.state,
        "datastreams": " ".join(f"{one.property}:{one.unit}" for one in streams),
        "codec": device.codec,
        "model": device.codec_params.get("model", ""),
        "map": "; ".join(mapping_entries(device.codec_params)),
    }


def _cell(name: str, value: Any, language: Language) -> str:
    if value is None:
        return ""
    if language == "ja" and name in CHOICES:
        return CHOICES[name][value]
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)
