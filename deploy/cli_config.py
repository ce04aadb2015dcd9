"""`mizumori config`: a commented settings file to start from."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("config")(config)


def config(
    reference: Annotated[
        bool, typer.Option("--reference", help="Print docs/settings.md instead.")
    ] = False,
) -> None:
    """Print every setting with its default and what it does.

    `mizumori config > mizumori.toml` makes a file to edit: each line is commented out.
    """
    from deploy import settings_text

    text = settings_text.reference() if reference else settings_text.default_toml()
    typer.echo(text, nl=False)
