"""`mizumori backtest`: what a rule would have raised on the stored readings."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo

import typer

from deploy.cli_options import ConfigOption, TownArgument, read_params, read_time

if TYPE_CHECKING:
    from store.backtest_result import RealEvent, Result, StreamResult

COLUMNS = 60  # of the timeline; 240 bins are four to a column


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("backtest")(backtest)


def backtest(
    town: TownArgument,
    rule: Annotated[str, typer.Option(metavar="CODE", help="Code of the rule.")],
    params: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Other parameters: JSON, or a file that holds it."),
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="In the town's time.")] = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="Not included.")] = None,
    site: Annotated[str | None, typer.Option(metavar="CODE", help="Only this site.")] = None,
    device: Annotated[str | None, typer.Option(metavar="CODE", help="Only this device.")] = None,
    real: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="When it was real, a line each: DEVICE TIME. Other alerts are false alarms.",
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg", help="Draw it too: an SVG picture, to look at or print."),
    ] = None,
    language: Annotated[
        Literal["ja", "en"], typer.Option(help="Of the words on the picture.")
    ] = "ja",
    config: ConfigOption = None,
) -> None:
    """Tell what a rule would have raised on the stored readings; nothing is written."""
    from deploy.compose_database import open_database
    from deploy.settings import load_settings
    from deploy.towns import find_town
    from store.backtest import Request, run
    from store.backtest_readings import Source
    from store.backtest_result import judge

    if picture is not None and not picture.absolute().parent.is_dir():
        raise typer.BadParameter(
            f"There is no folder {picture.absolute().parent}.", param_hint="--picture"
        )
    settings = load_settings(config)
    tenant = find_town(settings, town)
    zone = ZoneInfo(tenant.time_zone)
    events = None if real is None else _read_real(real, zone)
    request = Request(
        rule=rule,
        params=None if params is None else read_params(params),
        since=None if since is None else read_time("--since", since, zone),
        until=None if until is None else read_time("--until", until, zone),
        site=site,
        device=device,
    )
    with open_database(settings, "owner", name="mizumori-cli", max_size=1) as database:
        result = run(database.transaction, tenant.tenant_id, request, Source.TABLE)
    judged = result if events is None else judge(result, events)
    _print(judged, zone)
    if picture is not None:
        _draw(judged, zone, picture, language)


def _draw(result: "Result", zone: ZoneInfo, picture: Path, language: Literal["ja", "en"]) -> None:
    from api.backtest_picture import draw
    from api.dictionary import dictionary

    try:
        picture.write_text(draw(result, zone, dictionary(language)), encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(
            f"{picture} cannot be written: {error.strerror}.", param_hint="--picture"
        ) from error
    typer.echo(f"The picture is in {picture}.")


def _read_real(file: Path, zone: ZoneInfo) -> "list[RealEvent]":
    from store.backtest_result import RealEvent

    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read as text.", param_hint="--real") from error
    events = []
    for number, line in enumerate(lines, 1):
        words = line.replace(",", " ").split(maxsplit=1)
        if not words or words[0].startswith("#"):
            continue
        if len(words) == 1:
            raise typer.BadParameter(
                f"Line {number} of {file} is not DEVICE TIME.", param_hint="--real"
            )
        events.append(
            RealEvent(words[0], read_time(f"--real, line {number}", words[1].strip(), zone))
        )
    return events


def _print(result: "Result", zone: ZoneInfo) -> None:
    from store.backtest_result import Standing

    def local(moment: datetime | None) -> str:
        return "open            " if moment is None else f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"

    typer.echo(
        f"{result.rule}, {local(result.start)} to {local(result.stop)}: {result.readings:,} "
        f"readings of {len(result.streams)} datastreams, {result.sensor_months:.2f} sensor-months."
    )
    for alert in result.raised:
        value = "-" if alert.peak_value is None else f"{alert.peak_value:g} {alert.stream.unit}"
        notes = [alert.standing.value]
        if alert.alert_id is not None:
            notes.append(f"alert {alert.alert_id}")
        if alert.unconfirmed:
            notes.append("unconfirmed")
        if alert.real is not None:
            notes.append("real" if alert.real else "false")
        typer.echo(
            f"  {alert.stream.device:20} {local(alert.onset)}  {local(alert.clear)}  "
            f"level {alert.peak_level}  {value:10}  {', '.join(notes)}"
        )
    devices = {each.stream.datastream_id: each.stream.device for each in result.streams}
    for gone in result.gone:
        typer.echo(
            f"  {devices[gone.datastream_id]:20} {local(gone.onset)}  {local(gone.clear)}  "
            f"level {gone.peak_level}  gone: alert {gone.alert_id} would not have been raised"
        )
    for event in result.missed:
        typer.echo(f"  {event.device:20} {local(event.time)}  missed: real, and no alert")
    levels = ", ".join(f"{n} of level {level}" for level, n in result.by_level().items())
    typer.echo(f"{len(result.raised)} alerts{f' by peak level: {levels}' if levels else ''}.")
    counts = ", ".join(f"{result.count(standing)} {standing}" for standing in Standing)
    typer.echo(f"Beside the ledger: {counts}, {len(result.gone)} gone.")
    rate = result.rate()
    if rate is not None:
        typer.echo(
            f"{'False alarms' if result.judged else 'Alerts'} per sensor-month: "
            f"{rate.per_sensor_month:.3g} (95% interval {rate.low:.3g} to {rate.high:.3g}, "
            f"{rate.count} in all)."
        )
    typer.echo("Highest level by time; . is no alert, a blank is no usable reading:")
    for each in result.streams:
        typer.echo(f"  {each.stream.device:20} |{timeline(each, result.stop)}|")


def timeline(result: "StreamResult", stop: datetime) -> str:
    """Draw one datastream as a line of characters."""
    per_column = len(result.bins) // COLUMNS
    cells = []
    for at in range(0, len(result.bins), per_column):
        bins = result.bins[at : at + per_column]
        after = at + per_column
        end = result.bins[after].time if after < len(result.bins) else stop
        levels = [
            alert.peak_level
            for alert in result.raised
            if alert.onset <= end and (alert.clear is None or alert.clear >= bins[0].time)
        ]
        known = any(each.high is not None for each in bins)
        cells.append(str(max(levels)) if levels else "." if known else " ")
    return "".join(cells)
