"""Letting a device out of quarantine, from its row to its refused messages that come again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy.compose_database import owner_transaction
from deploy.device_codec import changed_codec
from deploy.settings import Settings
from deploy.waiting import NobodyError, wait_for
from deploy.writing import at_the_terminal
from store import (
    audit,
    datastream_catalog,
    device_catalog,
    newcomers,
    programs,
    quarantine,
)
from store.database import Connection
from store.town_catalog import Tenant

REPLAYED_WITHIN_S = 60.0


@dataclass(frozen=True)
class ReadAs:
    """How a device's messages are read, as `deploy.device_codec` has it; None: as before."""

    codec: str | None = None
    entries: Sequence[str] | None = None
    model: str | None = None


@dataclass(frozen=True)
class Approval:
    """What became of it: the datastreams that were made, and of its messages in words."""

    made: tuple[tuple[str, str], ...]
    sentence: str


def approve_device(
    settings: Settings,
    town: Tenant,
    code: str,
    changes: Mapping[str, object],
    streams: Sequence[tuple[str, str]] | None,
    read_as: ReadAs,
) -> Approval:
    """Approve a device, and wait a while for the jobs to replay what was refused of it.

    Raises
    ------
    RefusedError
        It cannot be read so, or is not in quarantine.
    StoreError
        The database refuses or does not answer.
    """
    with owner_transaction(settings) as conn:
        audit.write_as(conn, at_the_terminal())
        changes = {**changes, **_codec(conn, town, code, changes, streams, read_as)}
        made = newcomers.approve(conn, town.tenant_id, code, changes, streams)
        waited = quarantine.waiting(conn, town.tenant_id, code)

    def left(conn: Connection) -> int | None:
        if quarantine.is_replay_requested(conn, town.tenant_id, code):
            return None
        return quarantine.waiting(conn, town.tenant_id, code)

    try:
        refused = wait_for(settings, left, REPLAYED_WITHIN_S, {programs.JOBS, programs.UP})
    except NobodyError:
        refused = None
    if refused is not None:
        return Approval(made, _sentence(town, code, waited, refused))
    return Approval(
        made,
        f"Its {waited} refused messages come again when the jobs run: "
        f"`mizumori quarantine count {town.code}` shows it.",
    )


def _codec(
    conn: Connection,
    town: Tenant,
    code: str,
    changes: Mapping[str, object],
    streams: Sequence[tuple[str, str]] | None,
    read_as: ReadAs,
) -> dict[str, object]:
    """Return how its messages are read, if anything is said of it."""
    found = device_catalog.device(conn, town.tenant_id, code)
    if found is None or read_as == ReadAs():
        return {}
    kind, codec = str(changes.get("kind", found.kind)), read_as.codec or found.codec
    made = newcomers.to_make(conn, found, kind, codec, streams)
    has = datastream_catalog.datastreams(conn, town.tenant_id, [found.device_id])
    codec, params = changed_codec(
        (found.codec, found.codec_params),
        read_as.codec,
        read_as.entries,
        read_as.model,
        [*(one.property for one in has), *(name for name, _ in made)],
    )
    return {"codec": codec, "codec_params": params}


def _sentence(town: Tenant, code: str, waited: int, left: int) -> str:
    if not waited:
        return "No refused message of it waited."
    said = f"Of its {waited} refused messages {max(0, waited - left)} came again."
    if left:
        said += (
            f" {left} are still refused: `mizumori quarantine replay {town.code} --device {code} "
            "--dry-run` says why."
        )
    return said
