"""Changes of a town's rules by people and programs: checked, saved as a version, written down.

What a change leaves out stays as it is in force in the place that it is for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final

from detectors.profiles import LINK
from detectors.rules import ParameterError, Silence, rule_from_params
from detectors.sentence import Sentence
from detectors.spoken_depth import spoken
from detectors.track import Location, Speed
from store import audit, mistakes, rule_place, rules, rules_in_force
from store.database import Connection
from store.mistakes import Mistake
from store.rule_place import Place
from store.rules import RuleVersion
from store.rules_in_force import ScopedRule

_OWN = ("kind", "property", "device_kind", "site_kinds", "label_scheme")
# Tests of fixes, which belong to no datastream.
_UNRULED: Final = (Location.kind, Speed.kind)
# A season is planned a year ahead; what lies beyond is a slip of the keyboard.
_AHEAD: Final = timedelta(days=2 * 365)


@dataclass(frozen=True)
class Change:
    """What is to be different of a rule, in the whole town, at one site or at one device.

    Attributes
    ----------
    code
    site, device
        Codes, one at most; both None: the whole town.
    params
        Parameters that are to be different.
    enabled
        False switches the rule off in this scope.
    inherits
        True gives the site's or device's own versions up: the wider scope counts again.
    kind, property, device_kind, site_kinds, label_scheme
        Of a new rule; a rule that is there keeps its own.
    valid_from
        For readings measured from then on; None: from now on.
    """

    code: str
    site: str | None = None
    device: str | None = None
    params: Mapping[str, Any] | None = None
    enabled: bool | None = None
    inherits: bool = False
    kind: str | None = None
    property: str | None = None
    device_kind: str | None = None
    site_kinds: Sequence[str] | None = None
    label_scheme: str | None = None
    valid_from: datetime | None = None


@dataclass(frozen=True)
class Plan:
    """A change that can be saved, with what it leaves out filled in."""

    place: Place
    code: str
    kind: str
    property: str
    device_kind: str | None
    site_kinds: list[str] | None
    label_scheme: str
    params: dict[str, Any]
    enabled: bool
    inherits: bool
    new: bool


def plan(conn: Connection, tenant_id: int, change: Change) -> Plan:
    """Look at a change, and fill in what it leaves out; nothing is written.

    Raises
    ------
    MistakesError
        If the rule, the site or the device is not there, or the rule is not for it, or the
        detectors refuse the parameters: with the field, in words.
    """
    what = f"The rule {change.code[:80]!r}"
    mistakes.refuse(what, mistakes.of_rule(_given(change)))
    here = rule_place.find(conn, tenant_id, change.site, change.device)
    now = rules.now(conn)
    mistakes.refuse(what, _of_time(change.valid_from, now))
    versions = rules.versions(conn, tenant_id, change.code)
    rows = rules_in_force.in_scopes(conn, tenant_id, change.valid_from or now)
    if not versions:
        mistakes.refuse(what, _of_new(change, {row.code for row in rows}))
    base = rule_place.standing(rows, here).get(change.code)
    own = base or (versions[-1] if versions else None)
    planned = Plan(
        place=here,
        code=change.code,
        kind=own.kind if own else change.kind or "",
        property=own.property if own else change.property or "",
        device_kind=own.device_kind if own else change.device_kind,
        site_kinds=own.site_kinds if own else list(change.site_kinds or ()) or None,
        label_scheme=own.label_scheme if own else change.label_scheme or "street",
        params={**(base.params if base else {}), **(change.params or {})},
        enabled=change.enabled if change.enabled is not None else base.enabled if base else True,
        inherits=change.inherits,
        new=not versions,
    )
    mistakes.refuse(what, _of_plan(planned, change, rows))
    try:
        params = rule_from_params(planned.kind, planned.params).to_params()
    except ParameterError as error:
        raise mistakes.MistakesError(what, [_in_params(spoken(error, planned.property))]) from error
    return Plan(**{**vars(planned), "params": params})


def apply(conn: Connection, tenant_id: int, change: Change) -> RuleVersion:
    """Save a change as a new version, which holds from then on, and write down who did it.

    Raises
    ------
    MistakesError
        As `plan`, or two rules of one kind would hold somewhere of which only one counts. The
        transaction has to end with it.
    """
    mistakes.refuse(f"The rule {change.code[:80]!r}", mistakes.of_rule({"code": change.code}))
    rules.lock(conn, tenant_id, change.code)  # so that the base is not changed meanwhile
    wanted = plan(conn, tenant_id, change)
    saved = rules.save(
        conn,
        tenant_id,
        wanted.code,
        kind=wanted.kind,
        observed_property=wanted.property,
        params=wanted.params,
        device_kind=wanted.device_kind,
        site_kinds=wanted.site_kinds,
        site_id=wanted.place.site_id,
        device_id=wanted.place.device_id,
        label_scheme=wanted.label_scheme,
        enabled=wanted.enabled,
        inherits=wanted.inherits,
        valid_from=change.valid_from,
    )
    _refuse_rival(conn, saved)
    said = {name: value for name, value in vars(change).items() if value not in (None, False)}
    if change.enabled is False:
        said["enabled"] = False
    if change.valid_from is not None:
        said["valid_from"] = change.valid_from.isoformat()
    written = {"version": saved.version, **said}
    del written["code"]
    action = "rule.reset" if change.inherits else "rule.set"
    audit.record(conn, tenant_id, action, [(change.code, written)])
    return saved


def _of_time(valid_from: datetime | None, now: datetime) -> list[Mistake]:
    if valid_from is None or now < valid_from <= now + _AHEAD:
        return []
    said = Sentence("lies more than two years ahead")
    if valid_from <= now:
        said = Sentence(
            "has passed: a rule never holds for readings measured before it was saved; leave it "
            "out, and it holds from now on"
        )
    return [Mistake("valid_from", said)]


def _refuse_rival(conn: Connection, saved: RuleVersion) -> None:
    """Refuse a version with which two rules of one kind hold somewhere, now or when others do."""
    later = {
        one.valid_from
        for one in rules.versions(conn, saved.tenant_id)
        if one.valid_from > saved.valid_from and one.property == saved.property
    }
    for at in sorted({saved.valid_from, *later}):
        if (found := rules.rival(conn, saved, at)) is not None:
            other, device = found
            said = Sentence(
                "is {kind} as that of the rule {other!r}, which holds at {device!r} too, and of "
                "one kind only one counts there: change {other!r}, or switch one of them off "
                "there first",
                kind=saved.kind,
                other=other,
                device=device,
            )
            raise mistakes.MistakesError(f"The rule {saved.code!r}", [Mistake("kind", said)])


def _given(change: Change) -> dict[str, Any]:
    return {name: value for name, value in vars(change).items() if value is not None}


def _of_new(change: Change, known: set[str]) -> list[Mistake]:
    """Say what a code that is not there yet needs."""
    if change.kind in _UNRULED:
        said = Sentence(
            "{kind} is no kind of a town's rules: fixes of vehicles are tested without",
            kind=change.kind,
        )
        return [Mistake("kind", said)]
    missing = [name for name in ("kind", "property", "params") if getattr(change, name) is None]
    if not missing and not change.inherits:
        silent, link = change.kind == Silence.kind, change.property == LINK
        if silent == link:
            return []
        said = Sentence(
            "must be {link} for the kind {kind}, and for no other", link=LINK, kind=Silence.kind
        )
        return [Mistake("property", said)]
    near = get_close_matches(change.code, known, n=1)
    hint = (
        Sentence("did you mean {near!r}?", near=near[0])
        if near
        else Sentence("a new one needs {missing}", missing=", ".join(missing))
    )
    said = Sentence("{code!r} is no rule of this town; {hint}", code=change.code, hint=hint)
    return [Mistake("code", said)]


def _of_plan(planned: Plan, change: Change, rows: Sequence[ScopedRule]) -> list[Mistake]:
    found = []
    for name in _OWN:
        wanted, own = getattr(change, name), getattr(planned, name)
        if wanted is not None and (list(wanted) != own if name == "site_kinds" else wanted != own):
            said = Sentence(
                "is {own} and stays so; a rule with another one takes another code",
                own=_said(own),
            )
            found.append(Mistake(name, said))
    here = planned.place
    where = "device" if here.device else "site"
    objection = here.objection(planned.property, planned.device_kind, planned.site_kinds)
    if objection:
        found.append(Mistake(where, objection))
    if change.inherits:
        scopes = {(row.site, row.device) for row in rows if row.code == planned.code}
        own_scope = (None, here.device) if here.device else (here.site, None)
        if own_scope == (None, None):
            said = Sentence("needs a site or a device: the whole town has nothing wider")
            found.append(Mistake("inherits", said))
        elif own_scope not in scopes:
            said = Sentence(
                "{place!r} has no version of its own of this rule", place=here.device or here.site
            )
            found.append(Mistake(where, said))
        if change.params is not None or change.enabled is not None:
            found.append(Mistake("inherits", Sentence("goes with neither params nor enabled")))
    elif change.params is None and change.enabled is None:
        found.append(Mistake("params", Sentence("are missing: nothing would be different")))
    return found


def _said(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return Sentence("not restricted") if value is None else repr(value)


def _in_params(error: ParameterError) -> Mistake:
    if error.field == "kind":
        return Mistake("kind", error.reason)
    return Mistake(f"params.{error.field}" if error.field else "params", error.reason)
