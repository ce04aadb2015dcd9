"""`mizumori quarantine`: messages that were refused."""

import sys
from typing import Annotated

import typer

from deploy.cli_options import ConfigOption, TownArgument

app = typer.Typer(help="Refused messages: look at them, replay them.", no_args_is_help=True)

DeviceOption = Annotated[str | None, typer.Option(help="Only of this device.")]
ReasonOption = Annotated[str | None, typer.Option(help="Only those refused for this.")]


@app.command("list")
def list_refused(
    town: TownArgument,
    device: DeviceOption = None,
    reason: ReasonOption = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those not replayed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    config: ConfigOption = None,
) -> None:
    """List the newest refused messages."""
    from deploy.compose_database import owner_transaction
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from store import quarantine

    settings = load_settings(config)
    tenant = find_town(settings, town)
    with owner_transaction(settings) as connection:
        entries = quarantine.newest(
            connection,
            tenant.tenant_id,
            device=device,
            reason=reason,
            waiting=waiting,
            limit=limit,
        )
        counts = quarantine.counts(connection, tenant.tenant_id)
    for entry in entries:
        mark = "replayed" if entry.replayed_at else ""
        typer.echo(
            f"{entry.quarantine_id:>8} {entry.received_time:%Y-%m-%d %H:%M:%S} "
            f"{entry.device_code or '-':20} {entry.reason:18} {mark:8} {entry.detail[:100]}"
        )
        typer.echo(f"         {ascii(entry.payload[:100])[2:-1]}")
    typer.echo(
        f"{sum(one.waiting for one in counts)} wait in all, and "
        f"{sum(one.beyond for one in counts)} came faster than they are kept: "
        f"`mizumori quarantine count {town}` says of which device and why.",
        err=True,
    )


@app.command("count")
def count_refused(town: TownArgument, config: ConfigOption = None) -> None:
    """Count refused messages by device and reason."""
    from deploy.compose_database import owner_transaction
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from store import newcomers, quarantine, town_catalog

    settings = load_settings(config)
    tenant = find_town(settings, town)
    with owner_transaction(settings) as connection:
        counts = quarantine.counts(connection, tenant.tenant_id)
        per_day = town_catalog.register_per_day(connection, tenant.tenant_id)
        today = newcomers.registered_today(connection, tenant.tenant_id)
        newcomers_waiting = newcomers.waiting(connection, tenant.tenant_id)
    if counts:
        typer.echo(
            f"{'device':20} {'reason':18} {'waiting':>8} {'replayed':>8} {'not kept':>8}  newest"
        )
    for one in counts:
        newest = f"{one.newest:%Y-%m-%d %H:%M:%S}" if one.newest else "-"
        typer.echo(
            f"{one.device or '-':20} {one.reason:18} {one.waiting:>8} {one.replayed:>8} "
            f"{one.beyond:>8}  {newest}"
        )
    if not counts:
        typer.echo("Nothing is in quarantine.", err=True)
    if newcomers_waiting:
        waits = "device waits" if newcomers_waiting == 1 else "devices wait"
        typer.echo(f"{newcomers_waiting} {waits} for `mizumori device approve {town} CODE`.")
    if per_day:
        typer.echo(f"{today} of at most {per_day} unknown devices were taken down in 24 hours.")


@app.command("replay")
def replay_refused(
    town: TownArgument,
    device: DeviceOption = None,
    reason: ReasonOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would come.")] = False,
    config: ConfigOption = None,
) -> None:
    """Send refused messages again after a fix; what is still wrong stays, with its reason."""
    from deploy.compose_database import open_database
    from deploy.quarantine_replay import Outcome, replay
    from deploy.settings import load_settings
    from deploy.towns import find_town

    settings = load_settings(config)
    watched = sys.stderr.isatty()

    def show(outcome: Outcome) -> None:
        if watched:
            done = f"{outcome.replayed} replayed, {outcome.refused.total()} still refused"
            typer.echo(f"\r\x1b[K{done}", err=True, nl=False)

    tenant = find_town(settings, town)
    with open_database(settings, "owner", name="mizumori-cli", max_size=1) as database:
        outcome = replay(
            settings, database, tenant, device=device, reason=reason, dry=dry_run, progress=show
        )
    if watched:
        typer.echo("\r\x1b[K", err=True, nl=False)
    for line in outcome.lines():
        typer.echo(line)
