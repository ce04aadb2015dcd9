"""`mizumori replay`: an alert decided again from its evidence."""

from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli_options import ConfigOption

if TYPE_CHECKING:
    from store.replay import Replayed


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(
    alert: Annotated[int, typer.Argument(metavar="ALERT", help="Id of the alert.")],
    config: ConfigOption = None,
) -> None:
    """Decide an alert again from its evidence; exit code 0: everything is equal, 1: it is not."""
    from deploy.compose_database import owner_transaction
    from deploy.settings import load_settings
    from store.replay import replay as decide

    settings = load_settings(config)
    with owner_transaction(settings) as connection:
        transitions = decide(connection, alert)
    for one in transitions:
        _print(one)
    unequal = sum(bool(one.differences) for one in transitions)
    if unequal:
        typer.echo(f"{unequal} of {len(transitions)} transitions of alert {alert} are not equal.")
        raise typer.Exit(1)
    typer.echo(f"All {len(transitions)} transitions of alert {alert} are equal.")


def _print(one: "Replayed") -> None:
    value = "no value" if one.value is None else f"{one.value:g}"
    note = ", withdrawn since" if one.withdrawn else ""
    verdict = "not equal" if one.differences else "equal"
    typer.echo(
        f"{one.time.isoformat()}  level {one.from_level} to {one.to_level} at {value} "
        f"({one.reason}{note}): {verdict}"
    )
    for sentence in (*one.differences, *one.remarks):
        typer.echo(f"    {sentence}")
