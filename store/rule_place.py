"""Where a rule is changed or looked at, and which rules count there."""

from collections.abc import Sequence
from dataclasses import dataclass

from detectors.profiles import LINK
from detectors.sentence import Sentence
from store import datastream_catalog, device_catalog, mistakes, site_catalog
from store.database import Connection
from store.mistakes import Mistake
from store.rules_in_force import ScopedRule


@dataclass(frozen=True)
class Place:
    """Where a rule is changed or looked at: the whole town, a site or a device."""

    site: str | None = None
    site_id: int | None = None
    site_kind: str | None = None
    device: str | None = None
    device_id: int | None = None
    device_kind: str | None = None
    properties: frozenset[str] = frozenset()

    def encloses(self, row: ScopedRule) -> bool:
        """Tell whether a rule of this scope counts here, for the sensors that it is for."""
        return row.site in (None, self.site) and row.device in (None, self.device)

    def objection(
        self, observed_property: str, device_kind: str | None, site_kinds: Sequence[str] | None
    ) -> Sentence | None:
        """Say why a rule for these is not for this place; None: it is."""
        here = self.device or self.site
        if self.device_kind and device_kind not in (None, self.device_kind):
            return Sentence(
                "{place!r} is a {kind}; this rule is for {kinds}",
                place=here,
                kind=self.device_kind,
                kinds=device_kind,
            )
        if self.site_kind and site_kinds and self.site_kind not in site_kinds:
            return Sentence(
                "{place!r} is a {kind}; this rule is for {kinds}"
                if self.device is None
                else "{place!r} stands at {site!r}, which is a {kind}; this rule is for {kinds}",
                place=here,
                site=self.site,
                kind=self.site_kind,
                kinds=", ".join(site_kinds),
            )
        if self.device and observed_property != LINK and observed_property not in self.properties:
            return Sentence(
                "{device!r} measures no {property}, but {known}",
                device=self.device,
                property=observed_property,
                known=", ".join(sorted(self.properties)) or "-",
            )
        return None


def find(
    conn: Connection, tenant_id: int, site: str | None = None, device: str | None = None
) -> Place:
    """Find where a rule is to be changed.

    Raises
    ------
    MistakesError
        If the site or the device is not there, or both are given.
    """
    what = "The place"
    if site is not None and device is not None:
        mistakes.refuse(
            what, [Mistake("device", Sentence("goes without site: a rule is for one of them"))]
        )
    known = {one.code: one for one in site_catalog.sites(conn, tenant_id)}
    if device is None:
        if site is None:
            return Place()
        if site not in known:
            mistakes.refuse(what, [mistakes.no_such_site(site)])
        return Place(site=site, site_id=known[site].site_id, site_kind=known[site].kind)
    odd = mistakes.of_device({"code": device})
    found = None if odd else device_catalog.device(conn, tenant_id, device)
    if found is None:
        said = Sentence("{code!r} is none that this town has", code=device[:80])
        raise mistakes.MistakesError(what, [Mistake("device", said)])
    streams = datastream_catalog.datastreams(conn, tenant_id, [found.device_id])
    return Place(
        site=found.site,
        site_kind=None if found.site is None else known[found.site].kind,
        device=found.code,
        device_id=found.device_id,
        device_kind=found.kind,
        properties=frozenset(stream.property for stream in streams),
    )


def standing(rows: Sequence[ScopedRule], here: Place) -> dict[str, ScopedRule]:
    """Choose of the rules in their scopes what counts in a place, by code, off or not."""
    found: dict[str, ScopedRule] = {}
    order = sorted(
        rows, key=lambda row: (row.device is not None, row.site is not None, row.valid_from,
                               row.version),
    )  # fmt: skip
    for row in order:
        if here.encloses(row) and not here.objection(row.property, row.device_kind, row.site_kinds):
            found[row.code] = row
    return found
