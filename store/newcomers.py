"""Devices that a town had never heard of: taken down in quarantine, let in by a person."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from psycopg.types.json import Jsonb

from detectors.sentence import Sentence
from store import audit, quarantine, queries
from store.config_channel import notify
from store.database import Connection
from store.datastream_catalog import USUAL_DATASTREAMS, add_datastreams, datastreams
from store.device_catalog import USUAL_INTERVAL_S, Device, device, set_device
from store.mistakes import DEVICE_KINDS, Mistake, MistakesError, NotThereError

_SQL = queries.load("newcomers")

# Units of the properties that are known by their name; of others a person says the unit.
KNOWN_UNITS: dict[str, str] = {
    **{name: unit for usual in USUAL_DATASTREAMS.values() for name, unit in usual},
    "stage_m": "m",
    "turbidity_ntu": "NTU",
    "lora_rssi": "dBm",
    "lora_snr": "dB",
}


@dataclass(frozen=True)
class Learned:
    """What a device's first message said of it.

    Attributes
    ----------
    topic
        It came on.
    properties
        That it named; empty where it was no native message.
    moves
        Whether it gave its position.
    """

    topic: str
    properties: tuple[str, ...] = ()
    moves: bool = False

    @property
    def kind(self) -> str:
        """The likeliest kind: a person may say another one when approving."""
        if self.moves:
            return "plow"
        pond = {name for name, _ in USUAL_DATASTREAMS["pond_probe"]} - {"battery_v"}
        return "pond_probe" if pond & set(self.properties) else "flood_level"


def register(conn: Connection, tenant_id: int, code: str, learned: Learned) -> bool:
    """Take an unknown device down, quarantined and without a secret.

    Returns
    -------
    bool
        False if the town takes none down, or no more within 24 hours.
    """
    kind = learned.kind
    row = {
        "tenant_id": tenant_id,
        "code": code,
        "kind": kind,
        "expected_interval_s": USUAL_INTERVAL_S[kind],
        "learned": Jsonb(asdict(learned)),
    }
    # Two gateways that hear newcomers at once would each see room for one more.
    conn.execute(_SQL["lock"], {"tenant_id": tenant_id})
    if conn.execute(_SQL["register"], row).rowcount:
        audit.record(conn, tenant_id, "device.register", [(code, asdict(learned))])
        notify(conn, "device")
        return True
    return bool(conn.execute(_SQL["is_there"], row).fetchone())


def registered_today(conn: Connection, tenant_id: int) -> int:
    """Count the devices that registered themselves within 24 hours."""
    [[count]] = conn.execute(_SQL["registered_today"], {"tenant_id": tenant_id}).fetchall()
    return int(count)


def waiting(conn: Connection, tenant_id: int) -> int:
    """Count the devices in quarantine."""
    [[count]] = conn.execute(_SQL["waiting"], {"tenant_id": tenant_id}).fetchall()
    return int(count)


def approve(
    conn: Connection,
    tenant_id: int,
    code: str,
    changes: Mapping[str, Any],
    streams: Sequence[tuple[str, str]] | None = None,
) -> tuple[tuple[str, str], ...]:
    """Let a device out of quarantine: from the next message on it is believed.

    Parameters
    ----------
    changes
        What is to be different of it, as `store.device_catalog.set_device` takes it.
    streams
        (property, unit) of the datastreams that it is to have; None: those that it has, else what
        it was heard to send, else the usual ones of its kind.

    Returns
    -------
    tuple of (str, str)
        The datastreams that were made.

    Raises
    ------
    NotThereError
        If there is no such device.
    MistakesError
        If it is not in quarantine, or a value is not allowed, or it sends something whose unit
        nobody has said.
    """
    found = device(conn, tenant_id, code)
    what = f"The device {code!r}"
    if found is None:
        raise NotThereError(f"This town has no device {code!r}.")
    if found.state != "quarantined":
        said = Sentence("is {state}: there is nothing to approve", state=found.state)
        raise MistakesError(what, [Mistake("state", said)])
    kind = str(changes.get("kind", found.kind))
    made = to_make(conn, found, kind, str(changes.get("codec", found.codec)), streams)
    values: dict[str, Any] = {"state": "active", **changes}
    if kind in DEVICE_KINDS and kind != found.kind and "expected_interval_s" not in changes:
        values["expected_interval_s"] = USUAL_INTERVAL_S[kind]
    set_device(conn, tenant_id, code, values, approving=True)
    add_datastreams(conn, tenant_id, [(code, name, unit) for name, unit in made])
    _begin_link(conn, tenant_id, code)
    quarantine.request_replay(conn, tenant_id, code)
    return made


def to_make(
    conn: Connection,
    found: Device,
    kind: str,
    codec: str,
    streams: Sequence[tuple[str, str]] | None,
) -> tuple[tuple[str, str], ...]:
    """Say which datastreams an approval makes for a device: those wanted that it has not yet.

    Raises
    ------
    MistakesError
        If it sends something whose unit nobody has said.
    """
    has = {one.property for one in datastreams(conn, found.tenant_id, [found.device_id])}
    if streams is None:
        what = f"The device {found.code!r}"
        streams = () if has else _streams(what, kind, codec == "native", found.learned)
    return tuple((name, unit) for name, unit in streams if name not in has)


def _streams(
    what: str, kind: str, is_native: bool, learned: Mapping[str, Any] | None
) -> tuple[tuple[str, str], ...]:
    """Choose the datastreams of a device that has none."""
    heard = tuple(learned["properties"]) if learned and is_native else ()
    strange = sorted(name for name in heard if name not in KNOWN_UNITS)
    if strange:
        said = Sentence(
            "are to be said: it sends {names}, whose unit is not known", names=", ".join(strange)
        )
        raise MistakesError(what, [Mistake("datastreams", said)])
    if heard:
        return tuple((name, KNOWN_UNITS[name]) for name in heard)
    return USUAL_DATASTREAMS.get(kind, ())


def _begin_link(conn: Connection, tenant_id: int, code: str) -> None:
    """Give a device its link record unless it has one; the gateway may not."""
    parameters = {"tenant_id": tenant_id, "code": code}
    if not conn.execute(_SQL["has_link"], parameters).fetchone():
        statements = queries.load("device_catalog")
        codes = {"tenant_id": tenant_id, "codes": [code]}
        conn.execute(statements["add_link"], codes)
        conn.execute(statements["add_link_event"], codes)
