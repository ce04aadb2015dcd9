"""`mizumori rule`: the alert rules of a town, seen, changed and given up again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from deploy.cli_device import Kind as DeviceKind
from deploy.cli_options import ConfigOption, TownArgument, read_params, read_time

if TYPE_CHECKING:
    from store.database import Connection
    from store.rule_change import Change

app = typer.Typer(help="Rules: which alert comes when, in force and changed.", no_args_is_help=True)

CodeArgument = Annotated[str, typer.Argument(metavar="CODE", help="Code of the rule.")]
SiteOption = Annotated[str | None, typer.Option(metavar="CODE", help="Only this site.")]
DeviceOption = Annotated[str | None, typer.Option(metavar="CODE", help="Only this device.")]


@app.command("list")
def list_rules(
    town: TownArgument,
    site: SiteOption = None,
    device: DeviceOption = None,
    config: ConfigOption = None,
) -> None:
    """List the rules in force: all of the town, or those that count at a site or a device."""
    from deploy import rule_text
    from deploy.compose_database import owner_transaction
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from store import rule_place, rules, rules_in_force

    settings = load_settings(config)
    tenant = find_town(settings, town)
    zone = ZoneInfo(tenant.time_zone)
    with owner_transaction(settings) as connection:
        now = rules.now(connection)
        rows = rules_in_force.in_scopes(connection, tenant.tenant_id, now)
        if site or device:
            here = rule_place.find(connection, tenant.tenant_id, site, device)
            standing = rule_place.standing(rows, here)
            rows = [standing[code] for code in sorted(standing)]
        waiting = [
            one for one in rules.versions(connection, tenant.tenant_id) if one.valid_from > now
        ]
    for row in rows:
        said = rule_text.levels(row.kind, row.params) if row.enabled else "switched off"
        typer.echo(
            f"{row.code:24} {row.kind:20} {row.property:16} "
            f"{rule_text.scope(row.site, row.device):20} {said}; version {row.version}, since "
            f"{rule_text.since(row.valid_from, zone)}"
        )
    for one in waiting:
        typer.echo(
            f"version {one.version} of {one.code} waits until "
            f"{rule_text.since(one.valid_from, zone)}: mizumori rule show {town} {one.code}"
        )
    if not rows:
        typer.echo(f"No rule is in force here: mizumori tenant rules {town}", err=True)


@app.command("show")
def show(town: TownArgument, code: CodeArgument, config: ConfigOption = None) -> None:
    """Show a rule's versions, oldest first: where and since when, who saved it, its parameters."""
    import json

    from deploy import rule_text
    from deploy.compose_database import owner_transaction
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from store import audit, device_catalog, rules, site_catalog
    from store.errors import RefusedError

    settings = load_settings(config)
    tenant = find_town(settings, town)
    zone = ZoneInfo(tenant.time_zone)
    with owner_transaction(settings) as connection:
        versions = rules.versions(connection, tenant.tenant_id, code)
        sites = {s.site_id: s.code for s in site_catalog.sites(connection, tenant.tenant_id)}
        devices = {
            d.device_id: d.code for d in device_catalog.devices(connection, tenant.tenant_id)
        }
        entries = audit.entries(connection, tenant.tenant_id, code, limit=100_000)
    if not versions:
        raise RefusedError(f"{town} has no rule {code!r}; mizumori rule list {town} lists them.")
    writers = {
        entry.change["version"]: f"token {entry.writer}" if entry.by_token else entry.writer
        for entry in entries
        if entry.action.startswith("rule.")
    }
    for row in versions:
        where = rule_text.scope(sites.get(row.site_id or 0), devices.get(row.device_id or 0))
        state = "given up" if row.inherits else "" if row.enabled else "switched off"
        typer.echo(
            f"version {row.version}, {where}, since {rule_text.since(row.valid_from, zone)}, "
            f"by {writers.get(row.version, 'Mizumori')}{f', {state}' if state else ''}"
        )
        if not row.inherits:
            typer.echo(f"  {json.dumps(row.params, ensure_ascii=False)}")


@app.command("set")
def set_rule(
    town: TownArgument,
    code: CodeArgument,
    site: SiteOption = None,
    device: DeviceOption = None,
    params: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help="Parameters that are to be different, each as a whole: JSON, or a file with it.",
        ),
    ] = None,
    level: Annotated[
        list[str] | None,
        typer.Option(metavar="N=ON/OFF", help="One level, such as 3=0.25/0.20; again for more."),
    ] = None,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Switch it on or off in this scope.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="Of a new rule: threshold, rate_of_rise, …")
    ] = None,
    observed_property: Annotated[
        str | None,
        typer.Option("--property", help="Of a new rule: what the datastreams measure, or link."),
    ] = None,
    device_kind: Annotated[
        DeviceKind | None, typer.Option(help="Of a new rule: only for such devices.")
    ] = None,
    site_kind: Annotated[
        list[str] | None,
        typer.Option(help="Of a new rule: only at such sites; again for more."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Of a new rule: what its levels are called: street, river, pond, rate."),
    ] = None,
    valid_from: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="For readings from then on, town's time."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be saved, and write nothing.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Change a rule for the whole town, a site or a device, or add one; what is not said stays."""
    from store.rule_change import Change

    change = Change(
        code=code,
        site=site,
        device=device,
        params=None if params is None else read_params(params),
        enabled=enable,
        kind=kind,
        property=observed_property,
        device_kind=device_kind,
        site_kinds=site_kind or None,
        label_scheme=labels,
    )
    _save(town, change, level or [], valid_from, dry_run, config)


@app.command("reset")
def reset(
    town: TownArgument,
    code: CodeArgument,
    site: SiteOption = None,
    device: DeviceOption = None,
    valid_from: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="For readings from then on, town's time."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would hold, and write nothing.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Give a site's or device's own version up: from now on the wider scope counts there again."""
    from store.rule_change import Change

    change = Change(code=code, site=site, device=device, inherits=True)
    _save(town, change, [], valid_from, dry_run, config)


def _save(
    town: str,
    change: "Change",
    level: list[str],
    valid_from: str | None,
    dry_run: bool,
    config: Path | None,
) -> None:
    from dataclasses import replace

    from deploy import rule_text
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from deploy.writing import writing
    from store import rule_change, rule_place, rules, rules_in_force

    settings = load_settings(config)
    tenant = find_town(settings, town)
    zone = ZoneInfo(tenant.time_zone)
    if valid_from is not None:
        change = replace(change, valid_from=read_time("--from", valid_from, zone))
    with writing(settings) as connection:
        if level:
            changed = _levels(connection, tenant.tenant_id, change, level)
            change = replace(change, params={**(change.params or {}), "levels": changed})
        planned = rule_change.plan(connection, tenant.tenant_id, change)
        with connection.transaction(force_rollback=dry_run):
            saved = rule_change.apply(connection, tenant.tenant_id, change)
            rows = rules_in_force.in_scopes(connection, tenant.tenant_id, saved.valid_from)
            versions = rules.versions(connection, tenant.tenant_id, change.code)
    where = rule_text.scope(change.site, change.device)
    said = "switched off" if not planned.enabled else rule_text.levels(planned.kind, planned.params)
    if change.inherits:
        said = "nothing"
        if holds := rule_place.standing(rows, planned.place).get(change.code):
            said = rule_text.levels(holds.kind, holds.params) if holds.enabled else "switched off"
            said = f"as for {rule_text.scope(holds.site, holds.device)}: {said}"
    number = "" if dry_run else f", version {saved.version}"
    typer.echo(f"{change.code}{number}, {where}: {said}")
    since = f"{rule_text.since(saved.valid_from, zone)} ({tenant.time_zone})"
    if dry_run:
        typer.echo("Nothing was written.")
    else:
        typer.echo(
            f"It holds for readings measured from {since} on; what was decided before stays."
        )
    for one in versions:
        place = (one.site_id, one.device_id)
        if one.valid_from > saved.valid_from and place == (saved.site_id, saved.device_id):
            typer.echo(
                f"From {rule_text.since(one.valid_from, zone)} on version {one.version} holds in "
                "its place, which was saved before."
            )
    own = [
        rule_text.scope(row.site, row.device)
        for row in rows
        if row.code == change.code and (row.site or row.device)
    ]
    if own and where == rule_text.scope(None, None):
        typer.echo(f"These keep their own version: {', '.join(own)}.")
    if planned.kind in rule_text.TRIED and not change.inherits and not (planned.new and dry_run):
        typer.echo("What it would have raised on the stored readings:")
        line = rule_text.trial(town, change.code, planned.params, change.site, change.device)
        typer.echo(f"  {line}")


def _levels(
    connection: "Connection", tenant_id: int, change: "Change", given: list[str]
) -> list[Any]:
    from deploy import rule_text
    from store import rule_place, rules, rules_in_force

    here = rule_place.find(connection, tenant_id, change.site, change.device)
    at = change.valid_from or rules.now(connection)
    rows = rules_in_force.in_scopes(connection, tenant_id, at)
    base = rule_place.standing(rows, here).get(change.code)
    standing = {**(base.params if base else {}), **(change.params or {})}.get("levels", [])
    kind = base.kind if base else change.kind
    if kind is None:
        return []  # no rule that there is: the catalog says so, and which one may be meant
    return rule_text.with_levels(kind, standing if isinstance(standing, list) else [], given)
