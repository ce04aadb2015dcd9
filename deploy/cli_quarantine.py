"""`mizumori quarantine`: messages that were refused."""

import sys
from typing import Annotated

import typer

from deploy.cli_options import ConfigOption

app = typer.Typer(help="Refused messages: look at them, replay them.", no_args_is_help=True)

TownArgument = Annotated[str, typer.Argument(metavar="TOWN", help="Code of the town.")]
DeviceOption = Annotated[str | None, typer.Option(help="Only of this device.")]


@app.command("list")
def list_refused(
    town: TownArgument,
    device: DeviceOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    config: ConfigOption = None,
) -> None:
    """List the newest refused messages, and count them by reason."""
    from deploy.compose_database import open_database
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from store import quarantine

    settings = load_settings(config)
    tenant = find_town(settings, town)
    with (
        open_database(settings, "owner", name="mizumori-cli", max_size=1) as database,
        database.transaction() as connection,
    ):
        entries = quarantine.newest(connection, tenant.tenant_id, device, limit)
        counts = quarantine.counts(connection, tenant.tenant_id)
        overflow = quarantine.overflow(connection, tenant.tenant_id)
    for entry in entries:
        mark = "replayed" if entry.replayed_at else ""
        typer.echo(
            f"{entry.quarantine_id:>8} {entry.received_time:%Y-%m-%d %H:%M:%S} "
            f"{entry.device_code or '-':20} {entry.reason:18} {mark:8} {entry.detail[:100]}"
        )
        typer.echo(f"         {ascii(entry.payload[:100])[2:-1]}")
    waiting = ", ".join(f"{count} {reason}" for reason, count in counts.items())
    typer.echo(f"Waiting: {waiting or 'none'}.", err=True)
    for code, hour, messages in overflow:
        typer.echo(
            f"{code or 'Unknown devices'}: {messages} more refused than are kept, the last in the "
            f"hour of {hour:%Y-%m-%d %H:%M} UTC.",
            err=True,
        )


@app.command("replay")
def replay_refused(
    town: TownArgument,
    device: DeviceOption = None,
    reason: Annotated[str | None, typer.Option(help="Only those refused for this.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would come.")] = False,
    config: ConfigOption = None,
) -> None:
    """Send refused messages again after a fix; what is still wrong stays, with its reason."""
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
    outcome = replay(settings, tenant, device=device, reason=reason, dry=dry_run, progress=show)
    if watched:
        typer.echo("\r\x1b[K", err=True, nl=False)
    for line in outcome.lines():
        typer.echo(line)
