"""A file into the database, through the broker: the way of every reading, the same promises."""

import gzip
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from itertools import islice
from pathlib import Path

import msgspec

from deploy.broker.mqtt_client import Login, MqttAddress, publish
from deploy.compose_database import owner_transaction
from deploy.import_csv import read as read_csv
from deploy.import_item import Found, ImportFileError, Item, Skipped
from deploy.import_track import read_gpx, read_nmea
from deploy.settings import Settings
from gateway.codecs import native
from gateway.codecs.reading import Reading
from gateway.settings import GatewaySettings
from store import broker_accounts, datastream_catalog, device_catalog
from store.errors import RefusedError
from store.times import milliseconds
from store.town_catalog import Tenant

# Readings of a message, and messages of one visit to the broker.
MESSAGE_READINGS = 200
VISIT_MESSAGES = 100
_NAMED_PLACES = 10
# Reasons that are told apart: a file of nothing but other nonsense in each row has as many as rows.
_REASONS = 20


@dataclass
class Report:
    """What became of a file's readings; places are examples of what was skipped.

    `counts` is what the places number: lines or points.
    """

    counts: str = "line"
    total: int = 0
    resumed: int = 0
    sent: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[int]] = field(default_factory=dict)

    def skip(self, place: int, reason: str) -> None:
        """Count one that is left out."""
        if reason not in self.skipped and len(self.skipped) >= _REASONS:
            reason = "other reasons"
        self.skipped[reason] += 1
        examples = self.places.setdefault(reason, [])
        if len(examples) < _NAMED_PLACES:
            examples.append(place)

    def lines(self, *, dry: bool) -> Iterator[str]:
        """Say it."""
        before = f", {self.resumed} of them in an earlier run" if self.resumed else ""
        verb = "could be" if dry else "were"
        yield f"{self.sent + self.resumed} of {self.total} readings {verb} imported{before}."
        for reason, count in self.skipped.most_common():
            examples = ", ".join(map(str, self.places[reason]))
            more = ", …" if count > _NAMED_PLACES else ""
            yield f"{count} skipped: {reason} ({self.counts} {examples}{more})"


@dataclass(frozen=True)
class Town:
    """Who may be named in the file: each device with its datastreams, and whether it moves."""

    tenant: Tenant
    login: Login
    streams: dict[str, frozenset[str]]
    moving: frozenset[str]

    @property
    def taken(self) -> str:
        """All of what it takes, in words that are the same whenever that is the same."""
        streams = sorted((code, sorted(names)) for code, names in self.streams.items())
        return f"{streams}{sorted(self.moving)}"


def read_file(path: Path, zone: tzinfo | None) -> tuple[bytes, str, Iterator[Found]]:
    """Open a file by what its name says it is: .csv, .tsv, .gpx, .nmea, .log or .txt; or .gz.

    Returns
    -------
    tuple of bytes, str, and iterator
        The file unpacked, what its places number ("line" or "point"), and what is found in it.

    Raises
    ------
    ImportFileError
        If it is none of them.
    """
    data = path.read_bytes()
    kind = path.suffix.lower()
    if kind == ".gz":
        kind = path.with_suffix("").suffix.lower()
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ImportFileError(f"{path.name} cannot be unpacked: {error}.") from error
    if kind in (".csv", ".tsv"):
        return data, "line", read_csv(data, zone)
    if kind == ".gpx":
        return data, "point", read_gpx(data)
    if kind in (".nmea", ".nma", ".log", ".txt"):
        return data, "line", read_nmea(data)
    raise ImportFileError(f"{path.name} is neither .csv, .gpx nor .nmea: rename it to what it is.")


def find_town(settings: Settings, tenant: Tenant) -> Town:
    """Read what the town has; raises RefusedError if the broker does not know it yet."""
    with owner_transaction(settings) as conn:
        accounts = broker_accounts.list_accounts(conn)
        devices = device_catalog.devices(conn, tenant.tenant_id)
        streams = datastream_catalog.datastreams(conn, tenant.tenant_id)
    account = next((one for one in accounts if one.tenant_id == tenant.tenant_id), None)
    if account is None:
        raise RefusedError(f"The town {tenant.code} has no account at the broker yet.")
    properties: dict[int, set[str]] = {}
    for stream in streams:
        properties.setdefault(stream.device_id, set()).add(stream.property)
    taken = [one for one in devices if one.state not in ("quarantined", "retired")]
    return Town(
        tenant,
        Login.gateway_of(account),
        {one.code: frozenset(properties.get(one.device_id, ())) for one in taken},
        frozenset(one.code for one in taken if one.kind == "plow"),
    )


def import_file(
    settings: Settings,
    town: Town,
    path: Path,
    *,
    device: str | None,
    zone: tzinfo | None,
    now_ms: int,
    dry: bool,
    progress: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Send a file's readings through the broker; what the town cannot take is skipped.

    Stopped in the middle and started again it goes on where it was. With other data, another zone,
    or when the town takes more than before, it sends all of it, and what is stored already is
    recognised.

    Parameters
    ----------
    device
        Whose readings these are, where the file does not say.

    Raises
    ------
    ImportFileError, BrokerUnreachableError, OSError
        The file is unusable, the broker or the disk does not do its part.
    """
    data, counts, found = read_file(path, zone)
    asked = f"{town.tenant.code}/{device or ''}/{zone or ''}/{town.taken}/"
    mark = _Mark(settings.embedded.data_dir, asked.encode() + data)
    report = Report(counts)
    report.resumed = 0 if dry else mark.read()
    items = _taken(found, town, device, settings.gateway, now_ms, report)
    address = MqttAddress(settings.broker.host, settings.broker.port, settings.broker.tls_ca)
    for _ in islice(items, report.resumed):
        pass
    while True:
        batch = list(islice(items, MESSAGE_READINGS * VISIT_MESSAGES))
        if not batch:
            break
        if not dry:
            publish(address, town.login, _messages(town, batch))
            mark.write(report.resumed + report.sent + len(batch))
        report.sent += len(batch)
        progress(report)
    if not dry:
        mark.remove()
    return report


def _taken(
    found: Iterable[Found],
    town: Town,
    device: str | None,
    limits: GatewaySettings,
    now_ms: int,
    report: Report,
) -> Iterator[tuple[str, Reading]]:
    """Leave out what the gateway would refuse: it would go to quarantine, a message at a time."""
    earliest_ms = milliseconds(limits.earliest_time)
    latest_ms = now_ms + round(limits.max_future_s * 1000)
    for one in found:
        report.total += 1
        if isinstance(one, Skipped):
            report.skip(one.place, one.reason)
            continue
        code = one.device or device
        problem = _problem(one, code, town, earliest_ms, latest_ms)
        if problem or code is None:
            report.skip(one.place, problem)
            continue
        yield code, one.reading


def _problem(item: Item, code: str | None, town: Town, earliest_ms: int, latest_ms: int) -> str:
    """Say why a reading cannot be taken; empty: it can."""
    reading = item.reading
    unknown = set(reading.m or ()) - town.streams.get(code or "", frozenset())
    checks = (
        (code is None, "no device: add a column device, or say --device"),
        (code not in town.streams, f"the town has no device {str(code)[:64]!r} that may send"),
        ((reading.ts or 0) < earliest_ms, "the time is before gateway.earliest_time"),
        ((reading.ts or 0) > latest_ms, "the time is in the future"),
        (
            reading.fix is not None and code not in town.moving,
            f"a position, but {code} is no plow",
        ),
        (bool(unknown), f"{code} has no datastream {', '.join(sorted(unknown))[:100]}"),
    )
    return next((words for wrong, words in checks if wrong), "")


def _messages(town: Town, batch: list[tuple[str, Reading]]) -> Iterator[tuple[str, bytes]]:
    """Put readings into messages, each device's in their order."""
    own: dict[str, list[Reading]] = {}
    for code, reading in batch:
        own.setdefault(code, []).append(reading)
    for code, readings in own.items():
        topic = f"mz/v1/{town.tenant.code}/d/{code}/up"
        for start in range(0, len(readings), MESSAGE_READINGS):
            yield topic, native.encode_own(readings[start : start + MESSAGE_READINGS])


class _Mark:
    """How far an import came: one small file, named by what is imported, until it is done."""

    def __init__(self, data_dir: Path, imported: bytes) -> None:
        name = hashlib.sha256(imported).hexdigest()[:32]
        self._path = data_dir / "imports" / f"{name}.json"

    def read(self) -> int:
        try:
            return max(0, int(json.loads(self._path.read_bytes())["readings"]))
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def write(self, readings: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode({"readings": readings}))
        fresh.replace(self._path)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
