"""A sheet of sites and devices brought into the catalog: all of it or nothing."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deploy.broker.secrets import TOLD_EVERY, hash_secrets, new_secret
from deploy.device_codec import changed_codec, codec_params, mapping_entries
from deploy.device_sheet import DeviceRow, Fault, Sheet, SiteRow
from deploy.import_item import ImportFileError
from deploy.settings import Settings
from deploy.writing import writing
from detectors.sentence import Sentence
from store import datastream_catalog, device_catalog, mistakes, site_catalog
from store.database import Connection
from store.device_catalog import USUAL_INTERVAL_S, Device, NewDevice
from store.errors import RefusedError
from store.mistakes import MistakesError
from store.site_catalog import NewSite, Site
from store.town_catalog import Tenant

# What is wrong with a column is wrong in every row: the first ones say it.
_NAMED_FAULTS = 100


class DryRunError(Exception):
    """Ends a transaction that was only a try."""


@dataclass
class Report:
    """What was, or would be, done.

    Attributes
    ----------
    faults
        What is wrong, row by row: with any of them nothing was written.
    secrets
        Of the devices that were added, by code.
    """

    added: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    same: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    def lines(self, *, dry: bool) -> Iterator[str]:
        """Say it."""
        found = sorted(self.faults, key=lambda fault: fault.line)
        for fault in found[:_NAMED_FAULTS]:
            yield f"Line {fault.line} {fault.said}."
        if self.faults:
            if len(found) > _NAMED_FAULTS:
                yield f"… and {len(found) - _NAMED_FAULTS} more."
            rows = len({fault.line for fault in self.faults})
            yield f"{rows} {'row is' if rows == 1 else 'rows are'} wrong: nothing was written."
            return
        verb = "would be " if dry else ""
        if not (self.added or self.changed or self.same):
            yield "The sheet names no site and no device: nothing is different."
        for what in ("site", "device", "datastream"):
            counts = (self.added[what], self.changed[what], self.same[what])
            if any(counts):
                yield (
                    f"{what}s: {counts[0]} {verb}added, {counts[1]} {verb}changed, "
                    f"{counts[2]} as they were"
                )


def import_sheet(
    settings: Settings,
    town: Tenant,
    sheet: Sheet,
    *,
    dry: bool,
    secrets_file: Path | None,
    say: Callable[[str], None] = lambda _line: None,
) -> Report:
    """Add and change what a sheet says; what it does not say stays as it is.

    Running it again changes nothing, and gives nobody another secret.

    Parameters
    ----------
    secrets_file
        A new file of mode 0600 for the secrets of the devices that are added; it is on the disk
        before they are committed. None: they are in the report alone.
    say
        Told how far a long sheet is.

    Raises
    ------
    ImportFileError
        The secrets' file cannot be written.
    StoreError
        The database refuses or does not answer; nothing was written.
    """
    report = Report(faults=list(sheet.faults))
    written: Path | None = None
    try:
        with writing(settings) as conn:
            _Import(conn, town, sheet, report, None if dry else say).run()
            _stop(report, dry=dry)
            if secrets_file is not None and report.secrets:
                write_secrets(secrets_file, town, report.secrets)
                written = secrets_file
    except DryRunError:
        report.secrets.clear()
    except BaseException:
        if written is not None:
            written.unlink(missing_ok=True)
        raise
    return report


def _stop(report: Report, *, dry: bool) -> None:
    if report.faults or dry:
        raise DryRunError


def write_secrets(path: Path, town: Tenant, secrets: Mapping[str, str]) -> None:
    """Write user names and secrets into a new file that only its owner reads.

    Raises
    ------
    ImportFileError
        It is there already, or cannot be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ImportFileError(
            f"{path} is there already: name a new file for the secrets, so that none is lost."
        ) from None
    except OSError as error:
        raise ImportFileError(f"{path} cannot be written: {error.strerror}.") from error
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in secret_lines(town, secrets))
        file.flush()
        os.fsync(file.fileno())


def secret_lines(town: Tenant, secrets: Mapping[str, str]) -> Iterator[str]:
    """Write user names and secrets as CSV."""
    yield "user,secret"
    for code, secret in secrets.items():
        yield f"{town.code}/{code},{secret}"


class _Import:
    """One sheet against one town, within one transaction; without `say` nobody gets a secret."""

    def __init__(
        self,
        conn: Connection,
        town: Tenant,
        sheet: Sheet,
        report: Report,
        say: Callable[[str], None] | None,
    ) -> None:
        self._conn = conn
        self._town = town.tenant_id
        self._sheet = sheet
        self._report = report
        self._say = say
        self._sites = {one.code: one for one in site_catalog.sites(conn, self._town)}
        self._devices = {one.code: one for one in device_catalog.devices(conn, self._town)}
        self._streams: dict[int, dict[str, str]] = {}
        for stream in datastream_catalog.datastreams(conn, self._town):
            self._streams.setdefault(stream.device_id, {})[stream.property] = stream.unit

    def run(self) -> None:
        """Bring in sites, then devices with their datastreams; none while anything is wrong."""
        for code, site in self._sheet.sites.items():
            self._guard(site.line, lambda code=code, site=site: self._site(code, site))
        new: list[NewDevice] = []
        for code, row in self._sheet.devices.items():
            if code in self._devices:
                known = self._devices[code]
                self._guard(row.line, lambda known=known, row=row: self._change(known, row))
            else:
                self._guard(row.line, lambda code=code, row=row: new.append(self._new(code, row)))
        if self._report.faults or not new:
            return
        device_catalog.add_devices(self._conn, self._town, self._with_secrets(new))
        self._report.added["device"] += len(new)
        self._report.added["datastream"] += sum(len(one.streams) for one in new)

    def _guard(self, line: int, work: Any) -> None:
        """Do one row; what the catalog refuses of it becomes words."""
        try:
            work()
        except MistakesError as error:
            said = [Fault(line, f"{one.field} {one.message}") for one in error.mistakes]
            self._report.faults += said
        except RefusedError as error:
            self._report.faults.append(Fault(line, f"is refused: {str(error).rstrip('.')}"))

    def _site(self, code: str, row: SiteRow) -> None:
        known = self._sites.get(code)
        if known is None:
            values = _named(code, row.values)
            _need(code, "site", values, ("kind",))
            mistakes.refuse(code, mistakes.of_site({**values, "code": code}))
            self._sites[code] = site_catalog.add_site(
                self._conn, self._town, NewSite(code=code, **values)
            )
            self._report.added["site"] += 1
            return
        if self._differs(known, row.values):
            site_catalog.set_site(self._conn, self._town, code, row.values)
            self._report.changed["site"] += 1
        else:
            self._report.same["site"] += 1

    def _new(self, code: str, row: DeviceRow) -> NewDevice:
        values = _named(code, row.values)
        _need(code, "device", values, ("kind",))
        values.setdefault("expected_interval_s", USUAL_INTERVAL_S[values["kind"]])
        if values.get("state") == "quarantined":
            said = Sentence("quarantined is for devices that registered themselves")
            raise MistakesError(code, [mistakes.Mistake("state", said)])
        new = NewDevice(code=code, **values, datastreams=row.streams)
        found = mistakes.of_device({**vars(new), "datastreams": new.streams})
        if new.site is not None and new.site not in self._sites:
            found.append(mistakes.no_such_site(new.site))
        mistakes.refuse(code, found)
        codec = row.codec or "native"
        params = codec_params(
            codec, row.entries or (), row.model or "", [name for name, _ in new.streams]
        )
        return replace(new, codec=codec, codec_params=params)

    def _change(self, known: Device, row: DeviceRow) -> None:
        if row.values.get("kind", known.kind) != known.kind:
            said = Sentence(
                "is {kind} there already: a device does not become another one", kind=known.kind
            )
            raise MistakesError(known.code, [mistakes.Mistake("kind", said)])
        has = self._streams.get(known.device_id, {})
        streams = [(name, unit) for name, unit in row.streams or () if name not in has]
        for name, unit in row.streams or ():
            if has.get(name, unit) != unit:
                said = Sentence(
                    "say {name} is in {unit}, but it is stored in {stored}",
                    name=name,
                    unit=unit,
                    stored=has[name],
                )
                raise MistakesError(known.code, [mistakes.Mistake("datastreams", said)])
        mistakes.refuse(
            known.code, mistakes.of_device({"code": known.code, "datastreams": row.streams or ()})
        )
        changes = dict(row.values)
        if (row.codec, row.model, row.entries) != (None, None, None):
            changes["codec"], params = changed_codec(
                (known.codec, known.codec_params),
                row.codec,
                row.entries,
                row.model,
                [*has, *(name for name, _ in streams)],
            )
            if mapping_entries(params) != mapping_entries(known.codec_params) or (
                params["model"] != known.codec_params.get("model", "")
            ):
                changes["codec_params"] = params
        if self._differs(known, changes):
            device_catalog.set_device(self._conn, self._town, known.code, changes)
            self._report.changed["device"] += 1
        else:
            self._report.same["device"] += 1
        if streams:
            rows = [(known.code, name, unit) for name, unit in streams]
            datastream_catalog.add_datastreams(self._conn, self._town, rows)
            self._report.added["datastream"] += len(streams)
        self._report.same["datastream"] += len(row.streams or ()) - len(streams)

    @staticmethod
    def _differs(known: Site | Device, values: Mapping[str, Any]) -> bool:
        return any(getattr(known, name) != value for name, value in values.items())

    def _with_secrets(self, new: Sequence[NewDevice]) -> Sequence[NewDevice]:
        if self._say is None:
            return new
        secrets = {one.code: new_secret() for one in new if one.state != "retired"}
        self._report.secrets |= secrets
        hashes = dict(zip(secrets, hash_secrets([*secrets.values()], self._tell), strict=True))
        return [replace(one, secret_hash=hashes.get(one.code)) for one in new]

    def _tell(self, done: int, of: int) -> None:
        if self._say is not None and of > TOLD_EVERY:
            now = "storing them" if done == of else "…"
            self._say(f"{done} of {of} devices have their secrets; {now}")


def _named(code: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Let a name of one language stand in for the other, and the code for both."""
    ja, en = values.get("name_ja"), values.get("name_en")
    return {**values, "name_ja": ja or en or code, "name_en": en or ja or code}


def _need(code: str, what: str, values: Mapping[str, Any], names: Iterable[str]) -> None:
    found = [
        mistakes.Mistake(
            name, Sentence("is missing: {code!r} is a new {what}", code=code, what=what)
        )
        for name in names
        if values.get(name) is None
    ]
    mistakes.refuse(code, found)
