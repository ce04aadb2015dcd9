"""`mizumori config`: a commented settings file to start from."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("config")(config)


def config() -> None:
    """Print every setting with its default and what it does.

    `mizumori config > mizumori.toml` makes a file to edit: each line is commented out.
    """
    from deploy.settings_text import default_toml

    typer.echo(default_toml(), nl=False)
