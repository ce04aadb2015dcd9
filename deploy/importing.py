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
from deploy.import_repeats import REPEATED, STORED, Known, Repeats, Taken, stored_already
from deploy.import_track import read_gpx, read_nmea
from deploy.settings import Settings
from gateway.codecs import native
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

    `counts` is what the places number: lines or points. `beside` are kept beside another value of
    the same time, of which a rule says which one stands.
    """

    counts: str = "line"
    total: int = 0
    resumed: int = 0
    sent: int = 0
    beside: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[int]] = field(default_factory=dict)

    def skip(self, place: int, reason: str) -> None:
        """Count one that is left out."""
        if reason not in self.skipped and len(self.skipped) >= _REASONS:
            reason = "other reasons"
        self.skipped[reason] += 1
        self._name(place, reason)

    def set_beside(self, place: int) -> None:
        """Count one that contradicts another one."""
        self.beside += 1
        self._name(place, "beside")

    @property
    def useful(self) -> bool:
        """Whether anything of the file is stored, now or already."""
        return bool(self.resumed or self.sent or self.beside or self.skipped[STORED])

    def _name(self, place: int, reason: str) -> None:
        examples = self.places.setdefault(reason, [])
        if len(examples) < _NAMED_PLACES:
            examples.append(place)

    def lines(self, *, dry: bool) -> Iterator[str]:
        """Say it."""
        before = f", {self.resumed} of them in an earlier run" if self.resumed else ""
        verb = "could be" if dry else "were"
        yield f"{self.sent + self.resumed} of {self.total} readings {verb} imported{before}."
        if self.beside:
            yield (
                f"{self.beside} kept beside another value of the same time, of which one stands "
                f"({self._where('beside', self.beside)})"
            )
        for reason, count in self.skipped.most_common():
            yield f"{count} skipped: {reason} ({self._where(reason, count)})"

    def _where(self, reason: str, count: int) -> str:
        examples = ", ".join(map(str, self.places[reason]))
        return f"{self.counts} {examples}{', …' if count > _NAMED_PLACES else ''}"


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
    done, report.resumed = (0, 0) if dry else mark.read()
    items = _taken(found, town, device, settings.gateway, now_ms, report)
    address = MqttAddress(settings.broker.host, settings.broker.port, settings.broker.tls_ca)
    for one, said in islice(items, done):
        if said is Known.OTHER:
            report.set_beside(one.place)
    while batch := list(islice(items, MESSAGE_READINGS * VISIT_MESSAGES)):
        stored = stored_already(settings, town.tenant.tenant_id, [one for one, _ in batch])
        news = list(_news(batch, stored, report))
        if not dry:
            if news:
                publish(address, town.login, _messages(town, news))
            done += len(batch)
            mark.write(done, report.resumed + report.sent)
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
) -> Iterator[tuple[Taken, Known]]:
    """Leave out what the gateway would refuse: it would go to quarantine, a message at a time.

    And what the file says twice; of the others it is told whether they contradict it.
    """
    repeats = Repeats()
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
        taken = Taken(one.place, code, one.reading)
        if (known := repeats.look(taken)) is Known.SAME:
            report.skip(one.place, REPEATED)
            continue
        yield taken, known


def _news(batch: list[tuple[Taken, Known]], stored: list[Known], report: Report) -> Iterator[Taken]:
    """Leave out what is stored already."""
    for (one, said), there in zip(batch, stored, strict=True):
        if there is Known.SAME:
            report.skip(one.place, STORED)
            continue
        if Known.OTHER in (said, there):
            report.set_beside(one.place)
        else:
            report.sent += 1
        yield one


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


def _messages(town: Town, news: list[Taken]) -> Iterator[tuple[str, bytes]]:
    """Put readings into messages, each device's in their order."""
    own: dict[str, list[Taken]] = {}
    for one in news:
        own.setdefault(one.code, []).append(one)
    for code, taken in own.items():
        topic = f"mz/v1/{town.tenant.code}/d/{code}/up"
        for start in range(0, len(taken), MESSAGE_READINGS):
            some = taken[start : start + MESSAGE_READINGS]
            yield topic, native.encode_own([one.reading for one in some])


class _Mark:
    """How far an import came: one small file, named by what is imported, until it is done."""

    def __init__(self, data_dir: Path, imported: bytes) -> None:
        name = hashlib.sha256(imported).hexdigest()[:32]
        self._path = data_dir / "imports" / f"{name}.json"

    def read(self) -> tuple[int, int]:
        """Return how many readings are done with, and how many of them were imported."""
        try:
            said = json.loads(self._path.read_bytes())
            return max(0, int(said["readings"])), max(0, int(said["imported"]))
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0

    def write(self, readings: int, imported: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode({"readings": readings, "imported": imported}))
        fresh.replace(self._path)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
