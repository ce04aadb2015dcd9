"""`mizumori sim`: devices that are not there."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from deploy.cli_options import ConfigOption, LifelineOption

app = typer.Typer(help="Simulated devices, which speak MQTT like real ones.", no_args_is_help=True)


@app.command("town")
def town(config: ConfigOption = None, _lifeline: LifelineOption = None) -> None:
    """Make the demo town and run its devices until Ctrl-C or SIGTERM."""
    from deploy.demo.provision import provision_demo, run_demo
    from deploy.settings import load_settings
    from deploy.signals import stop_event

    settings = load_settings(config)
    stop = stop_event()
    provision_demo(settings)
    run_demo(settings, stop, report=lambda line: typer.echo(line, err=True))


@app.command("replay")
def replay(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A recording (CSV).")
    ],
    tenant: Annotated[
        str, typer.Option("--town", help="Code of the town whose devices play it.")
    ] = "replay",
    speed: Annotated[
        float, typer.Option(help="How many times faster than recorded; inf: as fast as it goes.")
    ] = 1.0,
    times: Annotated[
        Literal["now", "own"],
        typer.Option(help="now: shifted, so that it ends now. own: the recorded times."),
    ] = "now",
    register: Annotated[
        bool, typer.Option("--register", help="First add the town (訓練) and devices it needs.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Play a recording through MQTT, as its devices would have sent it."""
    from deploy.demo.device_secrets import DeviceSecrets
    from deploy.demo.provision import broker_of
    from deploy.demo.recorded_town import register_recording
    from deploy.settings import load_settings
    from deploy.signals import stop_event
    from firmware_sim import replay as player

    settings = load_settings(config)
    stop = stop_event()
    if register:
        register_recording(settings, file, tenant)
    watched = sys.stderr.isatty()

    def show(progress: player.Progress) -> None:
        if watched:
            line = f"{progress.offered} of {progress.total} sent, {progress.acknowledged} safe"
            typer.echo(f"\r\x1b[K{line}", err=True, nl=False)

    report = player.run(
        file,
        broker=broker_of(settings),
        tenant=tenant,
        secrets=DeviceSecrets.of(settings).read(tenant),
        speed=speed,
        times=times,
        stop=stop,
        progress=show,
    )
    if watched:
        typer.echo("\r\x1b[K", err=True, nl=False)
    typer.echo(str(report))
    raise typer.Exit(report.exit_code)
